"""
Tests for :mod:`itsjustintv.doctor.conduit_checks`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Any, ClassVar

from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from itsjustintv.config.sections import CONDUIT, Conduit, Config, Storage, Twitch
from itsjustintv.doctor import system_checks
from itsjustintv.doctor.conduit_checks import check_conduit, check_file, check_welcome
from itsjustintv.doctor.findings import Finding, Severity
from itsjustintv.support.http_agents import Endpoints, policy_for
from itsjustintv.support.websocket import Closed, WebSocket, WebSocketDialer, WebSocketListener
from itsjustintv.tls.certificate import KEY_TYPES, format_key
from itsjustintv.twitch.eventsub.conduit_file import ConduitFile, RememberedConduit
from itsjustintv.twitch.eventsub.conduits_api import ConduitsAPI
from tests.tls.authority import DAY, Issuer
from tests.twitch.fake import Reply, World, run

OK, WARNING, ERROR = Severity.OK, Severity.WARNING, Severity.ERROR

CONDUITS = "/helix/eventsub/conduits"
SHARDS = "/helix/eventsub/conduits/shards"
OURS = RememberedConduit(client_id="an-id", conduit_id="ours", created_at="2026-01-02T03:04:05Z")


class FileTests(SynchronousTestCase):
    """
    The file that remembers the conduit.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.file = ConduitFile(self.folder / "conduit.json")

    def disk(self) -> list[str]:
        """
        The warnings about the disk.
        """
        twitch = Twitch(transport=CONDUIT, conduit=Conduit(state_file=str(self.file.path)), token_file="/a/t.json")
        config = Config(twitch=twitch, storage=Storage(path=str(self.folder / "journal.db")))
        found = system_checks.disk(config, self.folder / "config.toml", lambda: 0.0)
        return [each.text for each in found if "conduit.json" in each.text]

    def test_what_is_remembered(self) -> None:
        """
        Without a file nothing is wrong and nothing remembered; with one its conduit is.
        """
        self.assertEqual(check_file(self.file, "an-id"), (None, None))
        self.file.write(OURS)
        self.assertEqual(check_file(self.file, "an-id"), (OURS, None))
        self.assertEqual(self.disk(), [])

    def test_a_file_that_cannot_be_used(self) -> None:
        """
        A damaged file is a warning, since the daemon goes on with another conduit; one that cannot be read is an error.
        """
        self.folder.mkdir()
        self.file.path.write_text("{}")
        remembered, found = check_file(self.file, "an-id")
        assert found is not None
        self.assertEqual((remembered, found.severity), (None, WARNING))
        self.assertIn("does not hold client_id and conduit_id: the daemon cannot find its conduit", found.text)
        self.file.path.unlink()
        self.file.path.mkdir()
        remembered, found = check_file(self.file, "an-id")
        assert found is not None
        self.assertEqual((remembered, found.severity), (None, ERROR))
        text = f"twitch.conduit.state_file cannot be read: {self.file.path}: it is a directory, use a regular file"
        self.assertEqual(found.text, text)
        self.assertEqual(self.disk(), [])

    def test_a_file_that_others_can_read(self) -> None:
        """
        The disk's checks warn of it.
        """
        self.file.write(OURS)
        self.file.path.chmod(0o644)
        warning = f"twitch.conduit.state_file {self.file.path} can be read by other users: chmod 600 {self.file.path}"
        self.assertEqual(self.disk(), [warning])


class ConduitTests(SynchronousTestCase):
    """
    The conduit and its shards at Twitch.
    """

    def found(
        self, *states: str, remembered: RememberedConduit | None = OURS, total: int = 1, running: bool | None = True
    ) -> tuple[Severity, str]:
        """
        What is found with shards in these states.

        :param total: conduits of the application, ours among them if there are states.
        """
        world = World(Path(self.mktemp()))
        names = ["ours"] * bool(states) + [f"other-{number}" for number in range(total - bool(states))]
        listed = [{"id": name, "shard_count": 2} for name in names]
        world.twitch.usual[CONDUITS] = Reply(200, {"data": listed})
        shards = [{"id": str(number), "status": each} for number, each in enumerate(states)]
        world.twitch.usual[SHARDS] = Reply(200, {"data": shards})
        finding = self.successResultOf(run(check_conduit(ConduitsAPI(world.helix), remembered, running)))
        return finding.severity, finding.text

    def test_all_is_well(self) -> None:
        """
        Two enabled shards are as it should be; a ghost of an earlier size is not counted.
        """
        text = "conduit ours: 2 of 2 shards enabled; the application has 3 of 5 conduits"
        self.assertEqual(self.found("enabled", "enabled", total=3), (OK, text))
        self.assertEqual(self.found("enabled", "enabled", "websocket_disconnected", total=3), (OK, text))

    def test_shards_that_are_disabled(self) -> None:
        """
        One of two is a warning, none an error, with Twitch's words; a shard that is not listed was never assigned.
        """
        severity, text = self.found("enabled", "websocket_network_timeout")
        self.assertEqual(severity, WARNING)
        self.assertIn("1 of 2 shards enabled (1 websocket_network_timeout)", text)
        severity, text = self.found("websocket_disconnected")
        self.assertEqual(severity, ERROR)
        self.assertIn("(1 websocket_disconnected, 1 not assigned), so that no message arrives", text)
        self.assertEqual(self.found("websocket_disconnected", running=None)[0], WARNING)

    def test_while_no_daemon_runs(self) -> None:
        """
        Then no shard can be enabled, and how long the conduit stays is said.
        """
        severity, text = self.found("websocket_disconnected", "websocket_disconnected", running=False)
        self.assertEqual(severity, OK)
        self.assertIn("since no daemon runs; Twitch deletes a conduit without an enabled shard after 72 h", text)

    def test_no_conduit(self) -> None:
        """
        The daemon creates one when it starts; if it runs already, something is wrong.
        """
        severity, text = self.found(remembered=None, running=False)
        self.assertEqual(severity, WARNING)
        self.assertIn("no conduit is remembered yet: the daemon creates one", text)
        severity, text = self.found(running=True)
        self.assertEqual(severity, ERROR)
        self.assertIn("Twitch no longer has the remembered conduit ours, although the daemon runs", text)

    def test_five_of_five(self) -> None:
        """
        Without one of our own, five conduits leave no room for it, and the commands that help are named.
        """
        severity, text = self.found(remembered=None, running=False, total=5)
        self.assertEqual(severity, ERROR)
        self.assertIn("5 conduits of 5, so that the daemon cannot create one", text)
        self.assertIn("itsjustintv conduits delete ID", text)
        self.assertEqual(self.found("enabled", "enabled", total=5)[0], OK)


