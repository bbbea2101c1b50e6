"""The log: events in, lines out, to syslog, the journal, stderr and a file; nothing here ever holds up the reactor."""

from netservices.runtime.logs.make import Places, make_log_observer
from netservices.runtime.logs.observer import LogObserver
from netservices.runtime.logs.reports import EVENTS

__all__ = ["EVENTS", "LogObserver", "Places", "make_log_observer"]
