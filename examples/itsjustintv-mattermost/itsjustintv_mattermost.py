"""
Destinations of the type ``mattermost``: incoming webhooks of Mattermost, which post a message and cannot change it.

Everything that itsjustintv asks of a type is here: the keys of its table, how a message is written, the request, and
what an answer means. Nothing here does I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import orjson
from attrs import evolve, field, frozen
from zope.interface import implementer

from itsjustintv.config.urls import receiver_url
from itsjustintv.destinations.formats import Format
from itsjustintv.destinations.message_forms import MessageField, MessageForms
from itsjustintv.destinations.message_values import message_event, message_values
from itsjustintv.destinations.response import classify_status
from itsjustintv.interfaces import DestinationKind, IDestination
from itsjustintv.model import Delivery, Destination, Notice, OutgoingRequest, Result, Verdict
from itsjustintv.support.http_response import Response, header_values, retry_after

_MARKUP = re.compile(r"[\\`*_~\[\]()#>|!:<&-]")


def _escape(text: str) -> str:
    """
    Show words as they are: nothing in them is markup, an emoji, or the mention of a user or channel.
    """
    return _MARKUP.sub(r"\\\g<0>", text).replace("@", "@\u200b")


#: How words are written in the text of a message.
MARKDOWN = Format("mattermost", escape=_escape, is_markup=True)

#: The fields that ``messages`` can hold, and what they are without it.
FORMS = MessageForms(
    {"text": MessageField(format=MARKDOWN, limit=4000, pings=True, required=True)},
    {
        "online": {"text": "{% if mentions %}{{ mentions }} {% endif %}**{{ name }}** is live: {{ title }}\n{{ url }}"},
        "update": {"text": "**{{ name }}** goes on with {{ category }}: {{ title }}"},
        "offline": {"text": "**{{ name }}** was live{% if duration %} for {{ duration }}{% endif %}."},
    },
)


@frozen(kw_only=True)
class Settings:
    """
    The keys of a table besides those that every destination has. Without a default, a key is required; a text that is
    not shown is a secret, which can also be given as ``url_file``.
    """

    url: str = field(repr=False)
    channel: str = ""
    username: str = ""


def check(settings: Settings) -> Iterator[tuple[str, str]]:
    """
    Find mistakes: the key, and what is wrong as a sentence without a subject, which quotes no secret.
    """
    yield from (("url", sentence) for sentence in receiver_url(settings.url))
    if settings.channel.startswith("#"):
        yield "channel", "must be the name of the channel without #"


def place(settings: Settings) -> Sequence[str]:
    """
    What makes two destinations the same.
    """
    return settings.url, settings.channel


@implementer(IDestination)
@frozen
class Mattermost:
    """
    An incoming webhook.
    """

    destination: Destination

    def render(self, notice: Notice) -> bytes:
        """
        Make what is stored: what is sent, and what is sent instead if that is refused.
        """
        settings: Settings = self.destination.settings
        mentions = " ".join(map(_mention, self.destination.policy.mention)) if notice.mention else ""
        values = message_values(notice, self.destination, mentions)
        event = message_event(notice)
        look = {key: value for key in ("channel", "username") if (value := getattr(settings, key))}
        forms: Mapping[str, Mapping[str, str]] = {
            "body": {"text": FORMS.text(self.destination, event, "text", values), **look},
            "plain": {"text": FORMS.builtin_text(event, "text", values)},
        }
        return orjson.dumps(forms)

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        form = orjson.loads(delivery.body)["plain" if delivery.plain else "body"]
        headers = [("Content-Type", "application/json")]
        url = self.destination.settings.url
        return OutgoingRequest(method="POST", url=url, headers=headers, body=orjson.dumps(form))

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        """
        A wrong channel or text is refused with 400, a webhook that was deleted with 404, and both for good.
        """
        result = classify_status(
            response.status, self.destination.name, retry_after(header_values(response.headers, b"Retry-After"), now)
        )
        verdicts = {400: Verdict.REJECTED, 403: Verdict.DESTINATION_GONE, 404: Verdict.DESTINATION_GONE}
        verdict = verdicts.get(response.status)
        return result if verdict is None else evolve(result, verdict=verdict, final=True)


def _mention(word: str) -> str:
    """
    Write an entry of ``mention``, which the configuration made sure to be possible.
    """
    return {"everyone": "@all", "here": "@here"}.get(word) or f"@{word.removeprefix('user:')}"


#: What the entry point names.
MATTERMOST = DestinationKind(
    name="mattermost",
    open=Mattermost,
    settings=Settings,
    check=check,
    check_messages=FORMS.check,
    place=place,
    mentions=frozenset({"everyone", "here", "user"}),
    fields=tuple(FORMS.fields),
)
