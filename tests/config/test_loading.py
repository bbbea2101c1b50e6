"""From a file to a configuration, or to every mistake in it."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.config import Config, ConfigError, InetListen, Limits, Rate, examine, load, load_text
from netservices.config.loading import LARGEST_FILE
from tests.config.made_up import LampOptions, MadeUpKinds, ShopOptions, load_made_up

FIVE_MISTAKES = """\
[daemon]
hostnam = "a.example"
shutdown = 5

[tls]
certificate = "missing.pem"

[services.lamp]
listen = ["tcp:7"]
timeouts = { idle = "5 minutes" }

[services.lmap]
listen = ["tcp:8"]
"""

NO_DURATION = 'not a duration, wanted a number and a unit: "500ms", "10s", "5m", "12h", "1d" or "2w"'
NO_FILE = "No such file or directory, wanted a file that can be read"
WANTED_LAMP = 'wanted "lamp" or "shop", did you mean "lamp"?'
NO_TABLE = "wanted a table for each service: [services.NAME]"
NO_NAME = "is not a name for a service, wanted 1 to 64 letters, digits, hyphens and underscores"
LEVELS = 'wanted one of "debug", "info", "warn", "error" or "critical"'

GOOD = """\
[daemon]
shutdown = "5s"
[tls.names]
[admission]
allow = ["10.0.0.0/8", "::1"]
limits = { per_peer = 3, rate = "1/s" }
[services.lamp]
listen = ["tcp:7"]
greeting = "on"
[services.shop]
listen = ["tcp:8", "unix:/x"]
places = [{ path = "a" }, { path = "b", open = false }]
prices = { a = 1 }
wait = "5m"
port_range = [1, 2]
[services.shop.rooms.a]
path = "c"
[services.shop.rooms.b]
path = "d"
"""
SCRAPS = (
    "", "\n", "[", "]", "{", "}", "=", ".", ",", '"', "'", "[[", "]]", "1", "-1", "1.5", "true", "nan", "1979-05-27",
    "x", '"x"', "[]", "{}", "services", "[services.y]", "[[services.shop]]", "kind = 5\n", "[admission.limits]", "\\",
    "\0", "é", "\\n",
)  # fmt: skip


class MistakesCase(SynchronousTestCase):
    """Says what loading a text says."""

    def mistakes(self, text: str, *, base: Path | None = None) -> list[str]:
        error = self.assertRaises(ConfigError, load_made_up, text, base=base)
        return str(error).splitlines()

    def mistake(self, text: str) -> str:
        """The one there is, without the file's name."""
        (line,) = self.mistakes(text)
        return line.removeprefix("f.toml:")

    def option_mistake(self, option: str) -> str:
        """What is said of one line in a section of kind shop, which is on line 3."""
        return self.mistake(f'[services.shop]\nlisten = ["tcp:8"]\n{option}').removeprefix("3: services.shop.")


