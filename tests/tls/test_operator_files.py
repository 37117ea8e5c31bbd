"""
Serving the operator's own certificate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import CertificateUnusable
from itsjustintv.tls.certificate import Bundle
from itsjustintv.tls.operator_files import FilesService
from itsjustintv.tls.sni import ContextMap
from tests.tls.authority import DAY, NOW
from tests.tls.doubles import ISSUER, NAME, bundle
from tests.tls.tls import Server


class Watching:
    """
    A watch that is told by the test.
    """

    stopped = False
    files: Callable[[], Iterable[Path]]
    changed: Callable[[], None]

    def start(self, files: Callable[[], Iterable[Path]], changed: Callable[[], None]) -> None:
        self.files, self.changed = files, changed

    def stop(self) -> None:
        self.stopped = True


class FilesTests(SynchronousTestCase):
    """
    From the files to the connections.
    """

    def setUp(self) -> None:
        self.server = Server(ContextMap())
        self.certificate, self.key = Path(self.mktemp()), Path(self.mktemp())
        self.watch = Watching()
        self.held: list[tuple[Callable[..., Any], Deferred[Any]]] = []
        self.service = self.make(self.key)

    def make(self, key: Path) -> FilesService:
        return FilesService(self.certificate, key, self.server.contexts, self.watch, self.server.clock, self.in_thread)

    def in_thread(self, work: Callable[..., Any], *args: object) -> Deferred[Any]:
        """
        A thread that works when the test says so.
        """
        done: Deferred[Any] = Deferred()
        self.held.append((lambda: work(*args), done))
        return done

    def work(self) -> None:
        """
        Let the thread finish what it was asked.
        """
        while self.held:
            work, done = self.held.pop(0)
            try:
                result = work()
            except CertificateUnusable as error:
                done.errback(error)
            else:
                done.callback(result)

    def put(self, found: Bundle) -> Bundle:
        """
        Write a certificate and its key.
        """
        key, *chain = (each.as_bytes() for each in found.objects())
        self.key.write_bytes(key)
        self.certificate.write_bytes(b"".join(chain))
        return found

    def change(self) -> None:
        """
        Let the change be noticed.
        """
        self.watch.changed()
        self.work()

    def test_what_is_in_the_files_is_served(self) -> None:
        """
        From the start, for its names and for those who name nobody.
        """
        made = self.put(bundle(NAME, "www.example.test"))
        self.service.privilegedStartService()
        self.service.startService()
        for name in (NAME.encode(), b"www.example.test", None):
            self.assertEqual(self.server.connect(name).certificate, made.leaf)
        self.assertEqual(list(self.watch.files()), [self.certificate, self.key])
        self.assertIsNone(self.service.problem())
        self.assertEqual(
            [(each.name, each.not_after, each.renew_at) for each in self.service.metrics()],
            [(name, made.not_after, None) for name in (NAME, "www.example.test")],
        )

    def test_one_file_may_hold_both(self) -> None:
        """
        As some tools write it.
        """
        made = bundle()
        self.certificate.write_bytes(b"".join(each.as_bytes() for each in made.objects()))
        self.make(self.certificate).startService()
        self.assertEqual(self.server.connect(NAME.encode()).certificate, made.leaf)

    def test_a_start_without_a_certificate_says_why(self) -> None:
        """
        A missing file, a foreign key, a certificate that is over: the error names the file and the setting.
        """
        self.failing("cannot read ")
        self.put(bundle())
        self.key.write_bytes(bundle().objects()[0].as_bytes())
        self.failing("server.tls.cert_file")
        self.put(bundle(start=NOW - 10 * DAY, life=DAY))
        self.failing("has expired")

    def test_a_certificate_that_openssl_refuses(self) -> None:
        """
        A key that OpenSSL takes for too weak is said at a start, and at a change, which leaves the one before served.
        """
        key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - weak on purpose
        leaf = ISSUER.issue((NAME,), key.public_key(), NOW, NOW + 90 * DAY)
        weak = Bundle(key, leaf, (ISSUER.intermediate,))
        self.put(weak)
        self.failing("key too small")
        made = self.put(bundle())
        self.service.startService()
        self.put(weak)
        with capturedLogs() as events:
            self.change()
        self.assertIn("key too small", str(events))
        self.assertIn("files are invalid", self.service.problem() or "")
        self.assertEqual(self.server.connect(NAME.encode()).certificate, made.leaf)

    def failing(self, words: str) -> None:
        with self.assertRaises(CertificateUnusable) as caught:
            self.service.privilegedStartService()
        self.assertIn(words, str(caught.exception))

    def test_a_new_certificate_is_served_to_the_next_connection(self) -> None:
        """
        Open ones go on; names that are gone are served no more.
        """
        self.put(bundle(NAME, "www.example.test"))
        self.service.startService()
        client = self.server.connect(NAME.encode())
        renewed = self.put(bundle())
        self.change()
        self.assertEqual(self.server.connect(NAME.encode()).certificate, renewed.leaf)
        self.assertIsNotNone(self.server.connect(b"www.example.test").error)
        self.assertEqual(client.say(b"still here"), b"still here")

    def test_a_change_that_is_of_no_use_changes_nothing(self) -> None:
        """
        Half a change, with the new key beside the old certificate: the old one is served, it is said once and shown,
        and the other half mends it.
        """
        made = self.put(bundle())
        self.service.startService()
        key, *chain = (each.as_bytes() for each in bundle().objects())
        self.key.write_bytes(key)
        with capturedLogs() as events:
            self.change()
        self.assertEqual([event["log_level"] for event in events], [LogLevel.error])
        self.assertNotIn("PRIVATE", str(events))
        self.assertEqual(self.server.connect(NAME.encode()).certificate, made.leaf)
        self.assertIn("files are invalid", self.service.problem() or "")
        self.assertIn("files are invalid", self.service.metrics()[0].problem)
        self.certificate.write_bytes(b"".join(chain))
        self.change()
        self.assertNotEqual(self.server.connect(NAME.encode()).certificate, made.leaf)
        self.assertIsNone(self.service.problem())

    def test_a_change_while_the_files_are_read_is_not_missed(self) -> None:
        """
        They are read again.
        """
        self.put(bundle())
        self.service.startService()
        self.watch.changed()
        self.watch.changed()
        work, done = self.held.pop(0)
        done.callback(work())
        self.assertEqual(len(self.held), 1)
        renewed = self.put(bundle())
        self.work()
        self.assertEqual(self.server.connect(NAME.encode()).certificate, renewed.leaf)

    def test_a_certificate_that_nobody_replaces_is_shown(self) -> None:
        """
        Before it expires, and after.
        """
        self.put(bundle(life=60 * DAY))
        self.service.startService()
        self.server.clock.advance(51 * DAY)
        self.assertIn("expires in 9 days", self.service.problem() or "")
        self.server.clock.advance(10 * DAY)
        self.assertIn("has expired", self.service.problem() or "")

    def test_stopping_ends_the_watch(self) -> None:
        """
        And nothing is served anew.
        """
        self.put(bundle())
        self.service.startService()
        self.service.stopService()
        self.assertTrue(self.watch.stopped)
        self.watch.changed()
        self.assertEqual(self.held, [])
