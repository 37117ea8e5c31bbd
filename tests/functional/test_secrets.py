"""
What the real daemon must keep to itself.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from itsjustintv.model import State
from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.eventsub import Message, stream_online
from itsjustintv.simulator.loopback import free_port, listen
from itsjustintv.simulator.process import DaemonProcess, twistd
from tests.documents import ROOT
from tests.functional.stage import SECRET, Stage, StageCase
from tests.otlp import CollectorResource

#: Every way to fail that a receiver has, by the streamer it is for; the last one recovers.
FAILURES = {
    "refused": None,
    "handshake": None,
    "hung": Behaviour(hang=True),
    "dropped": Behaviour(drop=True),
    "elsewhere": Behaviour(status=302, headers={"Location": "/hooks/moved-to-a-secret-path?token=moved-token"}),
    "broken": Behaviour(status=500),
    "recovered": Behaviour(status=503),
}

HUB = "hub secret of {}"
STANDARD = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

ADMIN_TOKEN = "a-token-of-the-operators-own"

NEXT_SECRET = "the webhook secret of tomorrow"

#: What a collector of telemetry asks for.
COLLECTOR = {
    "ITSJUSTINTV_TELEMETRY_ENABLED": "true",
    "ITSJUSTINTV_TELEMETRY_ENDPOINT": "{}/?key=key-to-the-collector",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20header-for-the-collector",
    "OTEL_BSP_SCHEDULE_DELAY": "50",
}

SETTINGS = """
[retry]
max_attempts = 3
initial_delay = "20ms"
timeout = "300ms"
state_file = "old/retry_state.json"
[storage]
path = "store/deep/journal.db"
[logging]
level = "debug"
[admin]
enabled = true
token = "a-token-of-the-operators-own"
listen = "127.0.0.1:PORT"
[output]
file_path = "outcomes/deep/output.json"
[cache]
image_dir = "pictures/deep"
file_path = "old/cache.json"
"""

#: A daemon with a defect that tells all it knows.
DEFECTIVE = """
import sys
from importlib.metadata import entry_points
from urllib.parse import urlsplit
from itsjustintv.destinations.http_sender import HttpSender
def broken(self, delivery, destination):
    parts = urlsplit(destination.url)
    raise RuntimeError(f"{destination.url} {parts.path}?{parts.query} {parts.path} {parts.query} {destination.secret}")
HttpSender.send = broken
sys.argv = sys.argv[1:]
entry_points(group="console_scripts")[sys.argv[0]].load()()
"""


#: A daemon with another one.
TALKATIVE = """
import sys
from itsjustintv.__main__ import main
from itsjustintv.twitch.api.oauth import AppToken
get = AppToken.get
async def broken(self):
    raise RuntimeError(f"Authorization: Bearer {await get(self)}")
