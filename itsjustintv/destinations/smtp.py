"""
Hands one mail to a mail server (RFC 5321).

The client of Twisted is not used: it ends a mail early at a dot that begins one of its chunks, takes what came before
STARTTLS for what came after it, and keeps the lines it sent, the password among them.
"""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from attrs import field, frozen
from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

__all__ = ["PHASE", "MailRefused", "MailServer", "NotSmtp", "Phase", "Reply", "SmtpConnection"]

#: The header in which an adapter finds the :class:`Phase`.
PHASE = "X-Smtp-Phase"

# In bytes and lines; RFC 5321, 4.5.3.1.5 has 512 bytes for a line of a reply.
_LONGEST_LINE = 4096
_MOST_LINES = 100

# Seconds between asking for the end of a connection and making it.
_GRACE = 2.0


class Phase(StrEnum):
    """
    What a reply is about.
    """

    GREETING = "greeting"
    TLS = "tls"
    LOGIN = "login"
    SENDER = "sender"
    RECIPIENT = "recipient"
    CONTENT = "content"


@frozen(kw_only=True)
class MailServer:
    """
    A mail server, and for whom it takes a mail.

    :ivar security: ``starttls``, ``tls`` or ``none``.
    :ivar user: empty for no login.
    """

    host: str
    port: int
    security: str
    user: str
    password: str = field(repr=False)
    sender: str
    recipients: Sequence[str]


@frozen
class Reply:
    """
    A reply of the server.

    :ivar lines: without the code.
    """

    code: int
    lines: tuple[str, ...] = field(repr=False)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def is_good(self) -> bool:
        return self.code // 100 == 2


class MailRefused(Exception):
    """
    The server does not take the mail.
    """

    def __init__(self, phase: Phase, reply: Reply) -> None:
        super().__init__(f"{phase.value}: {reply.code}")
        self.phase = phase
        self.reply = reply


class NotSmtp(Exception):
    """
    The server does not keep to the protocol, or lacks what is required; the text is a clause about it.
    """