class EveryMistakeTests(MistakesCase):
    """R1: every mistake at once, with its line, in the order of the file."""

    def test_five_mistakes_are_five_lines(self) -> None:
        self.assertEqual(
            self.mistakes(FIVE_MISTAKES, base=Path("/nowhere")),
            [
                'f.toml:2: daemon.hostnam: is not a key of this table, did you mean "hostname"?',
                f"f.toml:3: daemon.shutdown: {NO_DURATION}",
                f"f.toml:6: tls.certificate: /nowhere/missing.pem can't be read: {NO_FILE}",
                f"f.toml:10: services.lamp.timeouts.idle: {NO_DURATION}",
                f'f.toml:12: services.lmap.kind: is missing, and "lmap" is not a kind of service, {WANTED_LAMP}',
            ],
        )

    def test_unknown_table_is_told_with_a_near_miss(self) -> None:
        self.assertEqual(self.mistake("[deamon]\n"), '1: deamon: is not a key of this table, did you mean "daemon"?')

    def test_unknown_key_without_a_near_miss_lists_the_known(self) -> None:
        self.assertEqual(
            self.mistake("\n[log.file]\nzzz = 1"),
            "3: log.file.zzz: is not a key of this table, wanted one of path or queue",
        )

    def test_key_that_belongs_into_a_table_is_shown_its_place(self) -> None:
        self.assertEqual(
            self.option_mistake("per_peer = 3"), 'per_peer: is not a key of this table, did you mean "limits.per_peer"?'
        )

    def test_wrong_types_are_never_bent(self) -> None:
        for option, said in (
            ('enabled = "yes"', "enabled: is a text, wanted true or false"),
            ("enabled = 1", "enabled: is a whole number, wanted true or false"),
            ('limits.sessions = "5"', "limits.sessions: is a text, wanted a whole number (above 0)"),
            ("limits.sessions = true", "limits.sessions: is true, wanted a whole number (above 0)"),
            ("limits.sessions = 5.0", "limits.sessions: is a number with a fraction, wanted a whole number (above 0)"),
            ('ratio = "1"', "ratio: is a text, wanted a number"),
            ("ratio = false", "ratio: is false, wanted a number"),
            ("stock = 5", "stock: is a whole number, wanted a path"),
            ("names = 'a'", "names: is a text, wanted a list of texts"),
            ("names = [5]", "names: is a whole number, wanted a text"),
            ("limits = 5", "limits: is a whole number, wanted a table"),
            ("prices = []", "prices: is a list, wanted a table of whole numbers"),
            ("prices = { a = 'b' }", "prices.a: is a text, wanted a whole number"),
            ("places = {}", "places: is a table, wanted a list of tables"),
            ("wait = 5", 'wait: is a whole number, wanted a duration or "never"'),
            ("wait = 'ever'", 'wait: is a text, wanted a duration or "never"'),
            ("listen = 'x'", "listen: is a text, wanted a list of listen entries"),
            ("token = 5", 'token: not a secret, wanted a text, { file = "/path" } or { env = "NAME" }'),
            ("allow = ['x']", 'allow: "x" is not a network, wanted one such as "192.168.0.0/16" or "2001:db8::/32"'),
            ("allow = [1]", 'allow: not a network, wanted one such as "192.168.0.0/16" or "2001:db8::/32"'),
            ("deny = ['10.0.0.1/8']", 'deny: "10.0.0.1/8" has bits set beyond its prefix, did you mean "10.0.0.0/8"?'),
            ("stock = 1979-05-27", "stock: is a date or time, wanted something else: no option takes that"),
            ("ratio = nan", "ratio: is nan, wanted something else: no option takes that"),
            ("ratio = -inf", "ratio: is -inf, wanted something else: no option takes that"),
            ("ratio = 1e999", "ratio: is inf, wanted something else: no option takes that"),
            ("names = ['a', 07:32:00]", "names: is a date or time, wanted something else: no option takes that"),
        ):
            text = f"[services.shop]\n{option}" + ("" if option.startswith("listen") else '\nlisten = ["tcp:8"]')
            self.assertEqual(self.mistake(text), f"2: services.shop.{said}", option)

    def test_right_types_in_a_wrong_measure_are_told(self) -> None:
        for option, said in (
            ("limits.sessions = 0", "limits.sessions: is too small, wanted more than 0"),
            ("line.width = 10", "line.width: is too small, wanted at least 20"),
            ("line.width = 999", "line.width: is too large, wanted at most 200"),
            ("largest = '1B'", "largest: is too small, wanted at least 1KiB"),
            ("timeouts.idle = '0s'", "timeouts.idle: is too small, wanted more than 0s"),
            ("device = ''", "device: is empty, wanted at least 1 character"),
            ("device = 'a-very-long-name'", "device: is too long, wanted at most 15 characters"),
            ("port_range = [1]", "port_range: is missing, wanted a whole number"),
            ("port_range = [1, 2, 3]", "port_range: is too long, wanted at most 2 entries"),
            ("for = 'noon'", "for: does not have the right form, wanted ^[0-9]+h$"),
            ("log_level = 'wrn'", f'log_level: "wrn" is not known here, {LEVELS}, did you mean "warn"?'),
            ("tls_minimum = '1.4'", 'tls_minimum: "1.4" is not known here, wanted one of "1.0", "1.1", "1.2" or "1.3"'),
            ("facility = 'male'", 'facility: "male" is not known here, did you mean "mail"?'),
            ("log_level = 5", f"log_level: is a whole number, {LEVELS}"),
        ):  # fmt: skip
            self.assertEqual(self.option_mistake(option), said, option)

    def test_what_is_missing_is_told_at_the_header(self) -> None:
        self.assertEqual(
            self.mistake("\n[services.lamp]\nenabled = true\n"),
            "2: services.lamp.listen: is missing, wanted a list of listen entries",
        )
        self.assertEqual(
            self.mistake("[services.lamp]\nlisten = []"), "2: services.lamp.listen: is empty, wanted at least 1 entry"
        )
        self.assertEqual(
            self.option_mistake("places = [{ open = true }]"),
            "places.path: is missing, wanted a text",
        )

    def test_mistake_in_a_list_has_the_line_of_its_entry(self) -> None:
        text = '[services.lamp]\nlisten = [\n  "tcp:7",\n  # one more\n  "tcp:x",\n]\n'
        self.assertEqual(
            self.mistake(text), '5: services.lamp.listen: "x" is not a port, wanted a number from 0 to 65535'
        )

    def test_mistake_of_a_whole_section_is_told_at_its_header(self) -> None:
        self.assertEqual(
            self.mistake('\n[services.shop]\nlisten = ["tcp:8"]\nport_range = [2, 1]'),
            "2: services.shop: port_range runs backwards, wanted the lower number first",
        )

    def test_sections_that_are_off_are_checked_too(self) -> None:
        self.assertIn("services.lamp.lisen", self.mistakes("[services.lamp]\nenabled = false\nlisen = []")[1])

    def test_what_is_no_section_is_refused(self) -> None:
        self.assertEqual(
            self.mistake("services = 5"),
            f"1: services: is a whole number, {NO_TABLE}",
        )
        self.assertEqual(self.mistake("[[services]]"), f"1: services: is a list, {NO_TABLE}")
        self.assertEqual(self.mistake("[services]\nlamp = 5"), "2: services.lamp: is a whole number, wanted a table")

    def test_names_of_sections_are_plain(self) -> None:
        for name in ("a b", "a.b", "", "ü", "x" * 65):
            told = self.mistake(f'[services."{name}"]\nkind = "lamp"\nlisten = ["tcp:7"]')
            self.assertEqual(
                told,
                f'1: services."{name}": {NO_NAME}'
                if len(name) < 65 else
                f"1: services.{name}: {NO_NAME}",
            )  # fmt: skip

    def test_unknown_kind_still_has_its_common_keys_checked(self) -> None:
        self.assertEqual(
            self.mistakes('[services.x]\nkind = "shopp"\nroot = "/x"\nlisten = ["tcp:x"]'),
            [
                f'f.toml:2: services.x.kind: "shopp" is not a kind of service, {WANTED_LAMP[:-7]}"shop"?',
                'f.toml:4: services.x.listen: "x" is not a port, wanted a number from 0 to 65535',
            ],
        )
        self.assertEqual(
            self.mistake('[services.x]\nkind = 5\nlisten = ["tcp:7"]'),
            "2: services.x.kind: is a whole number, wanted the name of a kind of service",
        )

    def test_broken_kind_is_told_by_name(self) -> None:
        error = self.assertRaises(
            ConfigError, load_text, '[services.wreck]\nlisten = ["tcp:7"]', MadeUpKinds(broken=True), file="f"
        )
        self.assertEqual(str(error), 'f:1: services.wreck.kind: the kind "wreck" can\'t be loaded')

    def test_mistake_in_admission_is_told_once(self) -> None:
        text = (
            '[admission]\nallow = ["x"]\nlimits = { sesions = 1, rate = 5, pause = "9s" }\ntimeouts = 3\n'
            '[services.lamp]\nlisten = ["tcp:7"]\n[services.shop]\nlisten = ["tcp:8"]\n'
        )
        self.assertEqual(
            [line.partition(": ")[2].partition(": ")[0] for line in self.mistakes(text)],
            ["admission.allow", "admission.limits.rate", "admission.limits.sesions", "admission.timeouts"],
        )

    def test_same_mistake_in_one_line_is_told_once(self) -> None:
        self.assertEqual(len(self.mistakes('[admission]\nallow = ["x", "x", "y"]')), 2)

    def test_secrets_are_never_in_a_message(self) -> None:
        for text in (
            '[tls]\npassword = ["hunter2"]', '[tls]\npassword = { fil = "hunter2" }', '[tls]\npasswrd = "hunter2"',
            '[tls.password]\nfile = "/x"\nenv = "hunter2"', '[tls]\npassword = "hunter2',
            '[services.shop]\ntoken = 1\nx = "hunter2"',
            '[services.shop]\nlisten = ["tcp:8"]\ntoken = { env = "UNSET", x = "hunter2" }',
        ):  # fmt: skip
            self.assertNotIn("hunter2", "\n".join(self.mistakes(text)))


