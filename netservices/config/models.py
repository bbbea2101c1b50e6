"""The tables that every configuration has: frozen models; a docstring below an option is its line in the manual.

The docstrings are read when somebody asks for them (``docstrings``), not at every start.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    PositiveInt,
    PrivateAttr,
    WithJsonSchema,
)

from netservices.config.docstrings import load_docstrings
from netservices.config.listen import ListenList
from netservices.config.log_address import LogAddress
from netservices.config.origins import Origins
from netservices.config.paths import InputFile
from netservices.config.secrets import Secret
from netservices.config.units import Duration, PositiveDuration, Rate, Size
from netservices.config.words import Worded

if TYPE_CHECKING:
    from pydantic_core import core_schema


def parse_network(text: object) -> IPv4Network | IPv6Network:
    """``"192.168.0.0/16"``, or one address, to a network. Raises ``ValueError``."""
    if not isinstance(text, str):
        raise ValueError('not a network, wanted one such as "192.168.0.0/16" or "2001:db8::/32"')  # noqa: TRY004 - pydantic collects ValueError only
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f'"{text}" is not a network, wanted one such as "192.168.0.0/16" or "2001:db8::/32"') from None
    raise ValueError(f'"{text}" has bits set beyond its prefix, did you mean "{meant}"?')


def _load_network(value: object) -> IPv4Network | IPv6Network:
    return value if isinstance(value, IPv4Network | IPv6Network) else parse_network(value)


Network = Annotated[
    IPv4Network | IPv6Network,
    PlainValidator(_load_network),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["192.168.0.0/16", "2001:db8::/32"]}),
    Worded("a network", "networks", '"192.168.0.0/16"'),
]
"""A range of addresses in CIDR form; one address stands for itself."""

Facility = Literal[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]  # fmt: skip
"""RFC 5424 6.2.1: where syslog files a line."""

Level = Literal["debug", "info", "warn", "error", "critical"]
TlsVersion = Literal["1.0", "1.1", "1.2", "1.3"]


class Table(BaseModel):
    """One table of the file: frozen, and nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Give each option in the JSON Schema its docstring, and its default in the file's form; TOML has no null."""
        made = handler(schema)
        told = load_docstrings(cls)
        defaults = cls.model_construct().model_dump(mode="json", by_alias=True, exclude_none=True, warnings=False)
        for key, option in handler.resolve_ref_schema(made).get("properties", {}).items():
            if key in told:
                option["description"] = told[key]
            if option.pop("default", None) is not None and key in defaults:
                option["default"] = defaults[key]
            choices = [choice for choice in option.get("anyOf", []) if choice != {"type": "null"}]
            if len(choices) == 1:
                del option["anyOf"]
                option.update(choices[0])
            elif choices:
                option["anyOf"] = choices
        return made


class DaemonOptions(Table):
    """The process itself."""

    hostname: str | None = Field(default=None, min_length=1, max_length=253, examples=["host.example.org"])
    """The name this machine gives itself in greetings, logs and certificates; left out: what the system says."""
    state: Path | None = Field(default=None, examples=["/var/lib/netservices"])
    """Where everything that must survive is kept. Left out: $STATE_DIRECTORY, else /var/lib/netservices for root, else
    ./netservices-state."""
    shutdown: Duration = 10.0
    """How long sessions may go on after SIGTERM before they are closed."""


class SyslogOptions(Table):
    """How syslog is reached and written."""

    address: LogAddress = LogAddress("unix", path="/dev/log")
    """unix:PATH, udp:HOST:514, tcp:HOST:601 (octet counted) or tls:HOST:6514; IPv6 addresses in brackets."""
    format: Literal["rfc5424", "rfc3164"] | None = Field(default=None, examples=["rfc5424"])
    """The form of a line. Left out: rfc3164 to a unix socket, where collectors as they are installed read nothing else;
    rfc5424 over the network."""
    options: tuple[Literal["pid", "cons", "perror", "ndelay"], ...] = ("pid",)
    """As openlog(3): pid names the process; cons writes to the console when syslog can't be reached; perror writes to
    stderr too; ndelay connects at start instead of at the first line."""
    authority: InputFile | None = None
    """For tls: a PEM file of the authorities that may sign the collector's certificate; left out: the system's."""
    queue: PositiveInt = 10_000
    """Lines kept while syslog is slow or gone; beyond that they are counted, and the count is reported."""