class SmtpConnection(LineOnlyReceiver):
    """
    A connection to a mail server.
    """

    # Some servers end lines with a line feed alone.
    delimiter = b"\n"
    MAX_LENGTH = _LONGEST_LINE

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._lines: list[str] = []
        self._replies: deque[Reply] = deque()
        self._waiting: Deferred[Reply] | None = None
        self._failed: Failure | None = None
        self._aborting: IDelayedCall | None = None
        self.ended: Deferred[None] = Deferred()

    async def hand_in(self, server: MailServer, mail: bytes, trust: Any, *, all_or_none: bool) -> tuple[Reply, int]:
        """
        Hand in a mail.

        :param mail: with CRLF at the end of every line.
        :param trust: verifies the server's certificate, as :class:`IOpenSSLClientConnectionCreator`.
        :param all_or_none: whether one recipient who is refused for now holds up the mail for all.
        :return: the last reply, and how many recipients were refused.
        :raises MailRefused: nothing was taken.
        :raises NotSmtp: nothing was taken.
        """
        await self._begin(server, trust)
        self._demand(Phase.SENDER, await self._ask(f"MAIL FROM:<{server.sender}>"))
        replies = [await self._ask(f"RCPT TO:<{each}>") for each in server.recipients]
        refused = [each for each in replies if not each.is_good]
        temporary = [each for each in refused if each.code // 100 == 4]
        if (temporary and all_or_none) or len(refused) == len(replies):
            raise MailRefused(Phase.RECIPIENT, (temporary or refused)[0])
        reply = await self._ask("DATA")
        if reply.code != 354:
            raise MailRefused(Phase.CONTENT, reply)
        self.transport.write(_stuffed(mail))  # type: ignore[union-attr]
        reply = self._demand(Phase.CONTENT, await self._next())
        return reply, len(refused)

    async def check(self, server: MailServer, trust: Any) -> Reply:
        """
        Go as far as a mail could be handed in, and hand in none; the arguments are those of :meth:`hand_in`.

        :return: the last reply.
        :raises MailRefused: the server lets no mail be handed in.
        :raises NotSmtp: likewise.
        """
        await self._begin(server, trust)
        return self._demand(Phase.GREETING, await self._ask("NOOP"))

    async def _begin(self, server: MailServer, trust: Any) -> None:
        self._demand(Phase.GREETING, await self._next())
        offers = await self._hello()
        if server.security == "starttls":
            if "STARTTLS" not in offers:
                raise NotSmtp("offers no STARTTLS")
            self._demand(Phase.TLS, await self._ask("STARTTLS"))
            if self._replies or self._lines or self._buffer:
                raise NotSmtp("sent something between STARTTLS and the handshake")
            self.transport.startTLS(trust)  # type: ignore[union-attr]
            offers = await self._hello()
        if server.user:
            await self._login(server, offers.get("AUTH", "").upper().split())

    def leave(self) -> None:
        """
        End the connection politely, and abort it if the server does not end it in time.
        """
        if not self.ended.called and self._aborting is None:
            self.sendLine(b"QUIT\r")
            self._aborting = self._clock.callLater(_GRACE, self.abort)
            self.transport.loseConnection()  # type: ignore[union-attr]

    def abort(self) -> None:
        """
        Close the connection at once.
        """
        if not self.ended.called:
            self.transport.abortConnection()  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        """
        Take in all of it before a reply is looked at: only then it is known whether something follows.
        """
        super().dataReceived(data)
        while self._replies and self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.callback(self._replies.popleft())

    def lineReceived(self, line: bytes) -> None:
        text = line.rstrip(b"\r").decode("utf-8", "replace")
        code, mark = text[:3], text[3:4]
        if not (code.isascii() and code.isdecimal() and mark in ("", " ", "-")) or len(self._lines) >= _MOST_LINES:
            self._break()
            return
        self._lines.append(text[4:])
        if mark != "-":
            self._replies.append(Reply(int(code), tuple(self._lines)))
            self._lines = []

    def lineLengthExceeded(self, line: bytes) -> None:
        self._break()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._fail(reason)
        if self._aborting is not None and self._aborting.active():
            self._aborting.cancel()
        self.ended.callback(None)

    def _break(self) -> None:
        """
        End a connection that is none of SMTP.
        """
        self._fail(Failure(NotSmtp("did not answer in SMTP")))
        self.abort()

    def _fail(self, reason: Failure) -> None:
        self._failed = self._failed or reason
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.errback(self._failed)

    async def _next(self) -> Reply:
        if self._replies:
            return self._replies.popleft()
        if self._failed is not None:
            self._failed.raiseException()
        self._waiting = Deferred()
        return await self._waiting

    async def _ask(self, command: str) -> Reply:
        self.sendLine(command.encode("ascii") + b"\r")
        return await self._next()

    async def _hello(self) -> dict[str, str]:
        """
        Introduce this machine by its address, and learn what the server offers: names in capitals, and parameters.
        """
        here = self.transport.getHost()  # type: ignore[union-attr]
        literal = f"IPv6:{here.host}" if isinstance(here, IPv6Address) else getattr(here, "host", "127.0.0.1")
        reply = self._demand(Phase.GREETING, await self._ask(f"EHLO [{literal.partition('%')[0]}]"))
        offers = {}
        for line in reply.lines[1:]:
            name, _, parameters = line.partition(" ")
            offers[name.upper()] = parameters
        return offers

    async def _login(self, server: MailServer, offered: Sequence[str]) -> None:
        """
        Log in (RFC 4954), by ``PLAIN`` or the older ``LOGIN``: both only send the password, which TLS protects.
        """
        user, password = server.user.encode(), server.password.encode()
        if "PLAIN" in offered:
            credentials = _base64(b"\0".join((b"", user, password)))
            reply = await self._ask(f"AUTH PLAIN {credentials}")
        elif "LOGIN" in offered:
            reply = await self._ask("AUTH LOGIN")
            for each in (user, password):
                if reply.code == 334:
                    reply = await self._ask(_base64(each))
        else:
            raise NotSmtp("offers no login by PLAIN or LOGIN")
        self._demand(Phase.LOGIN, reply)

    def _demand(self, phase: Phase, reply: Reply) -> Reply:
        if not reply.is_good:
            raise MailRefused(phase, reply)
        return reply


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")


def _stuffed(mail: bytes) -> bytes:
    """
    The mail as it is transferred (RFC 5321, 4.5.2), with the line that ends it.
    """
    body = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in mail.split(b"\r\n"))
    return body.removesuffix(b"\r\n") + b"\r\n.\r\n"
