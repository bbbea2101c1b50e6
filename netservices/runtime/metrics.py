"""What the daemon counts: one registry, shown in ``netservices status`` and in Prometheus' text form.

The families are prometheus_client's, in a registry of our own. What happens many thousand times a second is counted by
its owner in a plain attribute, and read from there when somebody looks (``add_count``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.core import Metric

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_STRETCH = 10.0
_STRETCHES = 6
"""The last minute, in stretches of ten seconds."""
_SECONDS = (0.01, 0.1, 1, 10, 60, 600, 3600, 43200)


class Metrics:
    """Every family of the process; each has the label ``service``, and a service that is gone keeps its totals."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        self.sessions = Gauge("netservices_sessions", "Sessions that are open.", ["service"], registry=self.registry)
        self.opened = Counter(
            "netservices_sessions_opened", "Sessions that were admitted.", ["service"], registry=self.registry
        )
        self.octets = Counter(
            "netservices_session_bytes",
            "Bytes of sessions that have ended, before encryption; direction is in or out.",
            ["service", "direction"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "netservices_session_seconds",
            "How long sessions lasted.",
            ["service"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.refused = Counter(
            "netservices_refusals",
            "Connections and datagrams that were not taken, by the option that decided.",
            ["service", "rule"],
            registry=self.registry,
        )
        self.failures = Counter(
            "netservices_bugs", "Sessions and datagrams that met a bug.", ["service"], registry=self.registry
        )
        self.reloads = Counter(
            "netservices_reloads", "Reloads; outcome is done or refused.", ["outcome"], registry=self.registry
        )
        self._counts = _Counts()
        self.registry.register(self._counts)

    def add_count(self, name: str, meaning: str, service: str, read: Callable[[], float]) -> None:
        """Show what ``read`` gives, a number that only grows, as the counter ``name`` of ``service``.

        A service that is made anew starts again at zero, as a counter may.
        """
        self._counts.add(name, meaning, service, read)

    def drop_counts(self, service: str) -> None:
        """The service is gone for good."""
        self._counts.drop(service)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text form, UTF-8."""
        return generate_latest(self.registry)


class SectionMetrics:
    """One section's part of it. ``now`` tells seconds, for the rate of new sessions."""

    def __init__(self, metrics: Metrics, service: str, now: Callable[[], float]) -> None:
        self._sessions = metrics.sessions.labels(service)
        self._opened = metrics.opened.labels(service)
        self._octets_in = metrics.octets.labels(service, "in")
        self._octets_out = metrics.octets.labels(service, "out")
        self._seconds = metrics.seconds.labels(service)
        self._failures = metrics.failures.labels(service)
        self._refused = metrics.refused
        self._service = service
        self._now = now
        self._recent: dict[int, int] = {}
        self.total = 0
        """Sessions that this section has admitted."""
        self.turned_away = 0
        """Connections and datagrams that it has not."""

    def opened(self) -> None:
        """A session was admitted."""
        self._sessions.inc()
        self._opened.inc()
        self.total += 1
        moment = int(self._now() // _STRETCH)
        self._recent[moment] = self._recent.get(moment, 0) + 1
        if len(self._recent) > _STRETCHES + 1:
            self._forget(moment)

    def ended(self, seconds: float, octets_in: int, octets_out: int) -> None:
        """A session has ended."""
        self._sessions.dec()
        self._seconds.observe(seconds)
        self._octets_in.inc(octets_in)
        self._octets_out.inc(octets_out)

    def refused(self, rule: str) -> None:
        """A connection or datagram was not taken; ``rule`` is the option that decided."""
        self._refused.labels(self._service, rule).inc()
        self.turned_away += 1

    def failed(self) -> None:
        """A session or datagram met a bug."""
        self._failures.inc()

    def per_minute(self) -> int:
        """Sessions of the last minute, to within ten seconds."""
        moment = int(self._now() // _STRETCH)
        self._forget(moment)
        return sum(self._recent.values())

    def _forget(self, moment: int) -> None:
        self._recent = {at: count for at, count in self._recent.items() if at > moment - _STRETCHES}


class _Counts:
    """The counters that are read when somebody looks."""

    def __init__(self) -> None:
        self._families: dict[str, tuple[str, dict[str, Callable[[], float]]]] = {}

    def add(self, name: str, meaning: str, service: str, read: Callable[[], float]) -> None:
        _, readers = self._families.setdefault(name, (meaning, {}))
        readers[service] = read

    def drop(self, service: str) -> None:
        for _, readers in self._families.values():
            readers.pop(service, None)

    def describe(self) -> Iterable[Metric]:
        """Nothing yet, so that the registry asks for no numbers while it is being built."""
        return ()

    def collect(self) -> Iterable[Metric]:
        for name, (meaning, readers) in self._families.items():
            family = CounterMetricFamily(name, meaning, labels=["service"])
            for service, read in readers.items():
                family.add_metric([service], read())
            yield family
