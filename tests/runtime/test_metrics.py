"""What the daemon counts, as a collector reads it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.metrics import Metrics


class MetricsTests(SynchronousTestCase):
    """One registry of one process."""

    def setUp(self) -> None:
        self.metrics = Metrics()

    def read(self) -> dict[tuple[str, str], float]:
        """Every sample, by its name and the service it is about."""
        families = text_string_to_metric_families(self.metrics.exposition().decode())
        return {
            (sample.name, sample.labels.get("service", "")): sample.value
            for family in families
            for sample in family.samples
        }

    def test_families_are_told_with_their_labels(self) -> None:
        self.metrics.opened.labels("echo").inc()
        self.metrics.sessions.labels("echo").set(3)
        self.metrics.seconds.labels("echo").observe(0.5)
        read = self.read()
        self.assertEqual(read["netservices_sessions_opened_total", "echo"], 1)
        self.assertEqual(read["netservices_sessions", "echo"], 3)
        self.assertEqual(read["netservices_session_seconds_count", "echo"], 1)

    def test_process_is_told_too(self) -> None:
        read = self.read()
        self.assertGreater(read["process_resident_memory_bytes", ""], 1_000_000)
        self.assertGreater(read["process_open_fds", ""], 2)

    def test_counts_are_read_when_somebody_looks(self) -> None:
        numbers = {"web": 1.0}
        self.metrics.add_count("netservices_answers", "Answers.", "web", lambda: numbers["web"])
        self.metrics.add_count("netservices_answers", "Answers.", "other", lambda: 7.0)
        self.assertEqual(self.read()["netservices_answers_total", "web"], 1)
        numbers["web"] = 5
        self.assertEqual(self.read()["netservices_answers_total", "web"], 5)
        self.metrics.drop_counts("web")
        read = self.read()
        self.assertNotIn(("netservices_answers_total", "web"), read)
        self.assertEqual(read["netservices_answers_total", "other"], 7)

    def test_two_registries_do_not_meet(self) -> None:
        self.metrics.opened.labels("echo").inc()
        self.assertNotIn(b'netservices_sessions_opened_total{service="echo"}', Metrics().exposition())
