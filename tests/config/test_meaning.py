"""What only the meaning of a configuration shows."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netservices.config import Config, Reader, Severity, examine
from netservices.config.rights import make_reader
from tests.config.made_up import MadeUpKinds, load_made_up

EARLIER = "services.lamp.listen (f.toml:2), wanted another place"
NO_FOLDER = "can't be read: No such file or directory, wanted a folder that can be read"
OLD = "TLS 1.0 is unsafe, wanted 1.2 or 1.3 unless a peer knows no better"


class ExamineCase(SynchronousTestCase):
    """Says what a check says."""

    def examine(self, text: str, *, reader: Reader | None = None, base: Path | None = None) -> list[str]:
        config = load_made_up(text, base=base)
        problems = examine(config, MadeUpKinds(), reader=reader or make_reader())
        return [str(problem).removeprefix("f.toml:") for problem in problems]

    def listeners(self, first: str, second: str, *, more: str = "") -> list[str]:
        return self.examine(f'[services.lamp]\nlisten = ["{first}"]\n[services.shop]\nlisten = ["{second}"]\n{more}')


class ListenerTests(ExamineCase):
    """R3: two sections on one port."""

    def test_two_on_one_port_are_a_mistake_that_names_both(self) -> None:
        self.assertEqual(
            self.listeners("tcp:7", "tls:7:interface=127.0.0.1"),
            [f'4: services.shop.listen: "tls:7:interface=127.0.0.1" is taken by "tcp:7" of {EARLIER}'],
        )
        self.assertIs(
            examine(load_made_up('[services.lamp]\nlisten = ["tcp:7", "tls:7"]'))[0].severity, Severity.MISTAKE
        )

    def test_what_meets_is_a_mistake(self) -> None:
        for first, second in (
            ("tcp:7", "tcp:7"), ("udp:7", "udp:7:interface=[::1]"),
            ("tcp:7:interface=0.0.0.0", "tcp:7:interface=127.0.0.1"), ("tcp:7:interface=[::1]", "tcp:7:interface=[::]"),
            ("tcp:7:interface=[::1]", "tls:7:interface=[0::1]"), ("unix:/x", "unix:/x:mode=600"),
            ("systemd:name=a", "systemd:name=a:tls=yes"),
        ):  # fmt: skip
            self.assertEqual(len(self.listeners(first, second)), 1, (first, second))

    def test_what_does_not_meet_is_good(self) -> None:
        for first, second in (
            ("tcp:7", "tcp:8"), ("tcp:7", "udp:7"), ("tcp:0", "tcp:0"), ("unix:/x", "unix:/y"), ("unix:/x", "tcp:7"),
            ("tcp:7:interface=127.0.0.1", "tcp:7:interface=127.0.0.2"), ("systemd:name=a", "systemd:name=b"),
            ("tcp:7:interface=0.0.0.0", "tcp:7:interface=[::]"),
        ):  # fmt: skip
            self.assertEqual(self.listeners(first, second), [], (first, second))

    def test_devices_keep_listeners_apart(self) -> None:
        self.assertEqual(len(self.listeners("tcp:7", "tcp:7", more='device = "eth0"')), 1)
        text = '[services.{}]\nlisten = ["tcp:7"]\ndevice = "{}"\n'
        self.assertEqual(self.examine(text.format("lamp", "eth0") + text.format("shop", "eth1")), [])
        self.assertEqual(len(self.examine(text.format("lamp", "eth0") + text.format("shop", "eth0"))), 1)

    def test_listeners_of_other_options_count(self) -> None:
        (told,) = self.listeners("tcp:7", "tcp:8", more='line = { listen = ["tcp:7"] }')
        self.assertTrue(told.startswith('5: services.shop.line.listen: "tcp:7" is taken by'), told)

    def test_services_that_are_off_take_no_port(self) -> None:
        self.assertEqual(self.listeners("tcp:7", "tcp:7", more="enabled = false"), [])


class OtherTests(ExamineCase):
    """R3: the rest of what can be known without knowing a kind."""

    def test_no_service_is_a_warning(self) -> None:
        self.assertEqual(self.examine(""), [" warning: services: no service is enabled, wanted at least one"])
        self.assertEqual(
            self.examine('\n[services.lamp]\nlisten = ["tcp:7"]\nenabled = false'),
            ["2: warning: services: no service is enabled, wanted at least one"],
        )
        self.assertEqual(len(examine(Config())), 1)

    def test_old_tls_is_a_warning(self) -> None:
        for version, count in (("1.0", 1), ("1.1", 1), ("1.2", 0), ("1.3", 0)):
            told = self.examine(f'[services.lamp]\nlisten = ["tls:7"]\ntls_minimum = "{version}"')
            self.assertEqual(len(told), count)
        self.assertEqual(
            self.examine('[services.lamp]\nlisten = ["tls:7"]\ntls_minimum = "1.0"'),
            [f"3: warning: services.lamp.tls_minimum: {OLD}"],
        )

    def test_folder_that_is_missing_or_closed_is_a_warning(self) -> None:
        text = '[services.shop]\nlisten = ["tcp:8"]\nroot = "{}"\n'
        self.assertEqual(
            self.examine(text.format("/nowhere")),
            [f"3: warning: services.shop.root: /nowhere {NO_FOLDER}"],
        )
        closed = Path(self.mktemp()).absolute()
        closed.mkdir(0o700)
        self.assertEqual(self.examine(text.format(closed)), [])
        self.assertEqual(len(self.examine(text.format(closed), reader=Reader(54321, frozenset()))), 1)
        self.assertEqual(self.examine(text.format("/nowhere") + "enabled = false")[1:], [])

    def test_kinds_add_what_they_find(self) -> None:
        text = '[services.lamp]\nlisten = ["tcp:7"]\ngreeting = "{}"\n'
        self.assertEqual(
            self.examine(text.format("off")), ["3: warning: services.lamp.greeting: lamp says off, wanted on"]
        )
        self.assertEqual(self.examine(text.format("broken")), ["1: services.lamp: is broken, wanted a whole one"])
        self.assertEqual(len(self.examine(text.format("off") + "enabled = false")), 1)
        self.assertEqual(examine(load_made_up(text.format("off"))), ())

    def test_findings_are_in_the_order_of_the_file(self) -> None:
        text = (
            '[services.shop]\nlisten = ["tcp:8"]\nroot = "/nowhere"\n'
            '[services.lamp]\nlisten = ["tcp:8"]\ntls_minimum = "1.0"'
        )
        self.assertEqual([line.partition(":")[0] for line in self.examine(text)], ["3", "5", "6"])
