"""
Tests for :mod:`itsjustintv.tls.service`: connections, settings that change, and what is served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import ILoggingContext
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import TLS
from itsjustintv.errors import CannotServe, ConfigError
from itsjustintv.tls.acme.challenges import TlsAlpn01Responder
from itsjustintv.tls.certificate import Bundle
from itsjustintv.tls.key_folder import FolderLock
from itsjustintv.tls.modes import ModeFactory
from itsjustintv.tls.service import TLSService
from itsjustintv.tls.settings import directory_url
from itsjustintv.tls.sni import ACME_TLS, ContextMap
from itsjustintv.tls.store import CertificateStore
from tests import examples
from tests.tls.doubles import NAME, at_once, bundle
from tests.tls.tls import Client, EchoFactory, Server, pending

PLAIN = TLS()
PLACE = "127.0.0.1:8080"
TAKEN = OSError(98, "Address already in use")


class Watching:
    """
    A watch that sees nothing.
    """

    running = False

    def start(self, files: Callable[[], Iterable[Path]], changed: Callable[[], None]) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False


class Disk:
    """
    Threads that take no time.

    :ivar asked: what they have been asked for.
    """

    def __init__(self) -> None:
        self.asked: list[Callable[..., Any]] = []

    def run(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        self.asked.append(work)
        return at_once(work, *args)


class HttpsTests(SynchronousTestCase):
    """
    One entrance, and what is behind it at the moment.
    """

    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.server = Server(ContextMap(), EchoFactory(), self.reactor)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.watches: list[Watching] = []

        def watch() -> Watching:
            self.watches.append(Watching())
            return self.watches[-1]

        self.disk: Any = Disk()
        self.modes = ModeFactory(self.reactor, self.disk, lambda: 0.5, watch)
        # Nobody is there, and nobody refuses either.
        self.acme = TLS(
            enabled=True,
            domains=(NAME,),
            agree_to_terms=True,
            cert_dir=str(self.folder / "acme"),
            directory="http://127.0.0.1:1/directory",
            challenge="tls-alpn-01",
            http_listen="",
        )
        self.files = TLS(
            enabled=True,
            mode="files",
            domains=(NAME,),
            cert_file=str(self.folder / "own.pem"),
            key_file=str(self.folder / "own.pem"),
            http_listen="",
        )

    def start(self, tls: TLS) -> TLSService:
        """
        One that is stopped with the test.
        """
        self.https = TLSService(tls, self.modes, self.reactor)
        self.server._secured = self.https.encrypt(self.server.factory, self.server.factory)
        self.https.privilegedStartService()
        self.https.startService()
        self.addCleanup(lambda: self.https.running and self.successResultOf(self.https.stopService()))
        return self.https

    def prepare(self, tls: TLS) -> Callable[[bool], None]:
        """
        Make ready.
        """
        return self.successResultOf(Deferred.fromCoroutine(self.https.prepare(tls)))

    def change(self, tls: TLS) -> None:
        """
        Let other settings be followed.
        """
        self.prepare(tls)(True)
        self.successResultOf(Deferred.fromCoroutine(self.https.settle()))

    def refused(self, tls: TLS) -> str:
        """
        Why other settings cannot be followed.
        """
        failure = self.failureResultOf(Deferred.fromCoroutine(self.https.prepare(tls)), ConfigError)
        return str(failure.value)

    def own(self, made: Bundle | None = None) -> Bundle:
        """
        Put a certificate where the operator would.
        """
        made = made or bundle()
        (self.folder / "own.pem").write_bytes(b"".join(each.as_bytes() for each in made.objects()))
        return made

    def ordered(self, tls: TLS, name: str = NAME) -> Bundle:
        """
        Put a certificate where an earlier run would have left it.
        """
        made = bundle(name)
        store = CertificateStore.of(Path(tls.cert_dir), directory_url(tls), tls.domains, at_once)
        self.successResultOf(store.store(name, made.objects()))
        return made

    def tls(self, name: str = NAME, **how: Any) -> Client:
        """
        A client that speaks TLS.
        """
        return self.server.connect(name.encode(), **how)

    def plain(self) -> Callable[[bytes], bytes]:
        """
        A client that does not: what it says is answered with the echo.
        """
        protocol: Any = self.server._secured.buildProtocol(None)  # type: ignore[arg-type]
        transport = StringTransport()
        protocol.makeConnection(transport)

        def say(words: bytes) -> bytes:
            protocol.dataReceived(words)
            heard: bytes = transport.value()
            transport.clear()
            return heard

        return say

    def places(self) -> list[str]:
        """
        Where something listens.
        """
        return [f"{interface}:{port}" for port, _, _, interface in self.reactor.tcpServers]

    def plain_port(self) -> int | None:
        """
        The port on which plain http is listened for beside https.
        """
        port = self.https._http_listener.port
        return None if port is None else int(port.getHost().port)

    def hold(self, *ports: int, reason: OSError = TAKEN) -> None:
        """
        Let these ports, and no others, be held by somebody else.
        """
        memory = MemoryReactorClock.listenTCP

        def listen(port: int, *more: Any, interface: str, **other: Any) -> Any:
            if port in ports:
                raise CannotListenError(interface, port, reason)
            return memory(self.reactor, port, *more, interface=interface, **other)

        self.patch(self.reactor, "listenTCP", listen)

    def told(self, work: Callable[..., object], *args: Any) -> list[str]:
        """
        The places that are done without, as the log tells of them while something is done.
        """
        with capturedLogs() as logs:
            work(*args)
        lines = [formatEvent(event) for event in logs if event["log_level"] is LogLevel.warn]
        self.assertTrue(all(line.endswith('or to "" for none') for line in lines), lines)
        return [line.partition("; ")[0].removeprefix("cannot listen on ") for line in lines]

    def test_from_plain_http_to_a_certificate_of_ones_own_and_back(self) -> None:
        """
        Each connection is served as it was configured when it came, to its end.
        """
        made = self.own()
        self.start(PLAIN)
        before = self.plain()
        self.assertEqual(before(b"plain"), b"plain")
        with capturedLogs() as logs:
            self.change(self.files)
        self.assertIn(
            f"TLS mode changed to the certificate file {self.files.cert_file}",
            [formatEvent(event) for event in logs],
        )
        during = self.tls()
        self.assertEqual(during.certificate, made.leaf)
        self.assertEqual(before(b"still plain"), b"still plain")
        self.assertTrue(self.watches[0].running)
        self.change(PLAIN)
        self.assertEqual(self.plain()(b"plain again"), b"plain again")
        self.assertEqual(during.say(b"still here"), b"still here")
        self.assertFalse(self.watches[0].running)
        self.assertEqual((self.https.metrics(), self.https.problem()), ((), None))

    def test_nothing_changes_before_it_is_decided_or_when_it_is_decided_against(self) -> None:
        """
        The certificate is read and the port bound, and both are let go of.
        """
        self.own()
        self.start(PLAIN)
        decide = self.prepare(evolve(self.files, http_listen=PLACE))
        self.assertEqual(self.plain()(b"plain"), b"plain")
        decide(False)
        self.assertEqual(self.plain()(b"plain"), b"plain")
        self.assertFalse(self.watches[0].running)
        self.assertIsNone(self.https._http_listener.port)
        self.change(PLAIN)

    def test_what_cannot_be_followed_says_why_and_changes_nothing(self) -> None:
        """
        A certificate that cannot be read, keys that others can read, a bundle that is none, a port that cannot be had.
        """
        self.start(PLAIN)
        self.assertIn("cannot read ", self.refused(self.files))
        self.ordered(self.acme)
        for path in (self.folder / "acme").rglob("*.pem"):
            path.chmod(0o644)
        self.assertIn("chmod 600", self.refused(self.acme))
        self.assertIn("none.pem", self.refused(evolve(self.acme, ca_bundle="none.pem")))
        self.hold(8080)
        self.assertEqual(
            self.refused(evolve(self.acme, challenge="both", http_listen=PLACE, cert_dir=str(self.folder / "other"))),
            f"server.tls.http_listen: cannot listen on {PLACE}: address already in use;"
            " stop what holds it, or change server.tls.http_listen",
        )
        self.assertEqual(self.plain()(b"plain"), b"plain")
        self.assertFalse(any(watch.running for watch in self.watches))

    def test_what_is_on_the_disk_is_served_from_the_first_connection_on(self) -> None:
        """
        It is read before the change, after the code that orders certificates, and a thread does both.
        """
        made = self.ordered(self.acme)
        self.start(PLAIN)
        self.change(self.acme)
        self.assertIs(self.disk.asked[0], import_module)
        self.assertEqual(self.tls().certificate, made.leaf)
        self.assertEqual(self.server.connect(None).certificate, made.leaf)
        self.assertEqual([each.name for each in self.https.metrics()], [NAME])
        self.assertIsNone(self.https.problem())
        self.successResultOf(self.https.when_ready(NAME))

    def test_until_there_is_another_certificate_the_one_before_is_served(self) -> None:
        """
        From the operator's own to those of an authority that takes its time, but for names that are gone. Validators
        are let through as well.
        """
        gone = "gone.example.test"
        made = self.own(bundle(NAME, gone))
        self.start(self.files)
        self.assertEqual(self.tls(gone).certificate, made.leaf)
        self.change(self.acme)
        self.assertEqual(self.tls().certificate, made.leaf)
        self.assertIsNotNone(self.tls(gone).error)
        self.assertNoResult(self.https.when_ready(NAME).addErrback(lambda _: None))
        self.successResultOf(self.https.when_ready("proxy.example.test"))
        self.assertIn("critical", self.https.problem() or "")
        responder: TlsAlpn01Responder = self.modes.tls_alpn_01
        pending(responder)
        self.assertEqual(self.tls(alpn=[ACME_TLS]).spoken, ACME_TLS)

    def test_a_wildcard_serves_until_the_name_has_its_own(self) -> None:
        """
        The name it was for, and no other name below it.
        """
        made = self.own(bundle("*.example.test"))
        self.start(self.files)
        self.change(self.acme)
        self.assertEqual(self.tls().certificate, made.leaf)
        self.assertIsNotNone(self.tls("www.example.test").error)

    def test_another_authority_in_the_same_folder(self) -> None:
        """
        The one before has let go of the folder when the next one wants it, so that orders go on; and its certificate is
        served until there is another.
        """
        made = self.ordered(self.acme)
        self.start(self.acme)
        with capturedLogs() as logs:
            self.change(evolve(self.acme, directory="http://127.0.0.1:2/directory"))
        self.assertEqual(self.tls().certificate, made.leaf)
        said = [formatEvent(event) for event in logs]
        self.assertIn(f"ordering a certificate for {NAME}: there is none", said)
        self.assertFalse(any("another process" in line for line in said), said)
        self.successResultOf(self.https.stopService())
        self.assertTrue(FolderLock(self.folder / "acme" / "lock").acquire())

    def test_one_after_the_other(self) -> None:
        """
        Whoever comes is served in the new way at once, but what looks after its certificates begins when the one before
        has ended; if that takes its time, the next but one takes the turn of the next.
        """
        made = self.own()
        self.ordered(self.acme)
        for skipped in (False, True):
            self.start(self.acme)
            ending: Deferred[None] = Deferred()
            self.patch(self.https._mode.service, "stopService", lambda ending=ending: ending)
            self.change(self.files)
            self.assertEqual(self.tls().certificate, made.leaf)
            self.assertFalse(self.watches[-1].running)
            if skipped:
                self.change(PLAIN)
                self.assertEqual(self.plain()(b"plain"), b"plain")
            ending.callback(None)
            self.assertEqual(self.watches[-1].running, not skipped)

    def test_the_same_way_follows(self) -> None:
        """
        Other names are taken up by what is there already, and so is another chance for what was given up.
        """
        other = "www.example.test"
        both = evolve(self.acme, domains=(NAME, other))
        self.ordered(both), self.ordered(both, other)
        self.start(self.acme)
        mode = self.https._mode
        self.assertIsNotNone(self.tls(other).error)
        self.change(both)
        self.assertIsNone(self.tls(other).error)
        self.change(evolve(both, default_name=other))
        self.assertEqual(self.server.connect(None).certificate, self.tls(other).certificate)
        self.change(self.acme)
        self.assertIsNotNone(self.tls(other).error)
        self.assertIs(self.https._mode, mode)
        self.https.refresh()

    def test_plain_http_beside_https_leads_there(self) -> None:
        """
        In every mode, where the settings say, for the names of the moment; and nowhere once they say nothing.
        """
        self.own()
        self.start(evolve(self.files, http_listen=PLACE))
        self.assertEqual(self.places(), [PLACE])
        site = self.reactor.tcpServers[0][1]
        self.assertIn(b"Location: https://hooks.example.test/twitch", self.request(site))
        self.change(evolve(self.acme, http_listen=PLACE, domains=("www.example.test",)))
        self.assertEqual(self.places(), [PLACE])
        self.assertIn(b"404 Not Found", self.request(site))
        self.change(evolve(self.acme, http_listen="127.0.0.1:8081"))
        self.assertEqual(self.places(), [PLACE, "127.0.0.1:8081"])
        self.change(self.acme)
        self.assertIsNone(self.https._http_listener.port)

    def test_where_certificates_need_it_the_start_fails(self) -> None:
        """
        A daemon that could not answer its authority does not begin.
        """
        self.hold(8080)
        for challenge in ("http-01", "both"):
            with self.assertRaises(CannotServe) as caught:
                self.start(evolve(self.acme, challenge=challenge, http_listen=PLACE))
            self.assertIn(f"cannot listen on {PLACE}: address already in use", str(caught.exception))

    def test_where_it_only_leads_to_https_the_daemon_does_without(self) -> None:
        """
        It starts all the same, tells once, and serves; and tries again at every reload, in silence until something is
        new.
        """
        made = self.own()
        for tls in (evolve(self.files, http_listen=PLACE), evolve(self.acme, http_listen=PLACE)):
            self.hold(8080)
            self.assertEqual(self.told(self.start, tls), [f"{PLACE}: address already in use"])
            self.assertIsNone(self.plain_port())
            self.assertEqual(self.told(self.change, tls) + self.told(self.https.refresh), [])
            self.hold(8080, reason=OSError(13, "Permission denied"))
            self.assertEqual(self.told(self.https.refresh), [f"{PLACE}: permission denied"])
            self.hold()
            self.https.refresh()
            self.assertEqual(self.plain_port(), 8080)
            self.successResultOf(self.https.stopService())
        self.start(evolve(self.files, http_listen=PLACE))
        self.assertEqual(self.tls().certificate, made.leaf)

    def test_privileges_that_are_given_up(self) -> None:
        """
        What could not be had with them is not tried without them, which would tell another reason.
        """
        self.own()
        https = TLSService(evolve(self.files, http_listen=PLACE), self.modes, self.reactor)
        self.hold(8080)
        self.assertEqual(self.told(https.privilegedStartService), [f"{PLACE}: address already in use"])
        self.hold(8080, reason=OSError(13, "Permission denied"))
        self.assertEqual(self.told(https.startService), [])
        self.successResultOf(https.stopService())

    def test_it_is_found_at_a_reload_of_something_else(self) -> None:
        """
        Settings that are the same are another chance, once they are decided for; not for what an authority has refused.
        """
        self.own()
        tls = evolve(self.files, http_listen=PLACE)
        self.hold(8080)
        self.start(tls)
        self.hold()
        followed: list[TLS] = []
        self.https._mode = evolve(self.https._mode, follow=followed.append)
        self.prepare(tls)(False)
        self.assertIsNone(self.plain_port())
        self.change(tls)
        self.assertEqual((self.plain_port(), followed), (8080, []))

    def test_what_could_be_done_without_and_is_needed_now(self) -> None:
        """
        Settings that need it are refused until it can be had; nothing has changed by then.
        """
        needed = evolve(self.acme, challenge="http-01", http_listen=PLACE)
        self.hold(8080)
        self.start(evolve(self.acme, http_listen=PLACE))
        self.assertIn(f"cannot listen on {PLACE}", self.refused(needed))
        self.assertEqual(self.https._tls.challenge, "tls-alpn-01")
        self.hold()
        self.change(needed)
        self.assertEqual(self.plain_port(), 8080)
        # Whoever has it keeps it, though it could not be had again.
        self.hold(8080)
        self.assertEqual(self.told(self.change, evolve(self.acme, http_listen=PLACE)), [])
        self.change(needed)
        self.assertEqual(self.plain_port(), 8080)

    def test_a_move_to_where_it_cannot_be(self) -> None:
        """
        Where it can be done without the old place is given up all the same, and before it is told: on the same port it
        was in the way itself. Where it is needed the old place stays.
        """
        self.own()
        self.hold(8081)
        self.start(evolve(self.files, http_listen=PLACE))
        self.assertEqual(
            self.told(self.change, evolve(self.files, http_listen="127.0.0.1:8081")),
            ["127.0.0.1:8081: address already in use"],
        )
        self.assertIsNone(self.plain_port())
        self.assertEqual(self.told(self.change, evolve(self.files, http_listen=PLACE)), [])
        self.assertEqual(self.plain_port(), 8080)
        needed = evolve(self.acme, challenge="http-01", http_listen="127.0.0.1:8081")
        self.assertIn("cannot listen on 127.0.0.1:8081", self.refused(needed))
        self.assertEqual(self.plain_port(), 8080)

    def test_off_and_on(self) -> None:
        """
        To nowhere and back, without https and with it; what is not wanted any more is not looked for any more.
        """
        self.own()
        wanted = evolve(self.files, http_listen=PLACE)
        self.hold(8080)
        for other in (self.files, PLAIN):
            self.start(other)
            self.assertEqual(self.told(self.change, wanted), [f"{PLACE}: address already in use"])
            self.assertEqual(self.told(self.change, other), [])
            self.hold()
            self.https.refresh()
            self.assertIsNone(self.plain_port())
            self.change(wanted)
            self.assertEqual(self.plain_port(), 8080)
            self.change(other)
            self.hold(8080)
            self.assertEqual(self.told(self.change, wanted), [f"{PLACE}: address already in use"])
            self.successResultOf(self.https.stopService())
            self.hold()
            self.https.refresh()
            self.assertIsNone(self.plain_port())
            self.hold(8080)

    def test_ports_go_by_the_name_of_what_is_inside(self) -> None:
        """
        In the lines that Twisted writes about them.
        """
        self.start(PLAIN)
        self.assertEqual(ILoggingContext(self.server._secured).logPrefix(), "EchoFactory")

    def request(self, site: Any) -> bytes:
        """
        What is answered on port 80.
        """
        protocol = site.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        protocol.dataReceived(b"GET /twitch HTTP/1.1\r\nHost: hooks.example.test\r\nConnection: close\r\n\r\n")
        return transport.value()

    @settings(deadline=None, max_examples=examples(40))
    @given(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.booleans()), max_size=8), st.integers(0, 6))
    def test_any_order_of_changes(self, changes: Sequence[tuple[int, bool, bool]], first: int) -> None:
        """
        After each of them connections are served as the settings say that were decided for last, and plain http is
        listened for as they say, unless somebody else was there first; what was there for others has ended, and so has
        everything after the stop.
        """
        self.setUp()
        self.own()
        self.ordered(self.acme)
        elsewhere = evolve(self.acme, directory="http://127.0.0.1:2/directory")
        self.ordered(elsewhere)
        kinds = [
            PLAIN,
            self.files,
            evolve(self.files, http_listen=PLACE),
            self.acme,
            evolve(self.acme, http_listen="127.0.0.1:8081"),
            elsewhere,
            evolve(elsewhere, cert_dir=str(self.folder / "empty")),
        ]
        current = kinds[first]
        served, place = False, ""
        self.start(current)
        for kind, taken, held in [(first, True, False), *changes]:
            self.hold(*([8080, 8081] if held else []))
            self.prepare(kinds[kind])(taken)
            current = kinds[kind] if taken else current
            wanted = current.http_listen if current.enabled else ""
            if taken and place != wanted:
                place = "" if held else wanted
            self.assertEqual(sum(watch.running for watch in self.watches), current.enabled)
            self.assertEqual(self.plain_port(), int(place.rpartition(":")[2]) if place else None)
            if taken:
                # What has no certificate of its own goes on with the one before.
                served = current.enabled and (served or current is not kinds[-1])
            if current.enabled:
                self.assertEqual(self.tls().error is None, served)
            else:
                self.assertEqual(self.plain()(b"plain"), b"plain")
        self.successResultOf(self.https.stopService())
        self.assertFalse(any(watch.running for watch in self.watches))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertTrue(FolderLock(self.folder / "acme" / "lock").acquire())

    def test_a_stop_in_the_middle(self) -> None:
        """
        What was made ready is not followed any more.
        """
        self.own()
        self.start(PLAIN)
        decide = self.prepare(self.files)
        self.successResultOf(self.https.stopService())
        decide(True)
        self.assertFalse(self.watches[0].running)
        self.assertEqual(self.plain()(b"plain"), b"plain")
        self.change(self.files)
        self.assertEqual(self.plain()(b"plain"), b"plain")
