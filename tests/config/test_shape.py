"""A walk over models by the keys a file has."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netservices.config import Config, InetListen, Limits
from netservices.config.models import TlsNameOptions
from netservices.config.paths import FOLDER
from netservices.config.shape import find_tables, find_type, list_options, walk_values
from netservices.config.words import make_words
from tests.config.made_up import LineOptions, PlaceOptions, ShopOptions, load_made_up


class FindTypeTests(SynchronousTestCase):
    """R1: what was wanted is known for every key."""

    def test_every_place_has_its_type(self) -> None:
        for keys, words in (
            (("limits", "sessions"), "a whole number (above 0)"), (("listen", 3), "a listen entry"),
            (("port_range", 1), "a whole number"), (("prices", "any"), "a whole number"),
            (("places", 0, "open"), "true or false"), (("rooms", "any", "path"), "a text"), (("for",), "a text"),
            (("root",), "a folder's path"),
        ):  # fmt: skip
            found = find_type(ShopOptions, keys)
            assert found is not None
            self.assertEqual(make_words(*found).one, words)

    def test_unknown_place_has_none(self) -> None:
        for keys in (("hours",), ("limits", "x"), ("greeting", "x"), ("prices", "a", "b")):
            self.assertIsNone(find_type(ShopOptions, keys))
            self.assertEqual(find_tables(ShopOptions, keys), [])

    def test_tables_are_found(self) -> None:
        self.assertEqual(find_tables(ShopOptions, ("places", 0)), [PlaceOptions])
        self.assertEqual(find_tables(ShopOptions, ("line",)), [LineOptions])
        self.assertEqual(find_tables(ShopOptions, ("limits",)), [Limits])
        self.assertEqual(find_tables(Config, ("tls", "names", "x")), [TlsNameOptions])

    def test_options_go_by_their_keys_in_the_file(self) -> None:
        self.assertEqual(list_options(ShopOptions)["for"][0], "hours")


class WalkValuesTests(SynchronousTestCase):
    """R3: a check sees every value, however deep."""

    def test_every_value_is_walked(self) -> None:
        options = load_made_up(
            '[services.shop]\nlisten = ["tcp:8"]\nroot = "/x"\nprices = { a = 1 }\nrooms = { b = { path = "c" } }\n'
            'places = [{ path = "d" }]\nline = { listen = ["tcp:9"] }\n'
        ).services["shop"]
        walked = [*walk_values(options, type(options))]
        pairs = [(path, value) for path, value, _ in walked if not isinstance(value, tuple | dict)]
        for pair in (
            ("listen", InetListen("tcp", 8)), ("line.listen", InetListen("tcp", 9)), ("prices.a", 1),
            ("rooms.b.path", "c"),
            ("places.path", "d"), ("for", "1h"), ("limits.sessions", 1000),
        ):  # fmt: skip
            self.assertIn(pair, pairs)
        self.assertEqual([path for path, _, marks in walked if FOLDER in marks], ["root"])
