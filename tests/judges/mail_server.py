"""
An SMTP server: ``aiosmtpd``, from PyPI.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import cast

from attrs import define, field, frozen

from tests.judges.program import Server, judge_python, judge_wait

__all__ = ["Mail", "MailServer"]


@frozen(kw_only=True)
class Mail:
    """
    A message that was taken.

    :ivar sender: of the envelope, as the recipients.
    :ivar encrypted: whether it came over TLS.
    :ivar user: who had logged in; empty without.
    """

    sender: str
    recipients: tuple[str, ...]
    encrypted: bool
    user: str
    content: bytes

    @property
    def message(self) -> EmailMessage:
        return cast("EmailMessage", message_from_bytes(self.content, policy=policy.default))


@define(eq=False)
class MailServer(Server):
    """
    ``with MailServer(folder) as server``: then a client sends to :attr:`port`, and :attr:`mails` has what was taken.

    :ivar certificate: PEM file; STARTTLS is offered if there is one, and then required.
    :ivar key: PEM file.
    :ivar users: passwords by name; with any, a client must log in.
    """

    certificate: Path | None = None
    key: Path | None = None
    users: Mapping[str, str] = field(factory=dict)
    _refusals: dict[str, str] = field(factory=dict, init=False)

    def refuse(self, what: str, reply: str = "") -> None:
        """
        From now on, answer a recipient, or ``DATA`` or ``MAIL``, with this reply, such as ``550 5.1.1 No such user``;
        with none, as usual again.
        """
        self._refusals[what] = reply
        self._write_refusals()

    def command(self) -> Sequence[str]:
        (self.folder / "port").unlink(missing_ok=True)
        self._write_refusals()
        settings = {
            "certificate": str(self.certificate.absolute()) if self.certificate else "",
            "key": str(self.key.absolute()) if self.key else "",
            "users": dict(self.users),
        }
        (self.folder / "settings").write_text(json.dumps(settings))
        return [str(judge_python("aiosmtpd")), str(Path(__file__).with_name("smtp_server.py"))]

    def is_ready(self) -> bool:
        return (self.folder / "port").exists()

    @property
    def port(self) -> int:
        return int((self.folder / "port").read_text())

    @property
    def mails(self) -> list[Mail]:
        """
        What was taken, oldest first.
        """
        taken = []
        for envelope in sorted(self.folder.glob("*.envelope")):
            about = json.loads(envelope.read_text())
            content = envelope.with_suffix(".eml").read_bytes()
            taken.append(Mail(**{**about, "recipients": tuple(about["recipients"])}, content=content))
        return taken

    def wait_for(self, count: int) -> list[Mail]:
        """
        Wait until so many messages were taken, and return all.
        """
        judge_wait(lambda: len(self.mails) >= count, f"{count} messages did not come")
        return self.mails

    def _write_refusals(self) -> None:
        new = self.folder / "refusals.new"
        new.write_text(json.dumps({what: reply for what, reply in self._refusals.items() if reply}))
        new.replace(self.folder / "refusals")