class FileLogOptions(Table):
    """A log file of JSON lines."""

    path: Path = Path("netservices.log")
    """The file, reopened on SIGHUP; a relative path is below the state directory."""
    queue: PositiveInt = 10_000
    """Lines kept while the disk is slow or full; beyond that they are counted, and the count is reported."""


class LogOptions(Table):
    """The one log."""

    to: tuple[Literal["syslog", "journal", "stderr", "file"], ...] | None = Field(default=None, examples=[["syslog"]])
    """Any number of places. Left out: the journal under systemd, stderr with -n, else syslog."""
    facility: Facility = "daemon"
    """The syslog facility; a service may set its own."""
    level: Level = "info"
    """Events below it are dropped; a service may set its own."""
    syslog: SyslogOptions = SyslogOptions()
    """How syslog is reached."""
    file: FileLogOptions = FileLogOptions()
    """Where JSON lines go."""


class TlsNameOptions(Table):
    """The certificate for one name."""

    certificate: InputFile = Field(examples=["/etc/ssl/mail.pem"])
    """A PEM file: the name's certificate, then those of its authorities."""
    key: InputFile | None = Field(default=None, examples=["/etc/ssl/mail.key"])
    """The certificate's private key, PEM; left out: it is in the certificate's file."""
    password: Secret | None = None
    """What the key is encrypted with, where it is."""


def parse_server_name(text: object) -> str:
    """A host's name, or ``*.`` before one, in lower case and without a dot at its end. Raises ``ValueError``."""
    if not isinstance(text, str) or len(text) > 253 or not re.fullmatch(_SERVER_NAME, text.rstrip(".").lower()):
        raise ValueError(f'"{text}" is not a host\'s name, wanted one such as "mail.example.org" or "*.example.org"')
    return text.rstrip(".").lower()


# RFC 1123 2.1 and RFC 8552: letters, digits, hyphens within, and the underscore that names of services have.
_SERVER_NAME = r"(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"

ServerName = Annotated[
    str,
    PlainValidator(parse_server_name),
    WithJsonSchema({"type": "string", "examples": ["mail.example.org", "*.example.org"]}),
]
"""A name that a TLS client may ask for."""


class TlsOptions(Table):
    """Certificates, and what is asked of a peer's TLS."""

    certificate: InputFile | None = Field(default=None, examples=["/etc/ssl/host.pem"])
    """A PEM file: the server's certificate, then those of its authorities. Left out: a local authority is made in
    STATE/tls and signs one."""
    key: InputFile | None = Field(default=None, examples=["/etc/ssl/host.key"])
    """The certificate's private key, PEM; left out: it is in the certificate's file."""
    password: Secret | None = None
    """What the key is encrypted with, where it is."""
    names: dict[ServerName, TlsNameOptions] = Field(default_factory=dict)
    """Other certificates, for clients that ask for a name (SNI): the exact name, then "*." and the name without its
    first label, then the certificate above."""
    minimum: Literal["1.2", "1.3"] = "1.2"
    """The oldest version offered; a service may ask for an older one with tls_minimum."""


class AccountsOptions(Table):
    """The one account database, and what a login costs."""

    store: Literal["sqlite"] = "sqlite"
    """Where accounts are kept: a file in the state directory."""
    memory: Size = 19 * 2**20
    """Memory for one hash of a password (argon2id)."""
    passes: Annotated[int, Field(ge=1, le=100)] = 2
    """How often the hash goes over it."""
    scram_iterations: Annotated[int, Field(ge=4096, le=10_000_000)] = 100_000
    """Iterations of the SCRAM-SHA-256 keys."""
    queue: PositiveInt = 256
    """Logins that may wait for a hash; beyond that they are told to come back."""
    cache: Duration = 60.0
    """How long a good login is remembered; with 0s, not at all."""


class Limits(Table):
    """How much a service takes on."""

    sessions: PositiveInt = 1000
    """Sessions at once."""
    per_peer: PositiveInt = 50
    """Sessions of one peer at once; an IPv6 peer is its /64."""
    rate: Rate = Rate(200, 10.0)
    """New sessions of one peer; for datagrams, datagrams."""
    total_rate: Rate | None = Field(default=None, examples=["2000/10s"])
    """New sessions of the whole service; over it everybody is refused for the length of pause."""
    pause: Duration = 10.0
    """How long the whole service refuses once total_rate was exceeded; then it is back by itself."""


