"""
Tests of :mod:`itsjustintv.web.http2.frames`.
"""

from __future__ import annotations

from itertools import pairwise

from hyperframe.frame import ContinuationFrame, DataFrame, Frame, HeadersFrame, PingFrame
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.web.http2.frames import FrameSplitter, FrameTooLong

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def bytes_of(*frames: Frame) -> list[bytes]:
    """
    Frames as they are sent.
    """
    return [frame.serialize() for frame in frames]


class FramesTests(SynchronousTestCase):
    """
    Where one ends and the next one begins.
    """

    def setUp(self) -> None:
        self.frames = FrameSplitter(100, 150)

    def abort(self, data: bytes) -> list[bytes]:
        """
        What is whole.
        """
        self.frames.add(data)
        return list(iter(self.frames.take, None))

    @given(
        st.lists(st.one_of(st.builds(DataFrame, st.just(1), st.binary(max_size=100)), st.just(PingFrame(0)))),
        st.lists(st.integers(0, 1000)),
    )
    def test_however_they_arrive(self, frames: list[Frame], places: list[int]) -> None:
        """
        Each comes as it was sent, and comes once.
        """
        self.setUp()
        sent = [PREFACE, *bytes_of(*frames)]
        whole = b"".join(sent)
        places = [0, *sorted(min(place, len(whole)) for place in places), len(whole)]
        found = [frame for start, stop in pairwise(places) for frame in self.abort(whole[start:stop])]
        self.assertEqual(found, sent)
        self.assertEqual((self.frames.count, self.frames.is_incomplete), (len(sent), False))

    def test_a_long_one_is_refused_by_its_head(self) -> None:
        """
        Before anything else of it has arrived.
        """
        self.abort(PREFACE)
        just, long = bytes_of(DataFrame(1, b"x" * 100), DataFrame(1, b"x" * 101))
        self.assertEqual(self.abort(just), [just])
        self.assertEqual(self.abort(long[:8]), [])
        self.assertRaises(FrameTooLong, self.abort, long[8:9])

    def test_a_long_head_is_refused_as_a_whole(self) -> None:
        """
        However many frames it is in, and the next one has as much room again.
        """
        self.abort(PREFACE)
        for _ in range(2):
            self.abort(HeadersFrame(1, b"x" * 100).serialize())
            self.abort(ContinuationFrame(1, b"x" * 50, flags=["END_HEADERS"]).serialize())
        self.abort(HeadersFrame(1, b"x" * 100).serialize())
        self.assertRaises(
            FrameTooLong, self.abort, ContinuationFrame(1, b"x" * 51, flags=["END_HEADERS"]).serialize()[:9]
        )

    def test_a_head_is_whole_with_its_last_frame(self) -> None:
        """
        Even one without a byte in it.
        """
        self.abort(PREFACE)
        for number, (frame, whole) in enumerate(
            (
                (HeadersFrame(1, b""), False),
                (ContinuationFrame(1, b""), False),
                (ContinuationFrame(1, b"", flags=["END_HEADERS"]), True),
                (HeadersFrame(3, b"", flags=["END_HEADERS"]), True),
            )
        ):
            self.assertEqual(len(self.abort(frame.serialize())), 1)
            self.assertEqual(self.frames.is_incomplete, not whole, number)
        self.assertEqual(self.frames.count, 3)
        self.abort(PingFrame(0).serialize()[:10])
        self.assertTrue(self.frames.is_incomplete)
