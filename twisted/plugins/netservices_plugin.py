"""Makes ``twistd netservices`` known to Twisted, which looks for plugins in folders named ``twisted/plugins``."""

from twisted.application.service import ServiceMaker

# The module is named as a string, so that listing the plugins imports nothing of it.
netservices = ServiceMaker(
    "netservices", "netservices.tap", "The classic network services, in one process", "netservices"
)