class Timeouts(Table):
    """How long a session may wait."""

    handshake: PositiveDuration = 10.0
    """From the first byte of a TLS handshake, or of a PROXY header, to its end."""
    login: PositiveDuration = 60.0
    """From the greeting to a successful login, where there is one."""
    idle: PositiveDuration = 300.0
    """Without a byte in either direction."""
    write: PositiveDuration = 60.0
    """With something to send and a peer that takes none of it."""
    session: PositiveDuration = 43200.0
    """A whole session."""


class Bans(Table):
    """When a peer is kept out of every service for a while."""

    failures: Annotated[int, Field(ge=0, le=1000)] = 10
    """Failed logins of one peer, on all services together, that bring a ban; an IPv6 peer is its /64. With 0 the
    failures of this service do not count and ban nobody."""
    within: PositiveDuration = 600.0
    """The stretch of time in which they count together."""
    duration: PositiveDuration = Field(default=3600.0, alias="for")
    """How long the ban holds, on every service."""
    loopback: bool = False
    """Whether this machine's loopback addresses can be banned too."""


EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class AdmissionOptions(Table):
    """What holds for every service that does not say otherwise; a table in a section changes only the keys it names."""

    allow: tuple[Network, ...] = EVERYWHERE
    """Who may connect. The longest matching prefix of allow and deny decides; on a tie, deny."""
    deny: tuple[Network, ...] = ()
    """Who may not."""
    limits: Limits = Limits()
    """How much is taken on."""
    timeouts: Timeouts = Timeouts()
    """How long a session may wait."""
    bans: Bans = Bans()
    """When a peer is kept out of every service for a while."""


class ServiceOptions(AdmissionOptions):
    """The keys that every service has; a kind's options inherit them."""

    kind: str
    """The kind of service; left out: the section's own name."""
    listen: ListenList = Field(min_length=1)
    """Where it is reached: tcp:PORT, tls:PORT or udp:PORT, each with :interface=ADDRESS; unix:PATH[:mode=660];
    systemd:name=NAME[:tls=yes]."""
    enabled: bool = True
    """false keeps the section in the file and the service off."""
    proxies: tuple[Network, ...] = ()
    """Peers that must send a PROXY header (v1 or v2) and whose word on the true peer is taken."""
    tls_minimum: TlsVersion | None = None
    """The oldest TLS version these listeners offer; left out: that of [tls]. 1.0 and 1.1 are unsafe."""
    client_certificates: Literal["off", "optional", "required"] = "off"
    """Whether a TLS client is asked for a certificate; required: without one there is no session under TLS."""
    client_authority: InputFile | None = Field(default=None, examples=["/etc/ssl/clients.pem"])
    """A PEM file of the authorities that may sign clients' certificates; left out: the local authority in STATE/tls."""
    keepalive: bool = True
    """Whether TCP keep-alive finds out that a silent peer is gone."""
    device: str | None = Field(default=None, min_length=1, max_length=15, examples=["eth0"])
    """Bind to this network interface only (SO_BINDTODEVICE)."""
    facility: Facility | None = None
    """The syslog facility of this service's lines; left out: that of [log]."""
    log_level: Level | None = None
    """Events of this service below it are dropped; left out: that of [log]."""


class Config(Table):
    """A whole configuration, as it will run. Equality decides what a reload changes."""

    daemon: DaemonOptions = DaemonOptions()
    """The process itself."""
    log: LogOptions = LogOptions()
    """The one log."""
    tls: TlsOptions = TlsOptions()
    """Certificates."""
    accounts: AccountsOptions = AccountsOptions()
    """The one account database."""
    admission: AdmissionOptions = AdmissionOptions()
    """Defaults for every service."""
    services: dict[str, ServiceOptions] = Field(default_factory=dict)
    """The services by name, each with its kind's own model."""

    _origins: Origins = PrivateAttr(default_factory=Origins)

    def with_origins(self, origins: Origins) -> Config:
        """The same configuration, knowing where in the file it stands; that does not count when two are compared."""
        copy = self.model_copy()
        copy._origins = origins  # noqa: SLF001 - a copy of our own class
        return copy

    @property
    def file(self) -> str:
        """The file's name as it was given; empty for a configuration made in code."""
        return self._origins.file

    def origin(self, path: str) -> str:
        """Where a setting was decided: ``netservices.toml:31: services.files.limits.per_peer``, or ``built in``.

        A service's setting may stand in the section itself or in ``[admission]``.
        """
        return self._origins.describe(path, inherited=AdmissionOptions.model_fields)

    def line(self, path: str) -> int:
        """The line of a setting, or of the nearest table around it that stands in the file; 0 if there is none."""
        return self._origins.find_line(path, inherited=AdmissionOptions.model_fields)