@define(eq=False)
class Socket:
    """
    Notes what is dialled and closed.
    """

    dialled: str = ""
    listener: WebSocketListener | None = None
    closes: list[int] = field(factory=list)

    def dial(self, url: str, listener: WebSocketListener) -> WebSocket:
        self.dialled = url
        self.listener = listener
        return self

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.closes.append(code)

    def abort(self) -> None:
        raise AssertionError

    pause = resume = abort


def frame(kind: str) -> str:
    """
    A frame of Twitch.
    """
    about = {"message_id": "m", "message_type": kind, "message_timestamp": "2026-01-02T03:04:05.123456789Z"}
    return json.dumps({"metadata": about, "payload": {}})


class WelcomeTests(SynchronousTestCase):
    """
    The connection to Twitch's WebSocket.
    """

    def found(self, then: Callable[[WebSocketListener], object], seconds: float = 0.0) -> Finding:
        """
        What is found when this happens.
        """
        clock, self.socket = Clock(), Socket()
        checking = Deferred.fromCoroutine(check_welcome(self.socket, clock, "wss://socket.example.net/ws"))
        assert self.socket.listener is not None
        then(self.socket.listener)
        clock.advance(seconds)
        finding = self.successResultOf(checking)
        self.assertEqual((self.socket.dialled, self.socket.closes), ("wss://socket.example.net/ws", [1000]))
        self.assertEqual(clock.getDelayedCalls(), [])
        return finding

    def test_a_welcome(self) -> None:
        """
        The first message is the welcome, and the connection is closed; what comes later does not matter.
        """

        def then(listener: WebSocketListener) -> None:
            listener.opened()
            listener.received(frame("session_welcome"))
            listener.received("anything")
            listener.closed(Closed(None, "it was closed here", opened=True))

        finding = self.found(then)
        self.assertEqual(finding.severity, OK)
        self.assertIn("socket.example.net accepts a connection from this machine", finding.text)

    def test_no_welcome(self) -> None:
        """
        A refusal, silence, another message and nonsense are errors, each with its cause and what can be done.
        """
        refused = "cannot connect to socket.example.net: connection refused"
        for then, seconds, words in (
            (lambda peer: peer.closed(Closed(None, refused, opened=False)), 0, refused),
            (lambda peer: peer.opened(), 10.0, "no welcome came within 10 s"),
            (
                lambda peer: peer.received(frame("session_keepalive")),
                0,
                "is a session_keepalive, not a session_welcome",
            ),
            (lambda peer: peer.received("<html>"), 0, "the first message cannot be read"),
        ):
            finding = self.found(then, seconds)
            self.assertEqual(finding.severity, ERROR)
            self.assertIn(words, finding.text)
            self.assertIn("proxies such as https_proxy are not supported", finding.text)


class Eavesdropper(Protocol):
    """
    Notes what it hears.
    """

    heard: ClassVar[list[bytes]] = []

    def dataReceived(self, data: bytes) -> None:
        self.heard.append(data)


class TrustTests(TestCase):
    """
    Whom the connection believes.
    """

    async def test_a_false_twitch(self) -> None:
        """
        A server with a certificate of no known authority gets no byte of the handshake, and the certificate is named as
        the cause.
        """
        key, issuer = KEY_TYPES["p256"](), Issuer()
        leaf = issuer.issue(["127.0.0.1"], key.public_key(), time() - DAY, time() + DAY)
        pem = Path(self.mktemp())
        pem.write_bytes(issuer.chain(leaf) + format_key(key))
        heard: list[bytes] = []
        self.patch(Eavesdropper, "heard", heard)
        listener = Factory()
        listener.protocol = Eavesdropper
        endpoint = serverFromString(reactor, f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}")
        port: Any = await endpoint.listen(listener)
        self.addCleanup(port.stopListening)
        clock: Any = reactor
        dialer = WebSocketDialer(clock, Endpoints(clock, policy_for("")))
        finding = await check_welcome(dialer, clock, f"wss://127.0.0.1:{port.getHost().port}/ws")
        self.assertEqual((finding.severity, heard), (ERROR, []))
        self.assertIn("certificate", finding.text)
