"""
The real daemon with certificates, and clients and an authority that nobody here wrote.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import pwd
import signal
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.internet.task import deferLater

from itsjustintv.simulator.loopback import free_port
from itsjustintv.simulator.process import DaemonProcess, environment, twistd
from itsjustintv.tls.certificate import KEY_TYPES, format_key
from tests.functional.run import Ended, run
from tests.functional.stage import SECRET, Stage, StageCase, lacking, tool
from tests.functional.test_ports import listening
from tests.functional.test_reload import Caller
from tests.tls.authority import DAY, Issuer
from tests.tls.pebble import Pebble

NAME = "hooks.example.test"
TLS = f'[server.tls]\nenabled = true\ndomains = ["{NAME}"]\n'
#: Seconds between two questions: each is a program that starts, and takes time from the daemon that is waited for.
PAUSE = 0.15
OWN = 'mode = "files"\ncert_file = "served.pem"\nkey_file = "served.pem"\n'
FILES = f'{OWN}http_listen = ""\n'


def _serial(shown: str) -> str:
    """
    The serial number of the certificate that openssl shows.
    """
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    pem = begin + shown.partition(begin)[2].partition(end)[0] + end
    return str(Certificate.loadPEM(pem.encode("ascii")).serialNumber())


def below_1024() -> Iterator[int]:
    """
    Ports that take a privilege and nobody holds; the kernel gives none of them unasked.
    """
    for port in range(1023, 511, -1):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        yield port


class HttpsCase(StageCase):
    """
    A test with a daemon that serves HTTPS, under a name that leads to this machine.
    """

    def setUp(self) -> None:
        """
        These tests need clients.
        """
        self.curl, self.openssl = tool("curl"), tool("openssl")

    def begin(self, tls: str) -> Stage:
        """
        A stage whose daemon serves HTTPS.

        :param tls: TOML of ``[server.tls]``.
        """
        stage = self.stage(settings=f"{TLS}{tls}")
        # The simulated Twitch does not speak TLS, so the daemon is told of another callback and we are Twitch.
        stage.incoming_webhook_url = f"https://{NAME}:{stage.port}/twitch"
        stage.add_streamer("tanuki")
        return stage

    async def ask(self, stage: Stage, path: str, *arguments: str) -> Ended:
        """
        Ask the daemon with curl, which verifies its certificate by ``root.pem`` in the stage's folder.
        """
        command = [
            self.curl,
            *("--silent", "--show-error", "--max-time", "10", "--cacert", "root.pem"),
            *("--resolve", f"{NAME}:{stage.port}:127.0.0.1"),
            *arguments,
            f"https://{NAME}:{stage.port}{path}",
        ]
        return await run(stage.reactor, command, stage.folder, environment(os.environ))

    async def started(self, stage: Stage) -> DaemonProcess:
        """
        A daemon that answers under its name.
        """
        daemon = stage.daemon()
        daemon.start()
        while (await self.ask(stage, "/health")).status != 0:
            self.assertIsNone(daemon.status, daemon.output)
            await deferLater(stage.reactor, PAUSE)
        return daemon

    async def deliver(self, stage: Stage) -> None:
        """
        Let a signed event come in through the door, and out to the receiver.
        """
        message = stage.message(stage.twitch.world.go_live("tanuki"))
        sent_at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        signed = f"{message.id}{sent_at}".encode() + message.body
        headers = {
            "Twitch-Eventsub-Message-Id": message.id,
            "Twitch-Eventsub-Message-Timestamp": sent_at,
            "Twitch-Eventsub-Message-Type": message.type,
            "Twitch-Eventsub-Message-Signature": "sha256=" + hmac.digest(SECRET.encode(), signed, "sha256").hex(),
        }
        (stage.folder / "body").write_bytes(message.body)
        arguments = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
        answer = await self.ask(stage, "/twitch", *arguments, "--data-binary", "@body")
        self.assertEqual(answer.out, '{"status":"processed"}', answer)
        await stage.receiver.delivery("/tanuki", len(stage.receiver.received) + 1).addTimeout(20, stage.reactor)

    async def served(self, stage: Stage, *arguments: str) -> Ended:
        """
        What openssl says of a handshake.
        """
        command = [self.openssl, "s_client", "-connect", f"127.0.0.1:{stage.port}", "-servername", NAME, *arguments]
        return await run(stage.reactor, command, stage.folder, environment(os.environ))

    async def serial(self, stage: Stage) -> str:
        """
        Which certificate is served.
        """
        return _serial((await self.served(stage)).out)

    def issue(self, stage: Stage, issuer: Issuer) -> None:
        """
        Put a new certificate where the daemon looks for it.
        """
        key = KEY_TYPES["p256"]()
        leaf = issuer.issue([NAME], key.public_key(), time() - DAY, time() + 90 * DAY)
        (stage.folder / "root.pem").write_bytes(issuer.root.public_bytes(Encoding.PEM))
        (stage.folder / "one.pem").write_bytes(format_key(key) + b"\n" + issuer.chain(leaf))
        (stage.folder / "one.pem").replace(stage.folder / "served.pem")

    async def connected(self, stage: Stage, root: bytes | None = None) -> Caller:
        """
        Somebody who is connected, and not only to the kernel's queue.

        :param root: what the daemon's certificate is verified with; without it, plain http is spoken.
        """
        endpoint: Any = TCP4ClientEndpoint(stage.reactor, "127.0.0.1", stage.port)
        if root is not None:
            trusted = trustRootFromCertificates([Certificate.loadPEM(root)])
            endpoint = wrapClientTLS(optionsForClientTLS(NAME, trustRoot=trusted), endpoint)
        caller = Caller()
        await connectProtocol(endpoint, caller)
        await self.answered(stage, caller)
        return caller

    async def answered(self, stage: Stage, caller: Caller) -> None:
        """
        Somebody who is connected asks, and is answered.
        """
        before = caller.heard.count(b"HTTP/1.1 200 OK")
        caller.transport.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        await stage.until(lambda: caller.heard.count(b"HTTP/1.1 200 OK") > before)


class FilesTests(HttpsCase):
    """
    A certificate of the operator's own.
    """

    async def test_is_served_and_replaced_while_the_daemon_runs(self) -> None:
        """
        An event comes in over HTTPS and is delivered; when the file is replaced, the next handshake gets the new
        certificate; and nothing older than TLS 1.2 is spoken.
        """
        stage = self.begin(FILES)
        issuer = Issuer()
        self.issue(stage, issuer)
        await self.started(stage)
        await self.deliver(stage)
        before = await self.serial(stage)
        self.issue(stage, issuer)
        while await self.serial(stage) == before:
            await deferLater(stage.reactor, PAUSE)
        await self.deliver(stage)
        for old in ("-tls1", "-tls1_1"):
            self.assertNotIn("BEGIN CERTIFICATE", (await self.served(stage, old)).out)

    async def led(self, stage: Stage, place: str) -> str:
        """
        Where whoever asks in plain http at a place is led.
        """
        arguments = ["--silent", "--show-error", "--max-time", "10", "--head", "--header", f"Host: {NAME}"]
        command = [self.curl, *arguments, f"http://{place}/x"]
        return (await run(stage.reactor, command, stage.folder, environment(os.environ))).out

    async def test_where_plain_http_cannot_be_had_https_is_served_all_the_same(self) -> None:
        """
        A place that somebody else holds is told in one line, at the start and not at a reload; once it is free the next
        SIGHUP is enough.
        """
        holder = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(holder.close)
        place = f"127.0.0.1:{holder.getsockname()[1]}"
        stage = self.begin(f'{OWN}http_listen = "{place}"\n')
        self.issue(stage, Issuer())
        daemon = await self.started(stage)
        await self.deliver(stage)
        daemon.send_signal(signal.SIGHUP)
        await daemon.said("valid and unchanged")
        holder.close()
        daemon.send_signal(signal.SIGHUP)
        await daemon.said(f"listening on {place}")
        self.assertIn(f"Location: https://{NAME}/x", await self.led(stage, place))
        self.assertEqual(daemon.output.count(f"cannot listen on {place}: address already in use"), 1, daemon.output)
        self.assertEqual(await daemon.stop(), 0)
        self.assertNotIn("Traceback", daemon.output)

    async def test_a_file_that_is_missing_is_named(self) -> None:
        """
        Without the certificate the daemon does not start, and says which file it misses.
        """
        stage = self.begin(FILES)
        daemon = stage.daemon()
        daemon.start()
        self.assertEqual(await daemon.ended(), 1)
        self.assertIn(f"cannot read {stage.folder / 'served.pem'}: No such file or directory", daemon.output)
        self.assertNotIn("Traceback", daemon.output)


class AcmeTests(HttpsCase):
    """
    Certificates from an authority.
    """

    async def house(self, http_port: int | None = None) -> tuple[Stage, Pebble]:
        """
        A stage with an authority that finds the daemon.
        """
        from twisted.internet import reactor  # noqa: PLC0415 - trial has installed it by now

        tool("pebble"), tool("pebble-challtestsrv")
        pebble = Pebble(reactor, Path(self.mktemp()).absolute(), http_port or free_port(), free_port())
        self.addCleanup(lambda: Deferred.fromCoroutine(pebble.stop()))
        stage = self.begin(
            f'directory = "{pebble.directory}"\nca_bundle = "{pebble.ca_bundle}"\nagree_to_terms = true\n'
            f'http_listen = "127.0.0.1:{pebble.http_port}"\n'
        )
        return stage, pebble

    async def test_is_obtained_kept_and_used_again(self) -> None:
        """
        A daemon without a certificate obtains one, and an event comes in and is delivered; the next start serves the
        same one, though the authority is gone.
        """
        stage, pebble = await self.house()
        await pebble.start()
        (stage.folder / "root.pem").write_bytes((await pebble.root()).dumpPEM())
        daemon = await self.started(stage)
        await self.deliver(stage)
        serial = await self.serial(stage)
        self.assertEqual(await daemon.stop(), 0)
        await pebble.stop()
        daemon = await self.started(stage)
        self.assertEqual(await self.serial(stage), serial)
        await self.deliver(stage)
        self.assertEqual(await daemon.stop(), 0)

    async def test_s02_no_port_is_open_but_that_of_https(self) -> None:
        """
        With tls-alpn-01 and plain http nowhere, a certificate is obtained and an event comes in and is delivered.
        """
        stage, pebble = await self.house()
        stage.settings = stage.settings.replace(f"127.0.0.1:{pebble.http_port}", "") + 'challenge = "tls-alpn-01"\n'
        stage.port = pebble.tls_port
        stage.incoming_webhook_url = f"https://{NAME}:{stage.port}/twitch"
        await pebble.start()
        (stage.folder / "root.pem").write_bytes((await pebble.root()).dumpPEM())
        daemon = await self.started(stage)
        await self.deliver(stage)
        assert daemon.pid is not None
        self.assertEqual(listening(daemon.pid), {f"0100007F:{stage.port:04X}"})
        self.assertEqual(await daemon.stop(), 0)

    async def test_s17_no_handshake_fails_while_certificates_change(self) -> None:
        """
        From the operator's certificate to ordered ones at a reload, and on through two renewals: curl and openssl come
        all the time, and each time they are served and the certificate verifies. Who is connected stays connected.
        """
        stage, pebble = await self.house()
        ordered, stage.settings = stage.settings, f"{TLS}{FILES}"
        await pebble.start(validity=40)
        self.issue(stage, Issuer())
        root = (stage.folder / "root.pem").read_bytes()
        (stage.folder / "root.pem").write_bytes(root + (await pebble.root()).dumpPEM())
        daemon = await self.started(stage)
        lasting = await self.connected(stage, root)
        serials = {await self.serial(stage)}
        # Renewed when nine tenths of its life are left, a certificate of 40 seconds is not nearly over when it is.
        stage.settings = f"{ordered}renew_fraction = 0.9\n"
        stage.configure()

        async def ask() -> None:
            while len(serials) < 4:
                answer = await self.ask(stage, "/health")
                self.assertEqual(answer.status, 0, f"{answer}\n{daemon.output}")
                await self.answered(stage, lasting)

        async def shake() -> None:
            while len(serials) < 4:
                shown = await self.served(
                    stage, "-CAfile", "root.pem", "-verify_hostname", NAME, "-verify_return_error"
                )
                self.assertEqual(shown.status, 0, f"{shown}\n{daemon.output}")
                serials.add(_serial(shown.out))

        await gatherResults([Deferred.fromCoroutine(each()) for each in (ask, shake)])
        await self.deliver(stage)
        self.assertEqual(await daemon.stop(), 0)
        self.assertNotIn("Traceback", daemon.output)

    async def test_a_look_before_the_start(self) -> None:
        """
        ``certs check`` says that the authority answers, or what is to be mended when it does not; it makes nothing.
        """
        stage, pebble = await self.house()
        stage.configure()
        away = await stage.command("certs", "check")
        self.assertEqual(away.status, 1, away)
        self.assertIn("localhost", away.out)
        await pebble.start()
        there = await stage.command("certs", "check")
        self.assertNotEqual(there.out, away.out)
        self.assertNotIn("Traceback", away.err + there.err)
        self.assertFalse((stage.folder / "data").exists())

    async def test_a_certificate_for_whoever_asks(self) -> None:
        """
        ``certs renew`` without a daemon orders a certificate, which the daemon then serves; with one the daemon does it
        and serves the new one to the next handshake; with ``--staging`` nothing of that changes.
        """
        stage, pebble = await self.house()
        await pebble.start()
        (stage.folder / "root.pem").write_bytes((await pebble.root()).dumpPEM())
        stage.configure()
        alone = await stage.command("certs", "renew", "--json")
        self.assertEqual(alone.status, 0, alone)
        daemon = await self.started(stage)
        self.assertNotIn("ordering a certificate", daemon.output)
        first = await self.serial(stage)
        asked = await stage.command("certs", "renew", NAME)
        self.assertEqual(asked.status, 0, asked)
        self.assertRegex(asked.out, f"^{NAME}: new certificate, valid until .*Pebble Intermediate")
        second = await self.serial(stage)
        self.assertNotEqual(second, first)
        trial = await stage.command("certs", "renew", "--staging")
        self.assertIn("as a test; nothing was replaced", trial.out)
        self.assertEqual(await self.serial(stage), second)
        await self.deliver(stage)
        self.assertEqual(await daemon.stop(), 0)
        self.assertEqual(list((stage.folder / "data/acme_certs/renew").iterdir()), [])

    async def test_ports_are_bound_as_root_and_everything_else_is_done_as_somebody_else(self) -> None:
        """
        With ``twistd --uid`` both ports are below 1024, and the process is nobody's from then on: it obtains a
        certificate, delivers, writes files of its own and renews. A reload cannot have another such port, says so, and
        the one that is there goes on; a port that is not needed is done without.
        """
        if os.geteuid():
            lacking("mount", "only root becomes somebody else")
        somebody = pwd.getpwnam("nobody")
        ports = below_1024()
        stage, pebble = await self.house(next(ports))
        stage.port = next(ports)
        stage.incoming_webhook_url = f"https://{NAME}:{stage.port}/twitch"
        stage.settings += "renew_fraction = 0.9\n"
        # What trial made on the way to it is for root alone.
        stage.folder.parent.chmod(0o755)
        os.chown(stage.folder, somebody.pw_uid, somebody.pw_gid)
        await pebble.start(validity=40)
        (stage.folder / "root.pem").write_bytes((await pebble.root()).dumpPEM())
        become = [f"--uid={somebody.pw_uid}", f"--gid={somebody.pw_gid}"]
        # Coverage would be written as nobody, where that may not write.
        uncovered = [tool("env"), "-u", "COVERAGE_PROCESS_START", "-u", "COVERAGE_PROCESS_CONFIG"]
        path = str(stage.configure())
        daemon = stage.daemon(uncovered, [str(twistd()), "-n", "--pidfile=", *become, "itsjustintv", "--config", path])
        daemon.start()
        while (await self.ask(stage, "/health")).status != 0:
            self.assertIsNone(daemon.status, daemon.output)
            await deferLater(stage.reactor, PAUSE)
        ids = Path(f"/proc/{daemon.pid}/status").read_text(encoding="ascii")
        self.assertIn("Uid:\t" + "\t".join([str(somebody.pw_uid)] * 4), ids)
        await self.deliver(stage)
        first = await self.serial(stage)
        while await self.serial(stage) == first:
            await deferLater(stage.reactor, PAUSE)
        owners = {}
        for each in (stage.folder / "data").rglob("*"):
            # Some have a new name by now.
            with contextlib.suppress(FileNotFoundError):
                owners[each.name] = each.stat().st_uid
        self.assertIn(f"{NAME}.pem", owners)
        self.assertEqual(set(owners.values()), {somebody.pw_uid}, owners)
        here, stage.port = stage.port, next(ports)
        stage.configure()
        await daemon.said(f"cannot listen on 127.0.0.1:{stage.port}: permission denied")
        stage.port = here
        await self.deliver(stage)
        place = f"127.0.0.1:{next(ports)}"
        stage.settings = stage.settings.replace(f"127.0.0.1:{pebble.http_port}", place)
        stage.configure()
        await daemon.said(f"cannot listen on {place}: permission denied; stop what holds it")
        stage.settings += 'challenge = "tls-alpn-01"\n'
        stage.configure()
        await daemon.said(f"cannot listen on {place}: permission denied; HTTPS is up")
        await self.deliver(stage)
        self.assertEqual(await daemon.stop(), 0)
        self.assertNotIn("Traceback", daemon.output)


class ReloadTests(HttpsCase):
    """
    A configuration that changes its mind about HTTPS.
    """

    async def begun(self, stage: Stage, root: bytes | None = None) -> Caller:
        """
        Somebody whose request has not arrived as a whole yet.
        """
        caller = await self.connected(stage, root)
        caller.transport.write(b"POST /twitch HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nab")
        return caller

    async def ended(self, caller: Caller) -> None:
        """
        It arrives, and is answered: nobody has signed it.
        """
        caller.transport.write(b"cd")
        self.assertIn(b"HTTP/1.1 403 Forbidden", await caller.closed)

    async def test_to_https_and_back_while_requests_are_under_way(self) -> None:
        """
        On the same port, and with port 80 leading there: what has begun in plain http is answered in plain http, what
        has begun in https in https, and whoever comes finds what is configured. A certificate that cannot be read
        changes nothing.
        """
        stage = self.begin("")
        stage.settings = ""
        self.issue(stage, Issuer())
        root = (stage.folder / "root.pem").read_bytes()
        daemon = await stage.started()
        stage.settings = TLS + FILES.replace("served.pem", "missing.pem")
        stage.configure()
        await daemon.said(f"server.tls: cannot read {stage.folder / 'missing.pem'}: No such file or directory")

        plain = await self.begun(stage)
        stage.settings = f'{TLS}{OWN}http_listen = "127.0.0.1:{free_port()}"\n'
        stage.configure()
        await daemon.said(f"TLS mode changed to the certificate file {stage.folder / 'served.pem'}")
        await self.ended(plain)
        await self.deliver(stage)
        place = stage.settings.rpartition("127.0.0.1:")[2].strip('"\n')
        there = await run(
            stage.reactor,
            [self.curl, "--silent", "--head", "--header", f"Host: {NAME}", f"http://127.0.0.1:{place}/x"],
            stage.folder,
            environment(os.environ),
        )
        self.assertIn(f"Location: https://{NAME}/x", there.out)

        secure = await self.begun(stage, root)
        stage.settings = ""
        stage.configure()
        await daemon.said("TLS mode changed to plain HTTP")
        await self.ended(secure)
        await daemon.ready()
        self.assertEqual(await daemon.stop(), 0)
        self.assertNotIn("Traceback", daemon.output)

    async def test_the_port_of_plain_http_leads_to_https_afterwards(self) -> None:
        """
        Who served on one port in plain http, and moves to https on another, finds the first one leading there, and is
        told of no fault.
        """
        stage = self.begin("")
        stage.settings = ""
        self.issue(stage, Issuer())
        before = stage.port
        daemon = await stage.started()
        stage.port = free_port()
        stage.settings = f'{TLS}{OWN}http_listen = "127.0.0.1:{before}"\n'
        stage.configure()
        command = [
            self.curl,
            "--silent",
            "--fail",
            "--head",
            "--header",
            f"Host: {NAME}",
            f"http://127.0.0.1:{before}/x",
        ]
        while f"Location: https://{NAME}/x" not in (await run(stage.reactor, command, stage.folder, {})).out:
            self.assertIsNone(daemon.status, daemon.output)
        self.assertEqual((await self.ask(stage, "/health")).status, 0)
        self.assertNotIn("cannot listen", daemon.output)

    async def test_twitch_is_told_of_a_callback_once_it_is_served(self) -> None:
        """
        While the authority is away Twitch goes on with the callback that it has verified, though another is configured.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        daemon = await stage.started()
        await stage.subscribed("tanuki")
        stage.settings = (
            f'{TLS}directory = "http://127.0.0.1:{free_port()}/dir"\nagree_to_terms = true\n'
            f'http_listen = "127.0.0.1:{free_port()}"\n'
        )
        stage.configure()
        await daemon.said("retrying at")
        stage.settings = ""
        stage.configure()
        await daemon.said("TLS mode changed to plain HTTP")
        self.assertEqual({each.callback for each in stage.twitch.subscriptions}, {stage.callback})
        self.assertEqual(await daemon.stop(), 0)
        self.assertNotIn("Traceback", daemon.output)

    async def test_whoever_waits_for_what_is_not_wanted_any_more_waits_for_what_is(self) -> None:
        """
        Subscriptions that have waited for a certificate from the start are made once none is needed.
        """
        stage = self.stage(
            settings=f'{TLS}directory = "http://127.0.0.1:{free_port()}/dir"\nagree_to_terms = true\n'
            f'http_listen = "127.0.0.1:{free_port()}"\n'
        )
        stage.add_streamer("tanuki")
        daemon = stage.daemon()
        daemon.start()
        await daemon.said("retrying at")
        self.assertEqual(list(stage.twitch.subscriptions), [])
        stage.settings = ""
        stage.configure()
        await stage.subscribed("tanuki")
        self.assertEqual(await daemon.stop(), 0)
        self.assertNotIn("Traceback", daemon.output)