class AnyTextTests(SynchronousTestCase):
    """R1: whatever is in the file, the answer is a configuration or mistakes, never a traceback."""

    @settings(deadline=None, max_examples=300)
    @given(st.data())
    def test_any_change_to_a_good_file_is_taken_or_told(self, data: st.DataObject) -> None:
        text = GOOD
        for _ in range(data.draw(st.integers(1, 4))):
            start = data.draw(st.integers(0, len(text)))
            end = min(len(text), start + data.draw(st.integers(0, 12)))
            text = text[:start] + data.draw(st.sampled_from(SCRAPS)) + text[end:]
        try:
            config = load_made_up(text)
        except ConfigError as error:
            self.assertTrue(error.problems)
            lines = [problem.line for problem in error.problems]
            self.assertEqual(lines, sorted(lines))
            for line in str(error).splitlines():
                self.assertRegex(line, r"^f\.toml(:[0-9]+)?: ")
        else:
            examine(config, MadeUpKinds())


class TomlTests(MistakesCase):
    """R1: what is not TOML is told with its line."""

    def test_syntax_is_told_with_its_line(self) -> None:
        for text, told in (
            ("[a]\nb = \n", "2: not TOML: invalid value, wanted KEY = VALUE or [TABLE]"),
            ("[a]\n[a]\n", "2: not TOML: "),
            ("a = 1\na = 2", "2: not TOML: "),
            ('a = """\nx\n', "2: not TOML: "),
            ("\ufeffa = 1", "1: not TOML: "),
            ("a = [1,\n\n", "1: not TOML: "),
            ("a = 1979-13-99", "1: not TOML: "),
        ):
            self.assertTrue(self.mistake(text).startswith(told), self.mistake(text))

    def test_what_tomllib_chokes_on_is_a_mistake(self) -> None:
        self.assertIn("is nested too deeply", self.mistake("a = " + "[" * 5000 + "]" * 5000))
        self.assertIn("is nested too deeply", self.mistake("a" + ".a" * 5000 + " = 1"))
        self.assertIn("too long", self.mistake("a = " + "1" * 5000))


