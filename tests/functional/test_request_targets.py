"""
What is sent to each form of URL, as servers that are not ours understand it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import BrowserLikePolicyForHTTPS, HTTPConnectionPool, readBody

from itsjustintv.simulator.loopback import free_port
from itsjustintv.simulator.process import environment
from itsjustintv.support.http_agents import Endpoints, ExactAgent
from itsjustintv.support.http_url import HttpUrl
from tests.functional import nginx
from tests.functional.run import Background
from tests.functional.stage import tool
from tests.support.test_http_agents import Here, Resolving, at_port
from tests.support.test_http_url import SENT

SERVER = 'server {{ listen 127.0.0.1:{port}; location / {{ return 200 "$request_uri"; }} }}'

PYTHON = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        target = self.requestline.split()[1].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(target)))
        self.end_headers()
        self.wfile.write(target)

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class TargetTests(TestCase):
    """
    Every form of URL that a configuration may have.
    """

    timeout = 60

    async def check(self, port: int, *command: str) -> None:
        """
        Hold a server to what was sent.
        """
        folder = Path(self.mktemp())
        folder.mkdir(exist_ok=True)
        server = Background(reactor, command, folder)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.kill()))
        server.start(environment(os.environ))
        resolving: Any = Resolving(Here())
        pool = HTTPConnectionPool(reactor, persistent=False)
        endpoints = Endpoints(resolving, BrowserLikePolicyForHTTPS(), strict=True)
        agent = ExactAgent.usingEndpointFactory(resolving, endpoints, pool)

        async def post(url: str) -> tuple[int, bytes]:
            response = await agent.request(b"POST", url.encode())
            return response.code, await readBody(response)

        async def answers() -> bool:
            self.assertTrue(server.running, server.output)
            try:
                await post(f"http://127.0.0.1:{port}/")
            except ConnectError:
                return False
            return True

        while not await answers():
            await deferLater(reactor, 0.02)
        for text in SENT:
            url = at_port(text, port)
            self.assertEqual(await post(url), (200, HttpUrl.parse(url).target.encode()), url)

    async def test_nginx(self) -> None:
        """
        Nginx takes all of them, and sees the target that is meant.
        """
        port, folder = free_port(), Path(self.mktemp()).absolute()
        folder.mkdir()
        path = folder / "nginx.conf"
        path.write_text(nginx.configuration(folder, SERVER.format(port=port)))
        await self.check(port, tool("nginx"), "-c", str(path))

    async def test_python(self) -> None:
        """
        So does the server of Python's library.
        """
        port = free_port()
        await self.check(port, sys.executable, "-c", PYTHON, str(port))
