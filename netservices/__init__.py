"""One daemon for the classic network services, behind one configuration file."""

__version__ = "0.1.0"
