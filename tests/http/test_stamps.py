"""Dates that are made once a second."""

from __future__ import annotations

import os
import time

from twisted.trial.unittest import SynchronousTestCase

from netservices.http.stamps import Stamps, format_log_time


class StampsTests(SynchronousTestCase):
    """The cached texts."""

    def test_texts_change_with_the_second(self) -> None:
        """In both directions; within one the very same objects are given."""
        stamps = Stamps()
        first = stamps.at(10.2).date
        self.assertEqual(first, b"Thu, 01 Jan 1970 00:00:10 GMT")
        self.assertIs(stamps.at(10.9).date, first)
        self.assertEqual(stamps.at(11.0).date, b"Thu, 01 Jan 1970 00:00:11 GMT")
        self.assertEqual(stamps.at(9.0).date, b"Thu, 01 Jan 1970 00:00:09 GMT")

    def test_log_time_is_local_with_its_offset(self) -> None:
        """East and west of Greenwich, with half hours."""
        before = os.environ.get("TZ")

        def restore() -> None:
            os.environ.pop("TZ", None)
            if before is not None:
                os.environ["TZ"] = before
            time.tzset()

        self.addCleanup(restore)
        for zone, expected in (
            ("UTC0", b"01/Jan/1970:00:00:00 +0000"),
            ("XXX-5:30", b"01/Jan/1970:05:30:00 +0530"),
            ("XXX3:30", b"31/Dec/1969:20:30:00 -0330"),
        ):
            os.environ["TZ"] = zone
            time.tzset()
            self.assertEqual(format_log_time(0), expected)
