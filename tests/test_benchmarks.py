"""
The arithmetic of the benchmarks, and the messages they send.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import deliveries, intake, report
from benchmarks.messages import SECRET, sign, streamers
from itsjustintv.support.signatures import verify_eventsub


class PercentileTests(SynchronousTestCase):
    """
    The smallest value that so many percent do not exceed.
    """

    def test_known_values(self) -> None:
        """
        Of a hundred values in any order each percentile is one of them, and of a single one all are.
        """
        values = [float(value) for value in reversed(range(1, 101))]
        self.assertEqual([report.percentile(values, percent) for percent in (1, 50, 99, 100)], [1, 50, 99, 100])
        self.assertEqual([report.percentile([7.0], percent) for percent in (1, 50, 100)], [7, 7, 7])

    @given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
    def test_definition(self, values: list[float], percent: int) -> None:
        """
        At least so many percent do not exceed it, and fewer do not exceed any smaller value.
        """
        found = report.percentile(values, percent)
        self.assertGreaterEqual(100 * sum(value <= found for value in values), percent * len(values))
        self.assertLess(100 * sum(value < found for value in values), percent * len(values))


class OptionsTests(SynchronousTestCase):
    """
    What is run.
    """

    def test_quick_is_shorter_where_nothing_else_was_asked_for(self) -> None:
        """
        A quick look has fewer rounds, requests and events, but for those that are given.
        """
        parser = report.options(None)
        intake.add_options(parser)
        deliveries.add_options(parser)
        usual = report.parse(parser, [])
        quick = report.parse(parser, ["--quick", "--events", "4321"])
        for name in ("rounds", "requests", "seconds", "burst", "spread"):
            self.assertLess(getattr(quick, name), getattr(usual, name), name)
        self.assertEqual(quick.events, 4321)


class MessageTests(SynchronousTestCase):
    """
    What is sent.
    """

    def test_each_is_news_and_authentic(self) -> None:
        """
        No two messages share an id or a broadcast, and each has the signature of Twitch.
        """
        messages = sign(50, streamers(7), "/twitch")
        self.assertEqual(len({message.stream_id for message in messages}), 50)
        ids = set()
        for message in messages:
            head, _, body = message.request.partition(b"\r\n\r\n")
            headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
            about = [headers[b"Twitch-Eventsub-Message-" + name] for name in (b"Id", b"Timestamp", b"Signature")]
            verify_eventsub(SECRET.encode(), about[0], about[1], body, about[2])
            ids.add(about[0])
        self.assertEqual(len(ids), 50)
