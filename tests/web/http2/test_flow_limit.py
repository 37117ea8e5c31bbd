"""
Tests of :mod:`itsjustintv.web.http2.flow_limit`.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from hyperframe.frame import ContinuationFrame, HeadersFrame, PingFrame
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.web.http2.flow_limit import FrameReader
from itsjustintv.web.http2.frames import FrameSplitter

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PING = PingFrame(0).serialize()


class FrameReaderTests(SynchronousTestCase):
    """
    What is taken when.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.transport = StringTransport()
        self.heard = 0
        self.turns: list[int] = []
        self.last = -1
        self.broken = False
        self.reader = FrameReader(FrameSplitter(100, 100), self.receive, self.transport, self.clock, 10)
        self.reader.add(PREFACE)
        self.clock.advance(0)
        self.heard = 0

    def receive(self, frames: Iterable[bytes]) -> None:
        """
        Count them, and have none after the last one.
        """
        self.turns.append(0)
        for _ in frames:
            if self.broken:
                raise ZeroDivisionError
            self.turns[-1] += 1
            self.heard += 1
            if self.heard == self.last:
                self.reader.stop()

    def test_some_at_once_and_others_in_their_turn(self) -> None:
        """
        What comes meanwhile waits behind them, and nothing is read until all were taken.
        """
        self.reader.add(PING * 40)
        self.reader.add(PING * 30)
        self.assertEqual((self.heard, self.transport.producerState), (32, "paused"))
        self.clock.advance(0)
        self.assertEqual((self.turns, self.transport.producerState), ([1, 32, 32, 6], "producing"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_however_small_the_parts_are(self) -> None:
        """
        That many in a turn are counted, not that many of each part.
        """
        for _ in range(10):
            self.reader.add(PING * 31)
        self.assertEqual((self.heard, self.transport.producerState), (32, "paused"))
        self.clock.advance(0)
        self.assertEqual((self.heard, self.transport.producerState), (310, "producing"))
        self.assertLessEqual(max(self.turns), 32)

    def test_what_cannot_be_heard_ends_the_connection(self) -> None:
        """
        Where nobody else would.
        """
        self.reader.add(PING * 32)
        self.reader.add(PING)
        self.broken = True
        self.clock.advance(0)
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_none_while_the_peer_does_not_read(self) -> None:
        """
        Even of those whose turn it would be.
        """
        self.reader.add(PING * 40)
        self.reader.pause()
        self.clock.advance(0)
        self.reader.add(PING)
        self.assertEqual((self.heard, self.transport.producerState), (32, "paused"))
        self.reader.resume()
        self.assertEqual((self.heard, self.transport.producerState), (41, "producing"))

    def test_what_has_begun_is_due(self) -> None:
        """
        From when it began; not while it is we who have not looked at it.
        """
        self.reader.add(PING * 40 + PING[:5])
        self.assertEqual(self.reader.due, inf)
        self.clock.advance(1)
        self.assertEqual(self.reader.due, 11)
        self.reader.add(PING[5:6])
        self.clock.advance(1)
        self.assertEqual(self.reader.due, 11)
        self.reader.add(PING[6:] + PING[:5])
        self.assertEqual(self.reader.due, 12)
        self.reader.pause()
        self.reader.add(PING[5:])
        self.assertEqual(self.reader.due, inf)
        self.reader.resume()
        self.assertEqual(self.reader.due, inf)

    def test_a_head_gets_no_time_by_being_in_many_frames(self) -> None:
        """
        Even if some of them have to wait for their turn.
        """
        self.reader.add(HeadersFrame(1, b"").serialize())
        self.assertEqual(self.reader.due, 10)
        self.clock.advance(5)
        self.reader.add(ContinuationFrame(1, b"").serialize() * 40)
        self.clock.advance(0)
        self.assertEqual((self.heard, self.reader.due), (41, 10))

    def test_nothing_after_the_end(self) -> None:
        """
        In the middle of some, with the last of them, or later; and what is due then is nothing.
        """
        for last in (5, 32):
            self.setUp()
            self.last = last
            self.reader.add(PING * 40 + PING[:5])
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.reader.add(PING)
            self.assertEqual((self.heard, self.reader.due, self.transport.producerState), (last, inf, "producing"))
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.setUp()
        self.reader.add(PING[:5])
        self.reader.stop()
        self.assertEqual(self.reader.due, inf)

    def test_after_the_end_all_is_read(self) -> None:
        """
        A farewell must be heard by those below; but of a transport that is gone nothing is asked.
        """
        self.reader.add(PING * 40)
        self.reader.abandon()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.transport.producerState, "paused")
        self.reader.stop()
        self.assertEqual(self.transport.producerState, "producing")
