"""What the daemon says of its own life."""

from __future__ import annotations

from twisted.logger import LogLevel

from netservices.runtime import Event

STARTED = Event(
    "daemon.process.started",
    LogLevel.info,
    "netservices {version} runs with {source}, state in {state}",
    "Every listener is bound and answers.",
)
START_FAILED = Event(
    "daemon.process.refused",
    LogLevel.critical,
    "netservices did not start: {reason}",
    "Nothing runs and nothing is bound; the exit status is 1. Mend what the reason names and start again.",
)
STOPPING = Event(
    "daemon.process.stopping",
    LogLevel.info,
    "stopping: {sessions} sessions may go on for {patience} s",
    "A signal asked the daemon to end. Nothing new is accepted.",
)
STOPPED = Event("daemon.process.stopped", LogLevel.info, "stopped", "The daemon ended in order.")
AUTHORITY_FOUND = Event(
    "daemon.authority.used",
    LogLevel.info,
    "no certificate is configured, so a local authority signs one; clients check it with {path}",
    "Give this file to the programs that connect with TLS (`curl --cacert`, `openssl -CAfile`, a browser's settings), "
    "or set `[tls] certificate`.",
)
RENEWAL_FAILED = Event(
    "daemon.certificate.failed",
    LogLevel.error,
    "the certificates could not be read or renewed: {reason}",
    "The certificates in use stay in use. They are looked at again tomorrow, and at every reload.",
)
DOUBTED = Event(
    "daemon.configuration.doubted",
    LogLevel.warn,
    "{problem}",
    "It runs, but something in it is probably not meant, or not safe. `netservices check` says the same.",
)
RELOADED = Event(
    "daemon.configuration.reloaded",
    LogLevel.info,
    "{source} was read again: {started} sections are new or changed, {kept} go on as they were",
    "A reload succeeded; certificates were read again too.",
)
RELOAD_REFUSED = Event(
    "daemon.configuration.refused",
    LogLevel.error,
    "{source} was not taken over: {problem}",
    "A reload found a mistake: everything goes on as before. There is one such line for every mistake.",
)
RELOAD_FAILED = Event(
    "daemon.configuration.failed",
    LogLevel.critical,
    "{source} was not taken over: {log_failure.value}",
    "A reload met a bug: everything goes on as before. Please report it with the traceback.",
)
LISTENERS_FAILED = Event(
    "daemon.listeners.failed",
    LogLevel.error,
    "{reason}",
    "The services run, but `listeners.json` in the state directory does not tell where. Is the disk full?",
)
LOGINS_FAILED = Event(
    "daemon.logins.failed",
    LogLevel.critical,
    "nobody can log in: {log_failure.value}",
    "The account database was good a moment ago and can't be used now. Restart the daemon when it can.",
)
STOP_FAILED = Event(
    "daemon.stop.failed",
    LogLevel.critical,
    "something could not be stopped in order: {log_failure.value}",
    "The daemon ends all the same; please report it with the traceback.",
)

EVENTS = (
    STARTED, START_FAILED, STOPPING, STOPPED, STOP_FAILED, AUTHORITY_FOUND, RENEWAL_FAILED, DOUBTED, RELOADED,
    RELOAD_REFUSED, RELOAD_FAILED, LISTENERS_FAILED, LOGINS_FAILED,
)  # fmt: skip
