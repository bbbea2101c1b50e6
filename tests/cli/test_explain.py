"""The verb explain."""

from __future__ import annotations

import json
import time
from ipaddress import ip_network
from typing import Any

from netservices.runtime.admission import Ban
from netservices.runtime.admission.bansqlite import SqliteBanStore
from tests.cli.daemon import running_daemon
from tests.cli.test_ban import BanCase

TEXT = """
[admission]
deny = ["203.0.113.0/24"]
limits = { rate = "30/10s" }
[admission.bans]
failures = 3

[services.lamp]
listen = ["tcp:7"]
limits = { per_peer = 4, total_rate = "100/1s" }

[services.desk]
kind = "lamp"
listen = ["tcp:8:interface=127.0.0.1", "unix:/run/desk"]
bans = { failures = 0, loopback = true }

[services.hall]
kind = "lamp"
enabled = false
listen = ["tcp:9:interface=192.0.2.80"]
proxies = ["192.0.2.10", "198.51.100.0/24"]
"""


class ExplainTests(BanCase):
    """R10, R12, R13: which line decides."""

    def setUp(self) -> None:
        super().setUp()
        self.file.write_text(self.file.read_text() + TEXT)

    def explain(self, *arguments: str, status: int = 0) -> str:
        """What the command prints."""
        return self.run_command("--config", self.file, "explain", *arguments, status=status).output

    def told(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        """What it prints for programs, the file's name taken out."""
        text = self.explain(*arguments, "--json", status=status)
        found: dict[str, Any] = json.loads(text.replace(f"{self.file}:", "f:"))
        return found

    def save(self, *bans: Ban) -> None:
        """What the daemon left behind."""
        store = SqliteBanStore(self.state / "accounts.db")
        store.load()
        store.save([(ban.network, ban) for ban in bans])
        store.close()

    def test_peer_that_may_come_in_is_told_what_it_may_have(self) -> None:
        lines = self.explain("192.0.2.1", "lamp").replace(f"{self.file}:", "f:").splitlines()
        self.assertEqual(
            lines,
            [
                "lamp lets 192.0.2.1 in: allow 0.0.0.0/0 (built in).",
                "Bans: it is not banned.",
                (
                    "Bans: bans.failures = 3 within 10m on all services together would ban it for 1h "
                    "(f:8: admission.bans.failures)."
                ),
                "Limits: limits.sessions = 10 (built in).",
                "Limits: limits.per_peer = 4 (f:12: services.lamp.limits.per_peer).",
                "Limits: limits.rate = 30/10s (f:6: admission.limits.rate).",
                "Limits: limits.total_rate = 100/1s (f:12: services.lamp.limits.total_rate).",
                "Limits: limits.pause = 10s (built in).",
            ],
        )

    def test_denied_peer_is_told_the_line(self) -> None:
        said = self.explain("203.0.113.9", "lamp", status=1).splitlines()[0]
        self.assertEqual(
            said, f"lamp does not let 203.0.113.9 in: deny 203.0.113.0/24 ({self.file}:5: admission.deny)."
        )
        told = self.told("::ffff:203.0.113.9", "lamp", "ada", status=1)
        self.assertEqual((told["peer"], told["service"], told["user"], told["allowed"]),
                         ("203.0.113.9", "lamp", "ada", False))  # fmt: skip
        self.assertEqual(
            told["decisive"],
            {"subject": "access", "verdict": "deny", "text": "deny 203.0.113.0/24", "origin": "f:5: admission.deny"},
        )
        self.assertIn(told["decisive"], told["steps"])

    def test_banned_peer_is_told_why_without_a_daemon(self) -> None:
        now = time.time()
        self.save(
            Ban(ip_network("192.0.2.0/24"), now - 60, None, "spam", "operator", manual=True),
            Ban(ip_network("192.0.2.1"), now - 60, now + 60, "3 failed logins within 10m", "lamp"),
            Ban(ip_network("192.0.2.2"), now - 60, now - 1, "over", "lamp"),
        )
        told = self.told("192.0.2.1", "lamp", status=1)["decisive"]
        self.assertEqual((told["subject"], told["origin"]), ("bans", "f:7: admission.bans"))
        self.assertRegex(told["text"], r"^192\.0\.2\.1 is banned since .*: 3 failed logins within 10m \(by lamp\)$")
        told = self.told("192.0.2.2", "lamp", status=1)["decisive"]
        self.assertRegex(told["text"], r"^192\.0\.2\.0/24 is banned .*: spam \(by operator\)$")
        self.assertEqual(told["origin"], "netservices ban add")

    def test_daemon_is_asked_where_there_is_one(self) -> None:
        self.registry.add(ip_network("2001:db8::/32"), seconds=None, reason="asked")
        with running_daemon(self.state, self.dispatcher) as calls:
            told = self.told("2001:db8::1", "lamp", status=1)["decisive"]
            self.told("2001:db9::1", "lamp")
        self.assertIn("asked", told["text"])
        self.assertEqual(calls, ["netservices.ban.find"] * 2)

    def test_bans_that_cannot_be_asked_are_no_answer(self) -> None:
        """Status 3: neither yes nor no."""
        (self.state / "accounts.db").write_bytes(b"no database at all" * 100)
        self.assertIn("file is not a database", self.explain("192.0.2.1", "lamp", status=3))

    def test_loopback_is_exempt_from_bans_by_a_line(self) -> None:
        self.save(Ban(ip_network("127.0.0.0/8"), 1.0, None, "all", "operator", manual=True))
        steps = self.told("127.0.0.1", "lamp")["steps"]
        self.assertIn(
            {
                "subject": "bans",
                "verdict": "allow",
                "text": "no ban holds for loopback addresses",
                "origin": "built in",
            },
            steps,
        )
        self.assertEqual(self.told("127.0.0.1", "desk", status=1)["decisive"]["subject"], "bans")

    def test_failures_that_do_not_count_are_said_not_to(self) -> None:
        self.assertIn("bans.failures = 0, so its failures here do not count", self.explain("127.0.0.1", "desk"))

    def test_service_that_cannot_be_reached_from_there_is_told(self) -> None:
        told = self.told("192.0.2.1", "desk", status=1)["decisive"]
        self.assertEqual((told["subject"], told["origin"]), ("service", "f:16: services.desk.listen"))
        self.assertEqual(
            told["text"],
            "no connection from there arrives at tcp:8:interface=127.0.0.1, unix:/run/desk:mode=660",
        )
        self.assertEqual(self.told("::1", "desk", status=1)["decisive"]["subject"], "service")

    def test_service_that_is_off_lets_nobody_in(self) -> None:
        told = self.told("192.0.2.1", "hall", status=1)["decisive"]
        self.assertEqual((told["text"], told["origin"]), ("the service is off", "f:21: services.hall.enabled"))

    def test_proxies_are_told_apart(self) -> None:
        """R15."""
        origin = "(f:23: services.hall.proxies)."
        for peer, text in (
            ("198.51.100.7", "it is a proxy (198.51.100.0/24) and has to send a PROXY header;"),
            ("192.0.2.11", f"it is none of the proxies, so a PROXY header from it is not read {origin}"),
        ):
            said = self.explain(peer, "hall", status=1).replace(f"{self.file}:", "f:")
            self.assertIn(f"Proxies: {text}", said)
            self.assertIn(origin, said)
        self.assertNotIn("no connection from there", self.explain("2001:db8::1", "hall", status=1))
        self.assertNotIn("Proxies:", self.explain("192.0.2.1", "lamp"))

    def test_zone_of_an_address_counts_for_nothing(self) -> None:
        self.assertEqual(self.told("fe80::1%eth0", "lamp")["peer"], "fe80::1")

    def test_wrong_usage_is_told(self) -> None:
        for arguments, text in (
            (("host.example.org", "lamp"), "is not a numeric IPv4 or IPv6 address"),
            (("192.0.2.0/24", "lamp"), "is not a numeric"),
            (("", "lamp"), "is not a numeric"),
            (("192.0.2.1", "lmap"), 'did you mean "lamp"?'),
            (("192.0.2.1",), "Missing argument"),
        ):
            self.assertIn(text, self.explain(*arguments, status=2))

    def test_user_of_a_service_without_passwords_is_told_so(self) -> None:
        self.assertIn("User: lamp asks nobody for a password.", self.explain("192.0.2.1", "lamp", "ada"))
