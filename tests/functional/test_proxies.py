"""
The real daemon behind real proxies, which run from the files in etc/.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import time

from attrs import evolve
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred

from itsjustintv.simulator.loopback import free_port
from itsjustintv.simulator.process import DaemonProcess, environment
from itsjustintv.tls.certificate import KEY_TYPES, format_key
from tests.documents import ROOT, Document, asked_from_outside
from tests.functional import nginx
from tests.functional.run import Background, Ended, run
from tests.functional.stage import SECRET, Stage, StageCase, tool
from tests.tls.authority import DAY, Issuer

#: What everybody is asked to put in the place of hooks.example.org.
NAME = "hooks.somebody.example"

#: From where Twitch calls, so that it can be told from the proxy.
CALLER = "127.0.0.2"

#: What a caller may claim to be.
CLAIMS = {"X-Forwarded-For": "192.0.2.66", "Forwarded": "for=192.0.2.66"}

TRUSTING = 'trusted_proxies = ["127.0.0.1"]'

CADDY = """
{
	admin off
	auto_https off
}
"""


class ProxyTests(StageCase):
    """
    What Twitch sends arrives through each of them as it was sent, and the daemon knows from whom.
    """

    def setUp(self) -> None:
        """
        These tests need a client that speaks TLS, and let Twitch call a port of this machine.
        """
        self.curl = tool("curl")
        self.port = free_port()

    def house(self, settings: str = "") -> Stage:
        """
        A stage with a certificate of a throw-away authority, and a daemon that trusts the proxy.
        """
        stage = self.stage()
        # Twitch's callback is the proxy's, and nothing at all is asked of it here.
        stage.incoming_webhook_url = f"https://{NAME}:{self.port}/twitch"
        stage.add_streamer("tanuki")
        stage.settings = settings
        key, issuer = KEY_TYPES["p256"](), Issuer()
        leaf = issuer.issue([NAME], key.public_key(), time() - DAY, time() + DAY)
        (stage.folder / "root.pem").write_bytes(issuer.root.public_bytes(Encoding.PEM))
        (stage.folder / "chain.pem").write_bytes(issuer.chain(leaf))
        (stage.folder / "key.pem").write_bytes(format_key(key))
        (stage.folder / "both.pem").write_bytes(issuer.chain(leaf) + format_key(key))
        return stage

    async def daemon(self, stage: Stage, server: str = TRUSTING) -> DaemonProcess:
        """
        A daemon that is ready.

        :param server: TOML of ``[server]``, beside address and port.
        """
        stage.server = server
        return await stage.started()

    def file(self, stage: Stage, source: str, changes: Mapping[str, str], name: str, before: str = "") -> str:
        """
        Copy a file of etc/ into the stage's folder, with other places in it and nothing else changed.
        """
        text = (ROOT / "etc" / source).read_text(encoding="utf-8").replace("hooks.example.org", NAME)
        for old, new in changes.items():
            self.assertIn(old, text)
            text = text.replace(old, new)
        path = stage.folder / name
        path.write_text(before + text, encoding="utf-8")
        return str(path)

    async def installed(self, stage: Stage) -> str:
        """
        Run the commands of docs/install.md that put the file for nginx in its place, which here is the stage's folder.

        :return: where it is.
        """
        blocks = [each for each in Document(ROOT / "docs" / "install.md").blocks if each.language == "console"]
        (block,) = [each for each in blocks if "nginx" in str(each)]
        *commands, check = [line.removeprefix("# ") for line in block.lines]
        self.assertTrue(check.startswith("nginx -t "))
        place = stage.folder / "conf.d"
        place.mkdir()
        for each in commands:
            self.assertIn("/etc/nginx/conf.d/", each)
            typed = each.replace("/etc/nginx/conf.d", str(place)).replace("YOUR.DOMAIN", NAME)
            ended = await run(stage.reactor, ["/bin/sh", "-c", typed], ROOT, environment(os.environ))
            self.assertEqual(ended.status, 0, ended)
        path = place / "itsjustintv.conf"
        self.assertNotIn("server_name hooks.example.org", path.read_text(encoding="utf-8"))
        return str(path)

    async def run_proxy(self, stage: Stage, command: Sequence[str]) -> None:
        """
        Run a proxy until the test ends, and wait until it answers.
        """
        proxy = Background(stage.reactor, command, stage.folder)
        self.addCleanup(lambda: Deferred.fromCoroutine(proxy.kill()))
        proxy.start({**environment(os.environ), "HOME": str(stage.folder)})
        while (answer := await self.ask(stage, "/")).status != 0:
            self.assertTrue(proxy.running, f"{answer}{proxy.output}")

    async def ask(self, stage: Stage, path: str, *arguments: str, body: bytes = b"") -> Ended:
        """
        Ask the proxy, from the address of the caller.

        :return: with the status of HTTP as the last line.
        """
        (stage.folder / "body").write_bytes(body)
        command = [
            self.curl,
            *("--silent", "--show-error", "--max-time", "20", "--cacert", "root.pem", "--interface", CALLER),
            *("--resolve", f"{NAME}:{self.port}:127.0.0.1", "--write-out", "\n%{http_code}"),
            *arguments,
            f"https://{NAME}:{self.port}{path}",
        ]
        return await run(stage.reactor, command, stage.folder, environment(os.environ))

    async def tell(self, stage: Stage, secret: str = SECRET, **more: str) -> str:
        """
        Send a notification as Twitch does. Its JSON is written as no library would write it.

        :return: the status, and what came with it.
        """
        message = stage.message(stage.twitch.world.go_live("tanuki"))
        odd = json.dumps(json.loads(message.body), indent="\t").replace("\n", "\r\n").replace("tanuki", "tanuk\\u0069")
        message = evolve(message, body=f"  {odd}\r\n\r\n ".encode())
        sent_at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        signed = f"{message.id}{sent_at}".encode() + message.body
        headers = {
            "Content-Type": "application/json",
            "Twitch-Eventsub-Message-Id": message.id,
            "Twitch-Eventsub-Message-Timestamp": sent_at,
            "Twitch-Eventsub-Message-Type": message.type,
            "Twitch-Eventsub-Message-Signature": "sha256=" + hmac.digest(secret.encode(), signed, "sha256").hex(),
            **more,
        }
        arguments = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
        answer = await self.ask(stage, "/twitch", *arguments, "--data-binary", "@body", body=message.body)
        return " ".join(reversed(answer.out.splitlines()))

    async def check(self, stage: Stage, daemon: DaemonProcess) -> None:
        """
        Hold a proxy, and the daemon behind it, to everything that is promised.
        """
        asked = asked_from_outside()
        self.assertTrue(asked, "the runbook begins with a look from outside")
        for path in asked:
            (status, *_), body = self.answer(await self.ask(stage, path, "--include"))
            self.assertIn(" 405", status, path)
            self.assertEqual(body, '{"status":"method not allowed"}', path)
        self.assertEqual(await self.tell(stage), '200 {"status":"processed"}')
        await stage.receiver.delivery("/tanuki").addTimeout(30, stage.reactor)
        self.assertEqual(await self.tell(stage, "a forger's secret", **CLAIMS), '403 {"status":"forbidden"}')
        await daemon.said(f"the last from {CALLER}: ").addTimeout(30, stage.reactor)
        self.assertNotIn("192.0.2.66", daemon.output)

    @staticmethod
    def answer(ended: Ended) -> tuple[Sequence[str], str]:
        """
        Take what curl has shown of an answer apart: the head, and the body.
        """
        head, _, rest = ended.out.replace("\r\n", "\n").partition("\n\n")
        return head.splitlines(), rest.splitlines()[0]

    async def check_door(self, stage: Stage) -> None:
        """
        See that the proxy lets nothing but messages of a sane size through.
        """
        for path in ("/health", "/twitch/", "/admin"):
            self.assertEqual((await self.ask(stage, path)).out.splitlines()[-1], "404", path)
        large = await self.ask(stage, "/twitch", "--data-binary", "@body", body=b"x" * 300_000)
        self.assertEqual(large.out.splitlines()[-1], "413", large)

    async def test_nginx(self) -> None:
        """
        nginx, from etc/nginx, as docs/install.md installs it; and a daemon that does not trust it takes nobody's word.
        """
        stage = self.house()
        daemon = await self.daemon(stage)
        certificate = f"/etc/letsencrypt/live/{NAME}"
        changes = {
            "127.0.0.1:8080": f"127.0.0.1:{stage.port}",
            "    listen [::]:80;\n": "",
            "    listen [::]:443 ssl;\n": "",
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            f"{certificate}/fullchain.pem": str(stage.folder / "chain.pem"),
            f"{certificate}/privkey.pem": str(stage.folder / "key.pem"),
        }
        installed = await self.installed(stage)
        self.file(stage, installed, changes, "itsjustintv.conf")
        (stage.folder / "nginx.conf").write_text(
            nginx.configuration(stage.folder, f"include {stage.folder}/itsjustintv.conf;")
        )
        await self.run_proxy(stage, [tool("nginx"), "-c", str(stage.folder / "nginx.conf")])
        await self.check(stage, daemon)
        await self.check_door(stage)

        await daemon.stop()
        wary = await self.daemon(stage, "")
        await self.tell(stage, "a forger's secret", **CLAIMS)
        await wary.said("the last from 127.0.0.1: ").addTimeout(30, stage.reactor)

    async def test_caddy(self) -> None:
        """
        Caddy, from etc/caddy.
        """
        stage = self.house()
        daemon = await self.daemon(stage)
        tls = f"\ttls {stage.folder}/chain.pem {stage.folder}/key.pem\n"
        changes = {
            "127.0.0.1:8080": f"127.0.0.1:{stage.port}",
            f"{NAME} {{\n": f"https://{NAME}:{self.port} {{\n\tbind 127.0.0.1\n{tls}",
        }
        path = self.file(stage, "caddy/Caddyfile", changes, "Caddyfile", CADDY)
        await self.run_proxy(stage, [tool("caddy"), "run", "--config", path, "--adapter", "caddyfile"])
        await self.check(stage, daemon)
        await self.check_door(stage)

    async def test_haproxy(self) -> None:
        """
        HAProxy, from etc/haproxy.
        """
        stage = self.house()
        daemon = await self.daemon(stage)
        changes = {
            "127.0.0.1:8080": f"127.0.0.1:{stage.port}",
            "    bind [::]:80 v6only\n": "",
            f"    bind [::]:443 v6only ssl crt /etc/haproxy/{NAME}.pem alpn h2,http/1.1\n": "",
            "bind :80": f"bind 127.0.0.1:{free_port()}",
            "bind :443": f"bind 127.0.0.1:{self.port}",
            f"/etc/haproxy/{NAME}.pem": str(stage.folder / "both.pem"),
        }
        path = self.file(stage, "haproxy/haproxy.cfg", changes, "haproxy.cfg")
        await self.run_proxy(stage, [tool("haproxy"), "-db", "-f", path])
        await self.check(stage, daemon)
        await self.check_door(stage)

    async def test_haproxy_that_passes_tls_on(self) -> None:
        """
        HAProxy as a mere pipe, which introduces the caller by version 2 of the PROXY protocol; the daemon ends TLS.
        """
        stage = self.house(
            '[server.tls]\nenabled = true\nmode = "files"\ncert_file = "chain.pem"\nkey_file = "key.pem"\n'
            f'domains = ["{NAME}"]\nhttp_listen = ""\n'
        )
        stage.server = f"{TRUSTING}\nproxy_protocol = true"
        daemon = stage.daemon()
        daemon.start()
        changes = {
            "127.0.0.1:8443": f"127.0.0.1:{stage.port}",
            "    bind [::]:443 v6only\n": "",
            "bind :443": f"bind 127.0.0.1:{self.port}",
        }
        path = self.file(stage, "haproxy/passthrough.cfg", changes, "haproxy.cfg")
        await daemon.said("listening on").addTimeout(30, stage.reactor)
        await self.run_proxy(stage, [tool("haproxy"), "-db", "-f", path])
        await self.check(stage, daemon)
