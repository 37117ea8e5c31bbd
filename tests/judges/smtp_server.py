"""
Take mail into the present folder, as ``settings`` and ``refusals`` there say. The port is written to ``port``.

Run by the Python of the judges, which has nothing of ours.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from itertools import count
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult  # type: ignore[import-not-found]

settings = json.loads(Path("settings").read_text())
numbers = count(1)


def refusal(what: str) -> str | None:
    """
    The reply that the test wants. Read each time, as the test changes it.
    """
    reply: str | None = json.loads(Path("refusals").read_text()).get(what)
    return reply


class Handler:
    """
    Keeps each message in two files; the envelope is there last.
    """

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: Any) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return refusal("MAIL") or "250 2.1.0 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, options: Any) -> str:
        reply = refusal(address)
        if reply:
            return reply
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        reply = refusal("DATA")
        if reply:
            return reply
        name = f"{next(numbers):04}"
        Path(f"{name}.eml").write_bytes(envelope.original_content)
        about = {
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "encrypted": session.ssl is not None,
            "user": session.auth_data or "",
        }
        Path(f"{name}.new").write_text(json.dumps(about))
        Path(f"{name}.new").rename(f"{name}.envelope")
        say("taken")
        return "250 2.0.0 OK"


def say(what: str) -> None:
    """
    Print a line: who waits for it looks again.
    """
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> Any:
    """
    Check name and password.
    """
    name, password = data.login.decode(), data.password.decode()
    good = settings["users"].get(name) == password
    return AuthResult(success=good, handled=False, auth_data=name if good else None)


def protocol() -> Any:
    """
    Make the server's side of one connection.
    """
    context = None
    if settings["certificate"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings["certificate"], settings["key"])
    return SMTP(
        Handler(),
        hostname="mail.test",
        tls_context=context,
        require_starttls=context is not None,
        authenticator=authenticate,
        auth_required=bool(settings["users"]),
        auth_require_tls=context is not None,
        enable_SMTPUTF8=True,
    )


async def main() -> None:
    """
    Serve until the process ends.
    """
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    Path("port.new").write_text(str(server.sockets[0].getsockname()[1]))
    Path("port.new").rename("port")
    say("listening")
    await server.serve_forever()


asyncio.run(main())