class LoadFileTests(MistakesCase):
    """R1: a file that can't be read is a mistake too."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.file = self.folder / "netservices.toml"

    def refuse(self, octets: bytes | None) -> str:
        if octets is not None:
            self.file.write_bytes(octets)
        return str(self.assertRaises(ConfigError, load, self.file, MadeUpKinds()))

    def test_file_that_is_missing_or_a_folder_is_refused(self) -> None:
        self.assertEqual(
            self.refuse(None), f"{self.file}: can't be read: No such file or directory, wanted a TOML file"
        )
        self.file.mkdir()
        self.assertEqual(self.refuse(None), f"{self.file}: can't be read: Is a directory, wanted a TOML file")
        error = self.assertRaises(ConfigError, load, Path("a\0b"), MadeUpKinds())
        self.assertIn("holds a NUL", str(error))

    def test_file_that_is_not_utf8_is_refused_with_its_line(self) -> None:
        self.assertEqual(self.refuse(b"\n# caf\xe9\n"), f"{self.file}:2: is not UTF-8, wanted TOML in UTF-8")

    def test_huge_file_is_refused(self) -> None:
        self.assertEqual(self.refuse(b"#" * (LARGEST_FILE + 1)), f"{self.file}: is too large, wanted at most 1 MiB")
        self.file.write_bytes(b"#" * LARGEST_FILE)
        self.assertEqual(load(self.file, MadeUpKinds()), Config())

    def test_relative_paths_start_at_the_files_folder(self) -> None:
        (self.folder / "secret").write_text("s\n")
        self.file.write_text('[services.shop]\nlisten = ["tcp:8"]\ntoken = { file = "secret" }\nroot = "www"')
        options = load(self.file, MadeUpKinds()).services["shop"]
        assert isinstance(options, ShopOptions)
        assert options.token is not None
        self.assertEqual(options.token.get_secret_value(), "s")
        self.assertEqual(options.root, self.folder.absolute() / "www")

    def test_nul_in_a_path_is_a_mistake(self) -> None:
        self.assertIn("holds a NUL", self.refuse(b'[tls]\ncertificate = "a\\u0000b"'))

    def test_fifo_does_not_block(self) -> None:
        os.mkfifo(self.folder / "pipe")
        self.assertIn("is not a file", self.refuse(b'[tls]\ncertificate = "pipe"'))


class DefaultsTests(SynchronousTestCase):
    """Section 3 of the design: the section, else [admission], else the kind's own, else the built-in default."""

    def limits(self, text: str, name: str = "lamp") -> Limits:
        return load_made_up(text).services[name].limits

    def test_kinds_own_default_goes_before_the_built_in(self) -> None:
        text = '[services.lamp]\nlisten = ["tcp:7"]\n'
        self.assertEqual(self.limits(text), Limits(sessions=10, per_peer=3))

    def test_admission_goes_before_the_kinds_own(self) -> None:
        text = '[admission]\nlimits = { per_peer = 7 }\n[services.lamp]\nlisten = ["tcp:7"]\n'
        self.assertEqual(self.limits(text), Limits(sessions=10, per_peer=7))

    def test_section_goes_before_admission_key_by_key(self) -> None:
        text = (
            '[admission]\nlimits = { per_peer = 7, rate = "1/s" }\n'
            '[services.lamp]\nlisten = ["tcp:7"]\nlimits = { rate = "2/s" }\n[services.shop]\nlisten = ["tcp:8"]\n'
        )
        self.assertEqual(self.limits(text), Limits(sessions=10, per_peer=7, rate=Rate(2, 1.0)))
        self.assertEqual(self.limits(text, "shop"), Limits(per_peer=7, rate=Rate(1, 1.0)))

    def test_kinds_own_durations_survive_a_table_named_in_part(self) -> None:
        text = '[services.shop]\nlisten = ["tcp:8"]\n[services.shop.timeouts]\nwrite = "5s"\n'
        timeouts = load_made_up(text).services["shop"].timeouts
        self.assertEqual((timeouts.idle, timeouts.write, timeouts.login), (30.0, 5.0, 60.0))

    def test_lists_are_taken_whole(self) -> None:
        text = (
            '[admission]\nallow = ["10.0.0.0/8"]\ndeny = ["10.9.0.0/16"]\n'
            '[services.lamp]\nlisten = ["tcp:7"]\ndeny = ["10.8.0.1"]\n'
        )
        options = load_made_up(text).services["lamp"]
        self.assertEqual((options.allow, options.deny), ((ip_network("10.0.0.0/8"),), (ip_network("10.8.0.1/32"),)))

    def test_admission_alone_stays_as_the_file_has_it(self) -> None:
        self.assertEqual(load_made_up("[admission.limits]\nper_peer = 7").admission.limits, Limits(per_peer=7))

    def test_name_of_a_section_is_its_kind(self) -> None:
        config = load_made_up(
            '[services.lamp]\nlisten = ["tcp:7"]\n[services.desk]\nkind = "lamp"\nlisten = ["tcp:0"]\n'
        )
        self.assertEqual(config.services["lamp"].kind, "lamp")
        self.assertIsInstance(config.services["desk"], LampOptions)
        self.assertEqual(config.services["desk"].listen, (InetListen("tcp", 0),))

    def test_key_with_another_name_in_python_is_found(self) -> None:
        options = load_made_up('[services.shop]\nlisten = ["tcp:8"]\nfor = "3h"').services["shop"]
        assert isinstance(options, ShopOptions)
        self.assertEqual(options.hours, "3h")

    def test_empty_file_is_all_defaults(self) -> None:
        self.assertEqual(load_made_up(""), Config())


