"""What runs without a configuration."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netservices.config import ConfigError, UnixListen, examine
from netservices.config.tryout import TRYOUT_FILE, load_tryout, make_tryout
from tests.config.made_up import MadeUpKinds


class TryoutTests(SynchronousTestCase):
    """Section 3 of the design: every kind, on loopback only, ports below 1024 up by 8000."""

    def test_ports_are_moved_to_loopback(self) -> None:
        self.assertEqual(
            make_tryout(MadeUpKinds(), ipv6=False),
            '[daemon]\nstate = "./netservices-state"\n\n'
            '[services.lamp]\nlisten = ["tcp:8007:interface=127.0.0.1", "udp:8007:interface=127.0.0.1"]\n\n'
            '[services.shop]\nlisten = ["tcp:6667:interface=127.0.0.1", "unix:/run/shop:mode=660"]\nnames = ["a"]\n\n'
            '[services.shop.line]\nlisten = ["tls:8990:interface=127.0.0.1"]\n'.replace(":mode=660", ""),
        )

    def test_with_ipv6_both_families_are_served(self) -> None:
        config = load_tryout(MadeUpKinds(), ipv6=True)
        self.assertEqual(
            [str(entry) for entry in config.services["lamp"].listen],
            [f"{scheme}:8007:interface={host}" for scheme in ("tcp", "udp") for host in ("127.0.0.1", "[::1]")],
        )
        self.assertIn(UnixListen("/run/shop"), config.services["shop"].listen)

    def test_it_is_good(self) -> None:
        config = load_tryout(MadeUpKinds(), ipv6=True)
        self.assertEqual(examine(config, MadeUpKinds()), ())
        self.assertEqual(config.file, TRYOUT_FILE)

    def test_broken_kind_is_a_mistake_that_names_it(self) -> None:
        kinds = MadeUpKinds(broken=True)
        error = self.assertRaises(ConfigError, load_tryout, kinds, ipv6=False)
        self.assertIn('the kind "wreck"', str(error))
