"""The configuration: models, loading, every error with its line.

This floor is pure: no Twisted, no sockets, no clock. It knows no kind; the catalogue hands each kind's model in.
"""

from netservices.config.errors import ConfigError, Problem, Severity
from netservices.config.finding import find_path
from netservices.config.findings import ExamineContext, Finding
from netservices.config.kinds import KindCatalogue, KindError, KindExaminer, KindModels
from netservices.config.listen import InetListen, Listen, SystemdListen, UnixListen, parse_listen
from netservices.config.loading import load, load_text
from netservices.config.meaning import examine
from netservices.config.models import (
    AccountsOptions,
    AdmissionOptions,
    Bans,
    Config,
    DaemonOptions,
    Facility,
    FileLogOptions,
    Level,
    Limits,
    LogOptions,
    Network,
    ServiceOptions,
    SyslogOptions,
    Table,
    Timeouts,
    TlsOptions,
    TlsVersion,
)
from netservices.config.paths import Folder, InputFile
from netservices.config.rights import Reader
from netservices.config.secrets import Secret
from netservices.config.tryout import TRYOUT_FILE, load_tryout
from netservices.config.units import Duration, PositiveDuration, Rate, Size
from netservices.config.words import Worded

__all__ = [
    "TRYOUT_FILE",
    "AccountsOptions",
    "AdmissionOptions",
    "Bans",
    "Config",
    "ConfigError",
    "DaemonOptions",
    "Duration",
    "ExamineContext",
    "Facility",
    "FileLogOptions",
    "Finding",
    "Folder",
    "InetListen",
    "InputFile",
    "KindCatalogue",
    "KindError",
    "KindExaminer",
    "KindModels",
    "Level",
    "Limits",
    "Listen",
    "LogOptions",
    "Network",
    "PositiveDuration",
    "Problem",
    "Rate",
    "Reader",
    "Secret",
    "ServiceOptions",
    "Severity",
    "Size",
    "SyslogOptions",
    "SystemdListen",
    "Table",
    "Timeouts",
    "TlsOptions",
    "TlsVersion",
    "UnixListen",
    "Worded",
    "examine",
    "find_path",
    "load",
    "load_text",
    "load_tryout",
    "parse_listen",
]
