"""Lines of htpasswd, passwd and shadow files."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.accounts.imports import Candidate, Skipped, parse_file
from tests.runtime.accounts.test_crypts import KNOWN


class ParseTests(SynchronousTestCase):
    """Every line is taken, or told with its reason."""

    def find_reason(self, line: str | bytes, *, homes: bool = False) -> str:
        candidates, skipped = parse_file(line if isinstance(line, bytes) else line.encode(), homes=homes)
        self.assertEqual((candidates, len(skipped)), ([], 1), line)
        return skipped[0].reason

    def test_each_form_of_file_is_known_by_its_fields(self) -> None:
        text = (
            f"# made by hand\n\nAnna:{KNOWN[0]}\r\nbert:{KNOWN[1]}:1:1:Bert,,,:/home/bert:/bin/sh\n"
            f"carl:{KNOWN[4]}:19000:0:99999:7:::\n"
        )
        candidates, skipped = parse_file(text.encode())
        self.assertEqual(
            candidates, [Candidate(3, "anna", KNOWN[0]), Candidate(4, "bert", KNOWN[1]), Candidate(5, "carl", KNOWN[4])]
        )
        self.assertEqual(skipped, [])

    def test_homes_are_taken_when_asked_for(self) -> None:
        line = f"bert:{KNOWN[1]}:1:1:Bert:%s:/bin/sh\n"
        self.assertEqual(parse_file((line % "/home/bert").encode(), homes=True)[0][0].home, "/home/bert")
        self.assertEqual(parse_file((line % "").encode(), homes=True)[0][0].home, "")
        self.assertIn("..", self.find_reason(line % "/../x", homes=True))

    def test_reasons(self) -> None:
        for line, reason in (
            ("anna:x:1:1::/:/bin/sh", "no password here"), ("anna:*:1:1::/:/bin/sh", "no password here"),
            ("anna:", "no password here"), ("anna:!$6$x", "locked"), ("anna:!!", "locked"),
            ("anna:*LK*", "no password here"), ("anna:{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00=", "no salt"),
            ("anna:$1$salt$xxxxxxxxxxxxxxxxxxxxxx", "not taken"), ("anna:$2y$31$" + "a" * 53, "too much time"),
            ("anna:$apr1$x", "not whole"), ("anna:rl.3StKT.4T8M", "8 characters"), ("anna:hello", "not hashed"),
            ("anna", "1 fields, wanted 2"), ("anna:realm:0123", "3 fields"), (f"an na:{KNOWN[0]}", "no letter"),
            (f"pc$:{KNOWN[0]}", "letters, digits"), (f":{KNOWN[0]}", "empty"),
            (b"\xe4:" + KNOWN[0].encode(), "UTF-8"),
        ):  # fmt: skip
            self.assertIn(reason, self.find_reason(line), line)

    def test_second_line_of_a_name_is_told(self) -> None:
        candidates, skipped = parse_file(f"anna:{KNOWN[0]}\nANNA:{KNOWN[1]}\n".encode())
        self.assertEqual(candidates, [Candidate(1, "anna", KNOWN[0])])
        self.assertEqual(skipped, [Skipped(2, "anna", "line 1 has the same name")])

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.binary(max_size=40), max_size=8))
    def test_nothing_is_lost_whatever_the_file_holds(self, lines: list[bytes]) -> None:
        octets = b"\n".join(lines)
        candidates, skipped = parse_file(octets, homes=True)
        said = [line for line in octets.split(b"\n") if line.rstrip(b"\r").strip() and not line.startswith(b"#")]
        self.assertEqual(len(candidates) + len(skipped), len(said))
