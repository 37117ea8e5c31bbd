"""
Tests of :mod:`itsjustintv.twitch.profile_images`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, fail
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import Agent

from itsjustintv.config.sections import Cache, Twitch
from itsjustintv.errors import TwitchError, TwitchRejected, TwitchUnavailable
from itsjustintv.model import Picture
from itsjustintv.support.egress import EgressPolicy, EgressRefused
from itsjustintv.twitch.profile_images import ProfileImages, picture_egress
from tests.twitch.fake import HANG, NOW, SETTINGS, FakeTwitch, Reply, at_once, run

URL = "https://static-cdn.example.net/42-profile_image-300x300.png"
PATH = "/42-profile_image-300x300.png"
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
TTL = 604_800.0


def cache(directory: Path) -> Cache:
    """
    Settings that keep pictures in a directory.
    """
    return Cache(image_dir=str(directory), image_ttl=TTL)


@define(eq=False)
class Stage:
    """
    Images, a server for them and a directory.
    """

    directory: Path
    clock: Clock = field(factory=Clock)
    server: FakeTwitch = field(factory=FakeTwitch)
    agent: RequestTraversalAgent = field(init=False)
    images: ProfileImages = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.clock.advance(NOW)
        self.server.usual[PATH] = Reply(200, PNG, {"Content-Type": "image/jpeg"})
        self.agent = RequestTraversalAgent(self.server)
        self.images = ProfileImages(self.agent, lambda: SETTINGS, lambda: cache(self.directory), self.clock, at_once)


class EgressTests(SynchronousTestCase):
    """
    Where a picture may be fetched.
    """

    def test_its_address_is_public(self) -> None:
        """
        An address that Twitch gives must be public, unless it is that of ``api_url``, which the operator chose, or one
        of ``egress.allow``.
        """
        api = "http://127.0.0.1:8001/helix"
        for origin, allow, public_only in (
            (("https", "static-cdn.example.net", 443), (), True),
            (("http", "127.0.0.1", 8001), (), False),
            (("http", "127.0.0.1", 8002), (), True),
            (("https", "127.0.0.1", 8001), (), True),
            (("https", "static-cdn.example.net", 443), ("10.0.0.0/8",), True),
        ):
            with self.subTest(origin=origin):
                policy = picture_egress(origin, api, allow)
                self.assertEqual(policy, EgressPolicy.of(allow, public_only=public_only))
        self.assertTrue(picture_egress(("https", "", 443), "", ()).public_only)

    def test_refused(self) -> None:
        """
        A refused picture is missing like any other, and the reason names the address.
        """
        stage = Stage(Path(self.mktemp()) / "images")
        stage.agent.request = lambda *_: fail(EgressRefused(["10.0.0.7"]))
        error = self.failureResultOf(run(stage.images.get("42", URL)), TwitchRejected).value
        self.assertEqual(str(error), "the profile image: its host resolves to 10.0.0.7, which is refused (egress)")


class ProfileImagesTests(SynchronousTestCase):
    """
    Which picture is fetched, when, and which is refused.
    """

    def setUp(self) -> None:
        self.stage = Stage(Path(self.mktemp()) / "images")
        self.server, self.clock, self.images = self.stage.server, self.stage.clock, self.stage.images

    def get(self, url: str = URL, user_id: str = "42") -> Picture:
        """
        The picture, now.
        """
        return self.successResultOf(run(self.images.get(user_id, url)))

    def wrong(self, *replies: Reply, url: str = URL, user_id: str = "42") -> TwitchError:
        """
        Why there is none.
        """
        self.server.then(PATH, *replies)
        error = self.failureResultOf(run(self.images.get(user_id, url)), TwitchError).value
        assert isinstance(error, TwitchError)
        return error

    def files(self) -> list[Path]:
        """
        What is on disk.
        """
        return sorted(self.stage.directory.iterdir())

    def test_a_picture_is_fetched_once(self) -> None:
        """
        Its kind is that of its bytes, whatever the server says, and its address is there on every occasion.
        """
        picture = Picture(url=URL, mime_type="image/png", data=PNG)
        self.assertEqual([self.get(), self.get()], [picture, picture])
        self.assertEqual(len(self.server.asked), 1)
        [path] = self.files()
        self.assertTrue(path.name.startswith("42-"))
        self.assertEqual((path.read_bytes(), path.stat().st_mode & 0o777, path.stat().st_mtime), (PNG, 0o600, NOW))

    def test_it_is_fetched_again_when_it_is_old(self) -> None:
        """
        After the time to live.
        """
        self.get()
        self.clock.advance(TTL)
        self.get()
        self.assertEqual(len(self.server.asked), 1)
        self.clock.advance(1)
        self.get()
        self.assertEqual(len(self.server.asked), 2)

    def test_a_new_address_is_a_new_picture(self) -> None:
        """
        A changed avatar is fetched however fresh the old one is.
        """
        self.get()
        self.server.usual["/new.gif"] = Reply(200, b"GIF89a...")
        picture = self.get("https://static-cdn.example.net/new.gif")
        self.assertEqual((picture.data, picture.mime_type), (b"GIF89a...", "image/gif"))

    def test_kinds_of_images(self) -> None:
        """
        PNG, JPEG, GIF and WebP are known; anything else, a page of an error included, is refused and not kept.
        """
        for data, kind in (
            (b"\xff\xd8\xff\xe0", "image/jpeg"),
            (b"GIF87a", "image/gif"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        ):
            url = f"https://static-cdn.example.net/{kind}"
            self.server.usual[f"/{kind}"] = Reply(200, data)
            self.assertEqual(self.get(url).mime_type, kind)
        kept = self.files()
        for data in (b"", b"<html>", b"RIFF\0\0\0\0WAVE", b"<svg xmlns='http://www.w3.org/2000/svg'/>"):
            self.assertIsInstance(self.wrong(Reply(200, data, {"Content-Type": "image/png"})), TwitchRejected)
        self.assertEqual(self.files(), kept)

    def test_a_picture_too_large_is_refused(self) -> None:
        """
        2 MiB are read, a byte more is not kept.
        """
        self.assertIn("larger than 2 MiB", str(self.wrong(Reply(200, PNG + b"x" * (2 << 20)))))
        self.server.then(PATH, Reply(200, PNG.ljust(2 << 20)))
        self.assertEqual(len(self.get().data or b""), 2 << 20)

    def test_packed_answers_are_not_unpacked(self) -> None:
        """
        There is no bomb in an answer that nobody opens.
        """
        error = self.wrong(Reply(200, b"\x1f\x8b\x08packed", {"Content-Encoding": "gzip"}))
        self.assertIn("no image of a known kind", str(error))

    def test_other_answers(self) -> None:
        """
        A server in trouble is worth another try; a picture that is not there, or is elsewhere, is not.
        """
        for status, kind in (
            (500, TwitchUnavailable),
            (429, TwitchUnavailable),
            (404, TwitchRejected),
            (302, TwitchRejected),
        ):
            error = self.wrong(Reply(status, b"x" * 100, {"Location": "https://static-cdn.example.net/other"}))
            self.assertEqual((type(error), str(error)), (kind, f"the profile image: the server answered {status}"))
        self.assertEqual({asked.path for asked in self.server.asked}, {PATH})

    def test_a_slow_server_is_given_up(self) -> None:
        """
        Ten seconds, the body included.
        """
        self.server.then(PATH, HANG)
        fetching = run(self.images.get("42", URL))
        [request] = self.server.hanging
        request.write(PNG)
        self.stage.agent.flush()
        self.clock.advance(10)
        self.failureResultOf(fetching, TwitchUnavailable)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_fetch_for_everybody(self) -> None:
        """
        Who wants the same picture at the same time gets it from the same fetch, which survives whoever began it.
        """
        self.server.then(PATH, HANG)
        first, second = (run(self.images.get("42", URL)) for _ in range(2))
        first.addErrback(lambda _: None)
        first.cancel()
        [request] = self.server.hanging
        request.write(PNG)
        request.finish()
        self.stage.agent.flush()
        self.assertEqual(self.successResultOf(second).data, PNG)

    def test_addresses_that_are_not_asked(self) -> None:
        """
        Only https, or the origin of api_url; and nothing that is no address at all.
        """
        for url in (
            "http://static-cdn.example.net/42.png",
            "http://api.example.net/42.png",
            "ftp://api.example.net/42.png",
            "https://user:password@example.net/42.png",
            "https://example.net:port/42.png",
            "https://[::1/42.png",
            "https:///42.png",
            "https://exämple.net/42.png",
            "https://example.net/4 2.png",
            "https://example.net/4\r\n2.png",
            "file:///etc/passwd",
            "",
        ):
            self.assertIsInstance(self.wrong(url=url), TwitchRejected)
        self.assertEqual(self.server.asked, [])

    def test_the_origin_of_the_api_needs_no_tls(self) -> None:
        """
        A simulator serves its pictures itself.
        """
        self.images = ProfileImages(
            self.stage.agent,
            lambda: Twitch(api_url="http://127.0.0.1:8080/mock"),
            lambda: cache(self.stage.directory),
            self.clock,
            at_once,
        )
        self.get(f"http://127.0.0.1:8080{PATH}")
        self.wrong(url=f"http://127.0.0.1:8081{PATH}")

    def test_user_ids_are_numbers(self) -> None:
        """
        Nothing else becomes the name of a file.
        """
        for user_id in ("", "../42", "42/..", "4\0", "٤٢", "4" * 21):
            self.assertIsInstance(self.wrong(user_id=user_id), TwitchRejected)
        self.assertEqual(self.server.asked, [])

    def test_a_damaged_file_is_fetched_again(self) -> None:
        """
        What is no picture, or too large for one, is as good as nothing.
        """
        for content in (b"", b"garbage", PNG.ljust((2 << 20) + 1)):
            self.get()
            [path] = self.files()
            path.write_bytes(content)
            os.utime(path, (NOW, NOW))
            self.assertEqual(self.get().data, PNG)

    def test_a_disk_that_cannot_be_written_is_a_warning(self) -> None:
        """
        The picture is used all the same.
        """
        self.stage.directory.parent.mkdir(parents=True)
        self.stage.directory.write_bytes(b"")
        with capturedLogs() as logs:
            self.assertEqual(self.get().data, PNG)
        self.assertEqual([event["log_level"] for event in logs], [LogLevel.warn])

    def test_old_pictures_are_purged_daily(self) -> None:
        """
        What we or the original program wrote and is older than the time to live is deleted, at the start and once a
        day; nothing else in the directory is touched.
        """
        self.get()
        ours = [path.name for path in self.files()]
        theirs = ["holiday.jpg", "42-notes", "42.png", ".hidden"]
        old = ["7.jpg", "43-0123456789abcdef", ".43-0123456789abcdef.x7_.tmp"]
        for name in (*theirs, *old):
            (self.stage.directory / name).write_bytes(b"")
            os.utime(self.stage.directory / name, (NOW - TTL - 1, NOW - TTL - 1))
        self.images.startService()
        self.assertEqual({path.name for path in self.files()}, {*ours, *theirs})
        self.clock.pump([86400.0] * 7)
        self.assertEqual({path.name for path in self.files()}, {*ours, *theirs})
        self.clock.advance(86400.0)
        self.assertEqual({path.name for path in self.files()}, set(theirs))
        self.images.stopService()
        self.images.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_purge_that_fails_is_tried_again(self) -> None:
        """
        A directory that is not there is nothing to purge; one that cannot be read is a warning, and the loop goes on.
        """
        disk: list[Deferred[Any]] = []

        def failing(*_: Any) -> Deferred[Any]:
            disk.append(Deferred())
            return disk[-1]

        self.images.startService()
        self.images.stopService()
        self.images = ProfileImages(
            self.stage.agent, lambda: SETTINGS, lambda: cache(self.stage.directory), self.clock, failing
        )
        self.images.startService()
        with capturedLogs() as logs:
            disk[0].errback(PermissionError(13, "Permission denied"))
        self.assertEqual([event["reason"] for event in logs], ["Permission denied"])
        self.clock.advance(86400.0)
        self.assertEqual(len(disk), 2)
        disk[1].callback(None)
        self.images.stopService()

    @given(st.text(max_size=60) | st.from_regex(r"https?://[^/]{0,20}(:[0-9]{0,6})?/.{0,10}", fullmatch=True))
    def test_no_address_breaks_it(self, url: str) -> None:
        """
        Whatever Helix gives for an address, the answer is a picture or a TwitchError.
        """
        stage = Stage(Path(self.mktemp()))
        self.failureResultOf(run(stage.images.get("42", url)), TwitchError)


class Endless(Protocol):
    """
    A server whose picture has no end.
    """

    sent = 0
    ended: Deferred[int]

    def dataReceived(self, data: bytes) -> None:
        """
        Answer, once, and never stop.
        """
        if not self.sent:
            assert self.transport is not None
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n" + PNG)
            self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """
        Send more as soon as there is room.
        """
        assert self.transport is not None
        self.sent += 1 << 16
        self.transport.write(b"x" * (1 << 16))

    def stopProducing(self) -> None:
        """
        The connection is gone.
        """

    def connectionLost(self, *_: object) -> None:
        self.ended.callback(self.sent)


class EndlessPictureTests(TestCase):
    """
    A real socket.
    """

    async def test_an_endless_picture_is_cut_off(self) -> None:
        """
        The connection is closed after 2 MiB, give or take what the kernel holds.
        """
        from twisted.internet import reactor  # noqa: PLC0415

        server = Endless()
        server.ended = Deferred()
        port = reactor.listenTCP(0, Factory.forProtocol(lambda: server), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        origin = f"http://127.0.0.1:{port.getHost().port}"
        images = ProfileImages(
            Agent(reactor),
            lambda: Twitch(api_url=origin),
            lambda: cache(Path(self.mktemp())),
            reactor,
            at_once,
        )
        with self.assertRaises(TwitchRejected):
            await images.get("42", f"{origin}/42.png")
        sent = await server.ended
        self.assertTrue((2 << 20) - len(PNG) < sent < 32 << 20, sent)
