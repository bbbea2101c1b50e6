"""No log event is emitted undeclared, and none is undocumented (R35)."""

from __future__ import annotations

import ast
import string
import sys
from pathlib import Path

from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

import netservices
from netservices.daemon.events import collect_events, find_modules, make_event_table
from netservices.runtime import Event

PAGE = Path(__file__).parent.parent / "docs" / "log-events.md"
START, END = "<!-- events -->\n", "<!-- end -->"


def make_page(page: str) -> str:
    """The page with its table as the code has it."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return before + START + make_event_table(collect_events()) + END + after


class LogEventsTests(SynchronousTestCase):
    """The declarations, and the code that uses them."""

    def test_every_event_of_a_module_is_in_its_list(self) -> None:
        for module in find_modules():
            own = {value for value in vars(module).values() if isinstance(value, Event)}
            listed = set(getattr(module, "EVENTS", ()))
            imported = own - listed
            declared_elsewhere = {event for other in find_modules() for event in getattr(other, "EVENTS", ())}
            self.assertEqual(imported - declared_elsewhere, set(), module.__name__)

    def test_names_are_unique_and_of_the_house_form(self) -> None:
        events = collect_events()
        self.assertEqual(len({event.name for event in events}), len(events))
        self.assertGreater(len(events), 10)
        for event in events:
            self.assertRegex(event.name, r"^[a-z0-9]+\.[a-z_]+\.[a-z_]+$")
            # RFC 5424 6.2.7: a MSGID has at most 32 characters.
            self.assertLessEqual(len(event.name), 32, event.name)

    def test_every_event_says_what_it_means(self) -> None:
        for event in collect_events():
            self.assertGreater(len(event.meaning), 10, event.name)
            self.assertIn(event.level, list(LogLevel.iterconstants()))
            # The line is a format that can be read.
            list(string.Formatter().parse(event.text))

    def test_nothing_is_emitted_but_declared_events(self) -> None:
        """``emit`` and ``failure`` of a log take a name in capitals, which is an ``Event`` of the module."""
        root = Path(netservices.__file__).parent
        found = 0
        for path in sorted(root.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                owner = ast.unparse(node.func.value)
                if node.func.attr not in {"emit", "failure"} or not owner.endswith(("log", "_log")):
                    continue
                found += 1
                first = node.args[0]
                place = f"{path}:{node.lineno}"
                self.assertTrue(isinstance(first, ast.Name) and first.id.isupper(), f"{place}: {ast.unparse(first)}")
        self.assertGreater(found, 10)

    def test_page_has_every_event(self) -> None:
        """``python -m tests.test_log_events`` writes the page anew."""
        page = PAGE.read_text("utf-8")
        self.assertEqual(page, make_page(page))


if __name__ == "__main__":
    PAGE.write_text(make_page(PAGE.read_text("utf-8")), "utf-8")
    sys.exit()
