"""
The kind ``email``: a mail for the start of a broadcast, and further ones in the same thread.

Sources: RFC 5321 (SMTP), RFC 5322 (the form of a mail), RFC 3834 (mails by programs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from urllib.parse import quote

from attrs import field, frozen
from zope.interface import implementer

from itsjustintv.config.values import one_of
from itsjustintv.destinations.email_sender import SmtpSender
from itsjustintv.destinations.formats import EMAIL, EMAIL_HTML
from itsjustintv.destinations.message_forms import MessageField, MessageForms
from itsjustintv.destinations.message_values import message_event, message_values
from itsjustintv.destinations.post_body import NOTHING, pack, to_send
from itsjustintv.destinations.service_answer import ServiceAnswer
from itsjustintv.destinations.smtp import PHASE, MailServer, Phase
from itsjustintv.interfaces import DestinationKind, IDestination
from itsjustintv.model import Action, Delivery, Destination, Notice, OutgoingRequest, Result
from itsjustintv.support.http_response import Response, header_values

__all__ = ["EMAIL_KIND", "Email", "Settings"]

# Of a mail address, only what every server takes, and nothing that ends a header or a command.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9_.-]{1,253}|\[?[0-9A-Fa-f:.]+\]?", re.ASCII)
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9.@_-]{1,200}>")
_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|\[?::1\]?")
_PORTS = {"starttls": 587, "tls": 465, "none": 25}

_FIELDS = {
    "subject": MessageField(format=EMAIL, limit=200, required=True),
    "text": MessageField(format=EMAIL, limit=8000, required=True),
    "html": MessageField(format=EMAIL_HTML, limit=16_000),
}

_ABOUT = (
    "{% if title %}{{ title }}\n\n{% endif %}{% if category %}Category: {{ category }}\n\n{% endif %}"
    "{% if url %}{{ url }}{% endif %}"
)
_ABOUT_HTML = (
    "{% if title %}<p>{{ title }}</p>\n{% endif %}{% if category %}<p>Category: {{ category }}</p>\n{% endif %}"
    '{% if url %}<p><a href="{{ url }}">{{ url }}</a></p>{% endif %}'
)
_DURATION = "{% if duration %} for {{ duration }}{% endif %}"
_BUILTIN = {
    "online": {
        "subject": "{{ name }} is live{% if title %}: {{ title }}{% endif %}",
        "text": f"{{{{ name }}}} is live on Twitch.\n\n{_ABOUT}",
        "html": f"<p><strong>{{{{ name }}}}</strong> is live on Twitch.</p>\n{_ABOUT_HTML}",
    },
    "update": {
        "subject": "{{ name }}{% if title %}: {{ title }}{% else %} is live{% endif %}",
        "text": f"{{{{ name }}}} has changed the broadcast.\n\n{_ABOUT}",
        "html": f"<p><strong>{{{{ name }}}}</strong> has changed the broadcast.</p>\n{_ABOUT_HTML}",
    },
    "offline": {
        "subject": f"{{{{ name }}}} was live{_DURATION}",
        "text": (
            f"{{{{ name }}}} was live{_DURATION}.\n\n{{% if title %}}{{{{ title }}}}\n\n{{% endif %}}"
            "{% if vod %}Recording: {{ vod }}{% elif url %}{{ url }}{% endif %}"
        ),
        "html": (
            f"<p><strong>{{{{ name }}}}</strong> was live{_DURATION}.</p>\n"
            "{% if title %}<p>{{ title }}</p>\n{% endif %}"
            '{% if vod %}<p><a href="{{ vod }}">Watch the recording</a></p>'
            '{% elif url %}<p><a href="{{ url }}">{{ url }}</a></p>{% endif %}'
        ),
    },
}
_FORMS = MessageForms(_FIELDS, _BUILTIN)


@frozen(kw_only=True)
class Settings:
    """
    The keys of a destination of this kind.

    :ivar host: of the mail server that takes mails for delivery ("outgoing server").
    :ivar port: 0 for the usual one of ``security``: 587, 465 or 25.
    :ivar security: ``starttls``, ``tls`` (from the first byte) or ``none``.
    :ivar user: empty for no login.
    :ivar sender: ``name@example.org``, or ``Name <name@example.org>``.
    :ivar to: addresses of the recipients.
    """

    host: str
    port: int = 0
    security: str = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)
    sender: str
    to: tuple[str, ...]

    @property
    def actual_port(self) -> int:
        return self.port or _PORTS.get(self.security, 0)

    @property
    def bare_host(self) -> str:
        """
        The host; an IPv6 address without brackets.
        """
        return self.host.strip("[]")


@implementer(IDestination)
@frozen
class Email:
    """
    Some recipients behind a mail server.
    """

    _destination: Destination

    def render(self, notice: Notice) -> bytes:
        """
        Make the mail's subject and text, and the same as HTML, which the plain form lacks.
        """
        if notice.action is Action.DELETE:
            return NOTHING
        destination, event = self._destination, message_event(notice)
        values = message_values(notice, destination)
        text = {name: _FORMS.text(destination, event, name, values) for name in _FIELDS}
        plain = {name: _FORMS.builtin_text(event, name, values) for name in ("subject", "text")}
        date = int(notice.built_at)
        return pack({**text, "date": date}, {**plain, "date": date})

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        """
        Make the mail itself; the method and the URL are not those of HTTP.
        """
        settings = self._settings
        url = _address(settings)
        return OutgoingRequest(method="MAIL", url=url, headers=(), body=bytes(self._mail(delivery)))

    def server(self) -> MailServer:
        """
        Where the mails are handed in.
        """
        settings = self._settings
        return MailServer(
            host=settings.bare_host,
            port=settings.actual_port,
            security=settings.security,
            user=settings.user,
            password=settings.password,
            sender=parseaddr(settings.sender)[1],
            recipients=settings.to,
        )

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        """
        Go by the code of the reply, and by what was replied to.

        :param response: its status is the code; its header :data:`~itsjustintv.destinations.smtp.PHASE` names the step.
        """
        answer = ServiceAnswer.read(self._destination, response, now)
        if answer.is_success:
            return answer.delivered(self._message_id(delivery))
        if answer.status // 100 != 5:
            return answer.retry("does not take the mail now")
        phase = next(iter(header_values(response.headers, PHASE.encode("ascii"))), "")
        if answer.status == 530 and phase == Phase.SENDER:
            return answer.unauthorized("wants a login: configure user and password")
        meanings = {
            Phase.LOGIN: lambda: answer.unauthorized("does not accept user and password"),
            Phase.SENDER: lambda: answer.rejected("does not accept the address in sender"),
            Phase.RECIPIENT: lambda: answer.gone("does not accept the addresses in to"),
            Phase.CONTENT: lambda: answer.rejected("does not accept the mail"),
        }
        known = next((each for each in meanings if each == phase), None)
        return answer.retry("takes no mail from this machine") if known is None else meanings[known]()

    def _mail(self, delivery: Delivery) -> EmailMessage:
        """
        :raises ValueError: an address of the settings cannot be in a header.
        """
        settings, parts = self._settings, to_send(delivery)
        mail = EmailMessage(policy=SMTP)
        mail["From"] = settings.sender
        mail["To"] = ", ".join(settings.to)
        # A template may have line breaks; the header refuses them.
        mail["Subject"] = " ".join(str(parts.get("subject", "")).split())
        mail["Date"] = format_datetime(datetime.fromtimestamp(parts.get("date", 0), UTC))
        mail["Message-ID"] = self._message_id(delivery)
        if delivery.action is not Action.CREATE and _MESSAGE_ID.fullmatch(delivery.remote):
            mail["In-Reply-To"] = mail["References"] = delivery.remote
        # So that no program answers (RFC 3834, 5).
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(str(parts.get("text", "")), cte="quoted-printable")
        if parts.get("html"):
            mail.add_alternative(str(parts["html"]), subtype="html", cte="quoted-printable")
            # Every attempt sends the same bytes, and quoted-printable has no "=_".
            mail.set_boundary(f"=_{delivery.id}")
        return mail

    def _message_id(self, delivery: Delivery) -> str:
        """
        The same in every attempt, by which a mail that arrives twice can be recognized.
        """
        domain = parseaddr(self._settings.sender)[1].rpartition("@")[2]
        return f"<{delivery.id}@{domain or 'itsjustintv.invalid'}>"

    @property
    def _settings(self) -> Settings:
        settings: Settings = self._destination.settings
        return settings


def _check(settings: Settings) -> Iterator[tuple[str, str]]:
    if not _HOST.fullmatch(settings.host):
        yield "host", "must be the name or the address of a mail server, without a port"
    if not 0 <= settings.port <= 65_535:
        yield "port", "must be a port, or 0 for the usual one"
    yield from (("security", sentence) for sentence in one_of("starttls", "tls", "none")(settings.security))
    if bool(settings.user) != bool(settings.password):
        yield "password" if settings.user else "user", "must be given too: user and password belong together"
    elif settings.user and settings.security == "none" and not _LOOPBACK.fullmatch(settings.host):
        yield "security", "must not be none with a password: anyone on the way could read it"
    if not _is_sender(settings.sender):
        yield "sender", 'must be an address such as "itsjustintv@example.org", or "Name <itsjustintv@example.org>"'
    if not settings.to:
        yield "to", "must have at least one address"
    for number, each in enumerate(settings.to, 1):
        if not _ADDRESS.fullmatch(each):
            yield "to", f"number {number} must be a mail address of ASCII characters, without a name"


def _is_sender(text: str) -> bool:
    """
    Whether a text is one address, perhaps with a name. What is in the name is encoded, but for line breaks.
    """
    address = parseaddr(text)[1]
    return text.isprintable() and text.count("@") == 1 and _ADDRESS.fullmatch(address) is not None


def _address(settings: Settings) -> str:
    """
    The server, with the user: another one may be let in where this one was not.
    """
    host = settings.bare_host
    user = f"{quote(settings.user, safe='')}@" if settings.user else ""
    return f"smtp://{user}{f'[{host}]' if ':' in host else host}:{settings.actual_port}"


def _place(settings: Settings) -> Sequence[str]:
    return (settings.host.lower(), str(settings.actual_port), *sorted(each.lower() for each in settings.to))


EMAIL_KIND = DestinationKind(
    name="email",
    open=Email,
    settings=Settings,
    check=_check,
    address=_address,
    place=_place,
    fields=tuple(_FIELDS),
    check_messages=_FORMS.check,
    make_sender=lambda tools: SmtpSender(tools, Email),
    asks=True,
)
