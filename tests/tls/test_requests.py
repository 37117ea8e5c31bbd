"""
Tests for :mod:`itsjustintv.tls.renewal_requests`.
"""

from __future__ import annotations

import os
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.tls.renewal_requests import RenewalResult, Request, RequestFiles
from tests.tls.authority import NOW
from tests.tls.doubles import NAME

REQUEST = Request(id="0123456789abcdef", asked_at=NOW, names=(NAME,))
RESULTS = (RenewalResult(name=NAME, expires="2026-06-01T00:00:00Z", issuer="CN=somebody"),)


class RequestFilesTests(SynchronousTestCase):
    """
    Asking and answering by files.
    """

    def setUp(self) -> None:
        self.root = Path(self.mktemp())
        self.files = RequestFiles(self.root)

    def age(self, path: Path, moment: float = NOW) -> None:
        """
        Let a file be of some moment.
        """
        os.utime(path, (moment, moment))

    def ask(self, request: Request = REQUEST) -> None:
        """
        Ask at the time of the tests.
        """
        self.files.submit(request)
        self.age(self.files.request)

    def test_what_is_asked_is_taken_once(self) -> None:
        """
        A request is taken as it was made, and only once; nobody else can read it.
        """
        self.ask()
        self.assertEqual(self.files.request.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.files.take(NOW), REQUEST)
        self.assertIsNone(self.files.take(NOW))
        self.assertEqual(list(self.files.request.parent.iterdir()), [])

    def test_one_at_a_time(self) -> None:
        """
        A request that nobody has taken is not overwritten, until nobody can wait for it any more.
        """
        self.ask()
        another = evolve(REQUEST, id="f" * 16)
        self.assertRaises(FileExistsError, self.files.submit, another)
        self.assertEqual([path.name for path in self.files.request.parent.iterdir()], ["request.json"])
        later = evolve(another, asked_at=NOW + 121)
        self.files.submit(later)
        self.age(self.files.request, NOW + 121)
        self.assertEqual(self.files.take(NOW + 121), later)

    def test_a_request_that_nobody_waits_for_is_not_taken(self) -> None:
        """
        What was asked for long before is removed: it must not cost a certificate at the next start.
        """
        self.ask()
        self.assertIsNone(self.files.take(NOW + 121))
        self.assertFalse(self.files.request.exists())

    def test_a_request_can_be_withdrawn(self) -> None:
        """
        Whoever withdraws learns whether it was taken already.
        """
        self.ask()
        self.assertTrue(self.files.withdraw())
        self.assertIsNone(self.files.take(NOW))
        self.assertFalse(self.files.withdraw())

    def test_what_is_no_request_is_removed(self) -> None:
        """
        A file that is none, or that would lead elsewhere, is refused and does not stay.
        """
        for text in (b"", b"{}", b'{"id": "../../../etc/0123", "names": [], "asked_at": 1}', b"[" * 70000):
            self.files.request.parent.mkdir(parents=True, exist_ok=True)
            self.files.request.write_bytes(text)
            self.age(self.files.request)
            self.assertRaises(ValueError, self.files.take, NOW)
            self.assertFalse(self.files.request.exists())

    def test_what_is_no_file_is_removed(self) -> None:
        """
        A pipe, or a link to a directory or to nothing, in the place of a request or an answer is neither waited for nor
        left: it would be in the way of every later request.
        """
        self.files.write_results(REQUEST, RESULTS, NOW)
        answer = next(self.files.request.parent.glob("answer-*"))
        for make in (os.mkfifo, lambda place: Path(place).symlink_to("/")):
            for path in (self.files.request, answer):
                path.unlink(missing_ok=True)
                make(path)
                os.utime(path, (NOW, NOW), follow_symlinks=False)
            self.assertRaises(ValueError, self.files.take, NOW)
            self.assertRaises(ValueError, self.files.read_results, REQUEST)
            self.assertEqual(list(self.files.request.parent.iterdir()), [])
        self.files.request.symlink_to("nothing")
        os.utime(self.files.request, (NOW, NOW), follow_symlinks=False)
        self.ask(evolve(REQUEST, asked_at=NOW + 121))

    def test_an_answer_is_for_whoever_asked(self) -> None:
        """
        An answer is taken once, by the id of its request.
        """
        self.ask()
        self.assertIsNone(self.files.read_results(REQUEST))
        self.files.write_results(REQUEST, RESULTS, NOW)
        self.assertIsNone(self.files.read_results(evolve(REQUEST, id="f" * 16)))
        self.assertEqual(self.files.read_results(REQUEST), RESULTS)
        self.assertIsNone(self.files.read_results(REQUEST))

    def test_answers_that_nobody_came_for_do_not_pile_up(self) -> None:
        """
        An hour later they are removed.
        """
        self.files.write_results(REQUEST, RESULTS, NOW)
        left = next(self.files.request.parent.glob("answer-*"))
        self.age(left)
        self.files.write_results(evolve(REQUEST, id="f" * 16), RESULTS, NOW + 3601)
        self.assertFalse(left.exists())