class OriginTests(SynchronousTestCase):
    """R12: a refusal can name its rule and its line."""

    TEXT = (
        '[admission]\nlimits = { per_peer = 7 }\n[services.lamp]\nlisten = ["tcp:7"]\n\nlimits.rate = "2/s"\n'
        "[tls.names]\n"
    )

    def test_setting_is_found_in_its_section_then_in_admission(self) -> None:
        config = load_made_up(self.TEXT)
        self.assertEqual(config.file, "f.toml")
        self.assertEqual(config.origin("services.lamp.limits.rate"), "f.toml:6: services.lamp.limits.rate")
        self.assertEqual(config.origin("services.lamp.limits.per_peer"), "f.toml:2: admission.limits.per_peer")
        self.assertEqual(config.origin("services.lamp.limits.sessions"), "built in")
        self.assertEqual(config.origin("admission.limits.sessions"), "built in")
        self.assertEqual(config.origin("services.lamp.listen"), "f.toml:4: services.lamp.listen")

    def test_keys_that_are_not_inherited_are_not_looked_for_in_admission(self) -> None:
        config = load_made_up('[admission]\n[services.lamp]\nlisten = ["tcp:7"]')
        self.assertEqual(config.origin("services.lamp.greeting"), "built in")
        self.assertEqual(config.origin("services.lamp"), "f.toml:2: services.lamp")

    def test_line_is_of_the_nearest_table(self) -> None:
        config = load_made_up(self.TEXT)
        self.assertEqual(config.line("services.lamp.greeting"), 3)
        self.assertEqual(config.line("services.lamp.limits.per_peer"), 2)
        self.assertEqual(config.line("log.level"), 0)

    def test_lines_do_not_count_when_configurations_are_compared(self) -> None:
        self.assertEqual(load_made_up(self.TEXT), load_made_up("\n\n" + self.TEXT))
        self.assertNotEqual(load_made_up(self.TEXT), load_made_up(self.TEXT.replace("7 }", "8 }")))

    def test_configuration_made_in_code_is_built_in(self) -> None:
        self.assertEqual((Config().file, Config().origin("daemon.state"), Config().line("daemon")), ("", "built in", 0))
