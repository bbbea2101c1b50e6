"""Lines of htpasswd, passwd(5) and shadow(5) files, as accounts to be. Pure: text in, values out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from netservices.runtime.accounts.crypts import is_imported
from netservices.runtime.accounts.names import prepare_home, prepare_name

_HTPASSWD, _PASSWD, _SHADOW = 2, 7, 9
# crypt(3), shadow(5), htpasswd(1): what stands for the hash, and is none that is taken.
_REASONS = (
    (r"[x*]?|\*.+", "it has no password here"),
    (r"!.*", "its password is locked"),
    (r"\{.*", "its hash has no salt, or is of a directory's form"),
    (r"\$(2[aby]|5|6|y|apr1)\$.*", "its hash is not whole, or costs too much time"),
    (r"\$.*", "its hash is of a form that is not taken"),
    (r"[./A-Za-z0-9]{13}", "its hash is the old crypt, which keeps 8 characters"),
)


@dataclass(frozen=True)
class Candidate:
    """A line that can become an account. ``home`` is empty where it has none, or was not asked for."""

    line: int
    name: str
    password_hash: str
    home: str = ""


@dataclass(frozen=True)
class Skipped:
    """A line that can't, and why."""

    line: int
    name: str
    reason: str


def parse_file(octets: bytes, *, homes: bool = False) -> tuple[list[Candidate], list[Skipped]]:
    """Every line that says something is one or the other. The number of its fields tells of which file a line is."""
    candidates: list[Candidate] = []
    skipped: list[Skipped] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(octets.split(b"\n"), 1):
        stripped = line.rstrip(b"\r")
        if not stripped.strip() or stripped.startswith(b"#"):
            continue
        found = _parse_line(number, stripped, homes=homes)
        if isinstance(found, Candidate) and found.name in seen:
            found = Skipped(number, found.name, f"line {seen[found.name]} has the same name")
        if isinstance(found, Skipped):
            skipped.append(found)
        else:
            seen[found.name] = number
            candidates.append(found)
    return candidates, skipped


def _parse_line(number: int, line: bytes, *, homes: bool) -> Candidate | Skipped:
    try:
        fields = line.decode("utf-8").split(":")
    except UnicodeDecodeError:
        return Skipped(number, "", "it is not UTF-8")
    if len(fields) not in {_HTPASSWD, _PASSWD, _SHADOW}:
        return Skipped(number, "", f"it has {len(fields)} fields, wanted 2 (htpasswd), 7 (passwd) or 9 (shadow)")
    try:
        name = prepare_name(fields[0])
        home = prepare_home(fields[5]) if homes and len(fields) == _PASSWD and fields[5] else ""
    except ValueError as error:
        return Skipped(number, "", str(error))
    stored = fields[1]
    if not is_imported(stored):
        return Skipped(number, name, _find_reason(stored))
    return Candidate(number, name, stored, home)


def _find_reason(stored: str) -> str:
    for form, reason in _REASONS:
        if re.fullmatch(form, stored):
            return reason
    return "its password is not hashed"
