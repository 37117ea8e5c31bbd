"""
The kind ``apprise``: plain text to any of the services that the library Apprise knows, which an extra installs.

Apprise says only whether something was sent: no status, no id, no time to wait (apprise 2.3, ``Apprise.notify``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attrs import evolve, field, frozen
from zope.interface import implementer

from itsjustintv.destinations.apprise_library import is_installed, knows
from itsjustintv.destinations.apprise_sender import AppriseSender
from itsjustintv.destinations.formats import APPRISE
from itsjustintv.destinations.message_forms import MessageField, MessageForms
from itsjustintv.destinations.message_values import message_event, message_values
from itsjustintv.destinations.post_body import NOTHING, pack, to_send
from itsjustintv.interfaces import DestinationKind, IDestination
from itsjustintv.model import Action, Delivery, Destination, Notice, OutgoingRequest, Result, Verdict
from itsjustintv.support.http_response import Response

__all__ = ["APPRISE_KIND", "Apprise", "Settings"]

# Apprise does not say whether a failure is for good, so there are not many attempts.
_MOST_ATTEMPTS = 4

_URL = re.compile(r"(?P<scheme>[A-Za-z0-9]{2,32})://\S+", re.ASCII)

_FIELDS = {
    "title": MessageField(format=APPRISE, limit=100),
    "text": MessageField(format=APPRISE, limit=1000, required=True),
}
# A line break behind a block tag does not count.
_ABOUT = "{% if title %}{{ title }}\n\n{% endif %}{% if url %}{{ url }}{% endif %}"
_BUILTIN = {
    "online": {"title": "{{ name }} is live", "text": f"{{{{ name }}}} is live on Twitch.\n{_ABOUT}"},
    "update": {"title": "{{ name }} is live", "text": f"{{{{ name }}}} has changed the broadcast.\n{_ABOUT}"},
    "offline": {
        "title": "{{ name }} was live",
        "text": (
            "{{ name }} was live{% if duration %} for {{ duration }}{% endif %}."
            "\n{% if vod %}{{ vod }}{% elif url %}{{ url }}{% endif %}"
        ),
    },
}
_FORMS = MessageForms(_FIELDS, _BUILTIN)


@frozen(kw_only=True)
class Settings:
    """
    The keys of a destination of this kind.

    :ivar url: as Apprise's documents have it for the service.
    """

    url: str = field(repr=False)


@implementer(IDestination)
@frozen
class Apprise:
    """
    A service that Apprise knows, by its Apprise URL.
    """

    _destination: Destination

    def render(self, notice: Notice) -> bytes:
        """
        Make title and text. The plain form has the built-in words.
        """
        if notice.action is Action.DELETE:
            return NOTHING
        event = message_event(notice)
        values = message_values(notice, self._destination)
        return pack(
            {name: _FORMS.text(self._destination, event, name, values) for name in _FIELDS},
            {name: _FORMS.builtin_text(event, name, values) for name in _FIELDS},
        )

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        """
        Make the arguments for Apprise; the body has title, an empty line, and text. Its real URL is a secret as a
        whole.
        """
        given = to_send(delivery)
        body = f"{' '.join(str(given.get('title', '')).split())}\n\n{given.get('text', '')}"
        url = _address(self._destination.settings)
        return OutgoingRequest(method="NOTIFY", url=url, headers=(), body=body.encode())

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        """
        :param response: of a status that stands for success or for failure.
        """
        name = self._destination.name
        if response.status // 100 == 2:
            return Result("delivered", f"Apprise sent it to {name}.")
        detail = f"Apprise did not send it to {name}, and does not say why: try its url with the command apprise."
        return self.limited(Result("error", detail), delivery)

    def limited(self, result: Result, delivery: Delivery) -> Result:
        """
        Make a failure final when there were enough attempts.
        """
        return evolve(result, verdict=Verdict.RETRY, final=delivery.attempts + 1 >= _MOST_ATTEMPTS)


def _check(settings: Settings) -> Iterator[tuple[str, str]]:
    if not _URL.fullmatch(settings.url):
        yield "url", "must be the URL of a service in the form of Apprise, such as signal://..."
    elif not is_installed():
        yield "url", "needs the package apprise: install itsjustintv with the extra apprise"
    elif not knows(settings.url):
        yield "url", "is not one that Apprise accepts: compare it with Apprise's page about the service"


def _address(settings: Settings) -> str:
    """
    What may be shown: the host of such a URL can be a token.
    """
    found = _URL.fullmatch(settings.url)
    return f"apprise://{found['scheme'].lower() if found else ''}"


def _place(settings: Settings) -> Sequence[str]:
    return (settings.url,)


APPRISE_KIND = DestinationKind(
    name="apprise",
    open=Apprise,
    settings=Settings,
    check=_check,
    address=_address,
    place=_place,
    fields=tuple(_FIELDS),
    check_messages=_FORMS.check,
    make_sender=lambda tools: AppriseSender.of(tools, Apprise),
)