AppToken.get = broken
sys.argv = ["itsjustintv", "run", "--config", "config.toml"]
main()
"""


@implementer(IAgent)
@frozen
class Recording:
    """
    Notes the signatures of what goes out.
    """

    _agent: IAgent
    _signatures: list[str]

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        values = headers.getRawHeaders("Twitch-Eventsub-Message-Signature") if headers else None
        self._signatures.extend(value.removeprefix("sha256=") for value in values or [])
        return self._agent.request(method, uri, headers, bodyProducer)


class Plain(Protocol):
    """
    Somebody who does not speak TLS, or anything else that is asked of him.
    """

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"220 welcome to the post office\r\n")
        self.transport.loseConnection()


class SecretsCase(StageCase):
    """
    A stage full of secrets.
    """

    def setUp(self) -> None:
        """
        No message was signed yet.
        """
        self.signatures: list[str] = []

    def hook(self, login: str) -> str:
        """
        Path and query of a destination; whoever knows them can post there.
        """
        return f"/hooks/path-secret-of-{login}?token=query-secret-of-{login}"

    def full_stage(self) -> Stage:
        """
        Streamers with destinations of every kind, each with secrets of its own.
        """
        # The next thing that makes a file too readable is to be noticed.
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        stage = self.stage(settings=SETTINGS.replace("PORT", str(free_port())), journal_file="store/deep/journal.db")
        recording = Recording(stage.twitch.eventsub._agent, self.signatures)
        stage.twitch.eventsub._agent = recording
        deaf = socket.socket()
        self.addCleanup(deaf.close)
        deaf.bind(("127.0.0.1", 0))
        plain = stage.reactor.listenTCP(0, Factory.forProtocol(Plain), interface="127.0.0.1")
        self.addCleanup(plain.stopListening)
        bases = {
            "refused": f"http://127.0.0.1:{deaf.getsockname()[1]}",
            "handshake": f"https://127.0.0.1:{plain.getHost().port}",
        }
        for login, behaviour in FAILURES.items():
            channel = stage.twitch.world.add_streamer(login)
            signature, secret = ("both", STANDARD) if login == "broken" else ("hub", HUB.format(login))
            stage.streamers[login] = (
                f'[streamers.{login}]\nuser_id = "{channel.id}"\ntarget_webhook_signature = "{signature}"\n'
                f'target_webhook_secret = "{secret}"\n'
                f'target_webhook_url = "{bases.get(login, stage.hook)}{self.hook(login)}"\n'
            )
            path = self.hook(login).partition("?")[0]
            if login == "recovered" and behaviour:
                stage.receiver.script.plan(path, behaviour)
            elif behaviour:
                stage.receiver.script.plan(path, then=behaviour)
        # Error pages like to quote what they were asked for.
        page = f"Cannot POST {self.hook('broken')}".encode()
        stage.receiver.script.plan(self.hook("broken").partition("?")[0], then=Behaviour(status=500, body=page))
        return stage

    def secrets(self, stage: Stage) -> Iterator[str]:
        """
        Everything that was secret so far.
        """
        yield from (SECRET, NEXT_SECRET, ADMIN_TOKEN, STANDARD, stage.twitch.client_secret)
        yield from self.tokens(stage)
        yield from self.signatures
        for login in (*FAILURES, "tomorrow"):
            yield from (HUB.format(login), f"path-secret-of-{login}", f"query-secret-of-{login}")
        yield from ("moved-to-a-secret-path", "moved-token")
        yield from ("key-to-the-collector", "header-for-the-collector")
        for received in stage.receiver.received:
            for name, mark in (("x-hub-signature-256", "sha256="), ("webhook-signature", "v1,")):
                if name in received.headers:
                    yield received.headers[name].removeprefix(mark)

    def assert_kept(self, stage: Stage, text: str, where: str) -> None:
        """
        None of the secrets is in a text, plain or as it is written in an address.
        """
        for secret in self.secrets(stage):
            for form in (secret, quote(secret, safe="")):
                for line in text.splitlines():
                    self.assertNotIn(form, line, f"{form} in {where}: {line}")

    async def refused(self, stage: Stage) -> None:
        """
        Send what must be refused: a wrong signature, and, rightly signed, what is no JSON, and a revocation.
        """
        stream = stage.twitch.world.go_live("recovered")
        add = stage.twitch.subscriptions.add
        forged = add("stream.online", "1", stream.channel.id, stage.callback, "not the secret of the stage")
        message = stage.twitch.eventsub.notification(forged, stream_online(stream))
        report = await stage.twitch.eventsub.send(message, again=False)
        self.assertEqual(report.tries[0].status, 403)
        subscription = add("stream.online", "1", stream.channel.id, stage.callback, SECRET)
        message = Message(id="no-json", type="notification", subscription=subscription, body=b'{"secret')
        report = await stage.twitch.eventsub.send(message, again=False)
        self.assertEqual(report.tries[0].status, 400)
        report = await stage.twitch.revoke(subscription, "authorization_revoked")
        self.assertEqual(report.tries[0].status, 200)

    async def live(self, stage: Stage, *logins: str) -> None:
        """
        Let broadcasts begin; the daemon accepts them.
        """
        for login in logins:
            report = await stage.twitch.eventsub.send(stage.message(stage.twitch.world.go_live(login)))
            self.assertTrue(report.acknowledged, report)

    async def everything(self, stage: Stage, daemon: DaemonProcess) -> None:
        """
        All that can happen between the start and the end of a daemon.
        """
        faults = stage.twitch.faults
        said = json.dumps({"status": 503, "message": f"do not like {stage.twitch.client_secret}"}).encode()
        faults.plan("token", Behaviour(status=503, body=said))
        daemon.start()
        await daemon.ready()
        await stage.subscribed("recovered")
        await self.refused(stage)
        await self.live(stage, *FAILURES)
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.delivered, account.dead), (1, len(FAILURES) - 1), daemon.output)
        await self.renewed(stage)
        await self.reloaded(stage, daemon)
        self.assertEqual(await daemon.stop(), 0)

    async def renewed(self, stage: Stage) -> None:
        """
        Helix does not believe the token any more, and says which; then it fails in other ways.
        """
        faults = stage.twitch.faults
        # For a second after a failure Twitch is not asked again.
        while not self.tokens(stage):
            await self.live(stage, "recovered")
            await stage.settled(stage.reactor)
        asked = stage.twitch.requests.count("POST /oauth2/token")
        faults.plan("channels", self.quoting(stage, 401))
        faults.plan("images", Behaviour(status=500))
        await self.live(stage, "recovered")
        await stage.until(lambda: stage.twitch.requests.count("POST /oauth2/token") > asked)
        await stage.settled(stage.reactor)
        faults.plan("users", self.quoting(stage, 500))
        faults.plan("channels", self.quoting(stage, 403))
        faults.plan("streams", Behaviour(drop=True))
        await self.live(stage, "recovered")
        await stage.settled(stage.reactor)

    def quoting(self, stage: Stage, status: int) -> Behaviour:
        """
        An error that quotes the token of the request.
        """
        content = {"status": status, "message": f"Invalid OAuth token {self.tokens(stage)[-1]}"}
        return Behaviour(status=status, body=json.dumps(content).encode())

    async def reloaded(self, stage: Stage, daemon: DaemonProcess) -> None:
        """
        A configuration that cannot be used, and then one with other secrets, which is.
        """
        path = stage.folder / "config.toml"
        good = path.read_text()
        path.write_text(good.replace('target_webhook_url = "http://', 'target_webhook_url = "htp://'))
        daemon.send_signal(signal.SIGHUP)
        await daemon.said("streamers.recovered.target_webhook_url")
        changed = good.replace(SECRET, NEXT_SECRET).replace(HUB.format("recovered"), HUB.format("tomorrow"))
        path.write_text(changed.replace("secret-of-recovered", "secret-of-tomorrow"))
        daemon.send_signal(signal.SIGHUP)
        await daemon.said("configuration reloaded")
        stream = stage.twitch.world.go_live("recovered")
        add = stage.twitch.subscriptions.add
        subscription = add("stream.online", "1", stream.channel.id, stage.callback, NEXT_SECRET)
        message = stage.twitch.eventsub.notification(subscription, stream_online(stream))
        self.assertTrue((await stage.twitch.eventsub.send(message)).acknowledged)
        await stage.receiver.delivery(self.hook("tomorrow").partition("?")[0])
        await stage.settled(stage.reactor)

    def tokens(self, stage: Stage) -> Sequence[str]:
        """
        Every token that Twitch has given.
        """
        return list(stage.twitch.tokens._expiry)


class LogTests(SecretsCase):
    """
    No secret is ever in the log, whatever happens.
    """

    async def silent(self, *command: str, text: bool = False) -> str:
        """
        Start the daemon in some way and let everything happen.

        :return: what it said.
        """
        stage = self.full_stage()
        form = {"ITSJUSTINTV_LOGGING_FORMAT": "text"} if text else {}
        collector = CollectorResource()
        collector.status = 401
        listening = listen(stage.reactor, collector.resource())
        self.addCleanup(lambda: Deferred.fromCoroutine(listening.stop()))
        about = {name: value.replace("{}", listening.url) for name, value in COLLECTOR.items()}
        daemon = stage.daemon(command=[sys.executable, *command], env={**about, **form})
        await self.everything(stage, daemon)
        # It was not silent because it said nothing.
        for word in ("is dead after", "the signature does not match", "the collector", "[redacted]", "debug"):
            self.assertIn(word, daemon.output)
        self.assert_kept(stage, daemon.output, "the log")
        return daemon.output

    def assert_lines(self, output: str, text: bool) -> None:
        """
        Every line is of the form that was asked for, from the first to the last.
        """
        lines = output.splitlines()
        form = re.compile(r"(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warn|error|critical) |    )")
        for line in lines:
            if text:
                self.assertRegex(line, form)
            else:
                self.assertEqual(list(json.loads(line))[:4], ["time", "level", "logger", "message"])
        self.assertIn("Server Shut Down.", lines[-1])

    def test_the_command(self) -> Deferred[None]:
        """
        After deliveries, retries, dead letters, errors of Helix, forged messages, new tokens and reloads, the log of
        ``itsjustintv run`` is lines of JSON, and holds no secret, no address and no signature.
        """

        async def scenario() -> None:
            self.assert_lines(await self.silent("-m", "itsjustintv", "run", "--config", "config.toml"), text=False)

        return Deferred.fromCoroutine(scenario())

    def test_twistd_as_text(self) -> Deferred[None]:
        """
        Neither does that of twistd, which is text if it is to be.
        """

        async def scenario() -> None:
            arguments = ("-n", "--pidfile=", "itsjustintv", "--config", "config.toml")
            self.assert_lines(await self.silent(str(twistd()), *arguments, text=True), text=True)

        return Deferred.fromCoroutine(scenario())

    def test_in_a_form_of_twists(self) -> Deferred[None]:
        """
        Neither do the events as twist writes them for machines at its most talkative, with every field they have.
        """
        arguments = ("--log-level=debug", "--log-format=json", "itsjustintv", "--config", "config.toml")
        return Deferred.fromCoroutine(self.silent("-m", "twisted", *arguments))

    async def defective(self, command: Sequence[str], error: str, env: Mapping[str, str] = {}) -> None:
        """
        Start a daemon with a defect, let it fail, and reload its configuration before it fails again.
        """
        stage = self.full_stage()
        daemon = stage.daemon(command=[sys.executable, "-c", DEFECTIVE, *command], env=env)
        daemon.start()
        await daemon.ready()
        await self.live(stage, "broken", "recovered")
        await stage.until(lambda: daemon.output.count("Traceback") == 2)
        path = stage.folder / "config.toml"
        path.write_text(path.read_text().replace("of-hung", "of-tomorrow").replace("of hung", "of tomorrow"))
        daemon.send_signal(signal.SIGHUP)
        await daemon.said("configuration reloaded")
        await self.live(stage, "hung")
        await stage.until(lambda: daemon.output.count("Traceback") == 3)
        self.assertIn(error, daemon.output)
        self.assert_kept(stage, daemon.output, "the log")

    def test_tracebacks(self) -> Deferred[None]:
        """
        Even the traceback of a defect that quotes addresses and secrets has none of them in it, nor those that came
        with a reload; in every form, and in the log of the .tac file as well.
        """

        async def scenario() -> None:
            error = "RuntimeError: [redacted]"
            await self.defective(["itsjustintv", "run", "--config", "config.toml"], error)
            await self.defective(
                ["twistd", "-n", "--pidfile=", "--logger=itsjustintv.logs.json_logger", "itsjustintv"], error
            )
            tac = str(ROOT / "itsjustintv.tac")
            await self.defective(["twistd", "-ny", tac, "--pidfile="], error, {"ITSJUSTINTV_LOGGING_FORMAT": "text"})
            await self.defective(["twist", "--log-format=text", "itsjustintv"], error)

        return Deferred.fromCoroutine(scenario())

    def test_the_token_in_a_traceback(self) -> Deferred[None]:
        """
        Nor has a traceback that quotes the token.
        """

        async def scenario() -> None:
            stage = self.full_stage()
            daemon = stage.daemon(command=[sys.executable, "-c", TALKATIVE])
            daemon.start()
            await daemon.said("RuntimeError: Authorization: Bearer [redacted]")
            self.assertTrue(self.tokens(stage))
            self.assert_kept(stage, daemon.output, "the log")

        return Deferred.fromCoroutine(scenario())


class FileTests(SecretsCase):
    """
    What the daemon writes is for its owner.
    """

    def test_nobody_else_can_read_or_enter(self) -> Deferred[None]:
        """
        Under a umask that permits everything, each file the daemon writes is 0600 and each folder it makes is 0700.
        """

        async def scenario() -> None:
            stage = self.full_stage()
            await self.everything(stage, stage.daemon())
            modes = {
                str(path.relative_to(stage.folder)): stat.S_IMODE(path.stat().st_mode)
                for path in stage.folder.rglob("*")
                if path.name != "config.toml"
            }
            for expected in ("store/deep/journal.db", "outcomes/deep/output.json", "data/tokens.json", "pictures/deep"):
                self.assertIn(expected, modes)
            wide = {
                name: oct(mode)
                for name, mode in modes.items()
                if mode != (0o700 if (stage.folder / name).is_dir() else 0o600)
            }
            self.assertEqual(wide, {})

        return Deferred.fromCoroutine(scenario())

    def test_only_the_token_is_kept(self) -> Deferred[None]:
        """
        Of all the secrets only the token is on the disk, in its own file; journal and outcomes have neither addresses
        nor keys.
        """

        async def scenario() -> None:
            stage = self.full_stage()
            await self.everything(stage, stage.daemon())
            for path in stage.folder.rglob("*"):
                if path.is_file() and path.name not in ("config.toml", "tokens.json"):
                    self.assert_kept(stage, path.read_bytes().decode("latin-1"), str(path))

        return Deferred.fromCoroutine(scenario())

    def test_the_commands_tell_none(self) -> Deferred[None]:
        """
        ``deliveries list`` and ``show`` print no secret, not even what an error page quotes.
        """

        async def scenario() -> None:
            stage = self.full_stage()
            await self.everything(stage, stage.daemon())
            for delivery in ("list", *(each.id for each in stage.journal.list(State.DEAD))):
                ended = await stage.command("deliveries", *(["list"] if delivery == "list" else ["show", delivery]))
                self.assertEqual(ended.status, 0, ended)
                self.assert_kept(stage, ended.out + ended.err, "the command's output")

        return Deferred.fromCoroutine(scenario())
