"""Protocol parts that several services share: bytes in, values out. No Twisted, no sockets, no clock."""
