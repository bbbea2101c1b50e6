"""The machine's addresses, as it has them."""

from __future__ import annotations

import ipaddress
import socket

from twisted.trial.unittest import SynchronousTestCase

from netservices.daemon.interfaces import list_addresses


class InterfacesTests(SynchronousTestCase):
    """R18."""

    def test_every_address_can_be_bound(self) -> None:
        addresses = list_addresses()
        self.assertIn("127.0.0.1", addresses)
        for address in addresses:
            version = ipaddress.ip_address(address).version
            with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as bound:
                bound.bind((address, 0))
