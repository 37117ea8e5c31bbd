"""
The API in one table: what can be asked, how, and what comes back. It routes requests, and the OpenAPI document is
written from it.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from attrs import evolve, frozen

from itsjustintv.admin.event_views import (
    AttemptView,
    DeliveryView,
    EventView,
    to_attempt_view,
    to_delivery_view,
    to_event_view,
)
from itsjustintv.admin.sources import Asked, Sources, Unknown
from itsjustintv.admin.views import (
    CertificateView,
    ConfigurationView,
    DestinationView,
    Page,
    PointView,
    RateView,
    StatusView,
    StreamerView,
)
from itsjustintv.journal.history import HistoryFilter, Place
from itsjustintv.model import UNDELIVERED, State

__all__ = ["OPERATIONS", "STATES", "BadRequest", "Operation", "Parameter", "cursor", "place"]

_NO_PLACE = "this list goes on nowhere at this cursor: it must be what next said with the same filters"
_LIMIT = 200
_LONGEST = 200


class BadRequest(Exception):
    """
    A parameter cannot be used; the text says which, and what is allowed.
    """


@frozen(kw_only=True)
class Parameter:
    """
    Something that is given with a request.

    :ivar where: ``query`` or ``path``.
    :ivar schema: what is allowed.
    :ivar read: makes a value of the text, or raises ``ValueError``.
    """

    name: str
    words: str
    schema: Mapping[str, object]
    read: Callable[[str], Any] = str
    where: str = "query"
    default: Any = None


@frozen(kw_only=True)
class Operation:
    """
    Something that can be asked.

    :ivar path: with ``{name}`` for parameters in it.
    :ivar answer: type of what comes back.
    :ivar act: is handed the sources, and every parameter by its name.
    """

    method: str
    path: str
    name: str
    words: str
    answer: Any
    act: Callable[..., Asked[object]]
    parameters: Sequence[Parameter] = ()
    errors: Sequence[int] = ()


def cursor(kind: str, where: Place | None) -> str | None:
    """
    Write where a list goes on.

    :param kind: of the list, so that it is not taken for that of another.
    """
    return None if where is None else urlsafe_b64encode(orjson.dumps([kind, *where])).decode("ascii").rstrip("=")


def place(kind: str, text: str, shape: str) -> Place:
    """
    Read where a list goes on.

    :param shape: a letter for each value: ``n`` for a number, ``t`` for a text.
    :raises Unknown: such a list has never given this cursor.
    """
    try:
        content = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        content = None
    kinds = {float: "n", int: "n", str: "t"}
    if not isinstance(content, list) or content[:1] != [kind]:
        raise Unknown(_NO_PLACE)
    values = tuple(content[1:])
    shaped = "".join(kinds.get(type(each), "") for each in values) == shape
    if not shaped or any(isinstance(each, int) and abs(each) >= 1 << 63 for each in values):
        raise Unknown(_NO_PLACE)
    return values


def _text(text: str) -> str:
    if len(text) > _LONGEST or "\0" in text:
        raise ValueError
    return text


def _within(lowest: int, highest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch("-?[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
            raise ValueError
        return int(text)

    return read


def _number(name: str, words: str, lowest: int, highest: int, default: int) -> Parameter:
    schema = {"type": "integer", "minimum": lowest, "maximum": highest, "default": default}
    return Parameter(name=name, words=words, schema=schema, read=_within(lowest, highest), default=default)


_TEXT = {"type": "string", "maxLength": _LONGEST}
_CURSOR = Parameter(name="cursor", words="What next said.", schema={"type": "string", "maxLength": 1000})
_AT_MOST = _number("limit", "How many at the most.", 1, _LIMIT, 50)
_ID = Parameter(
    name="id",
    words="The id, or a beginning of it with 8 characters or more that no other one has.",
    schema={"type": "string", "minLength": 1, "maxLength": _LONGEST},
    read=_text,
    where="path",
)
_NAME = Parameter(
    name="name",
    words="streamers.KEY, or global_webhook.",
    schema={"type": "string", "minLength": 1, "maxLength": _LONGEST},
    read=_text,
    where="path",
)
#: What can be looked for by state.
STATES: Mapping[str, tuple[State, ...]] = {
    **{each.value: (each,) for each in State},
    "undelivered": UNDELIVERED,
}


def _states(text: str) -> tuple[State, ...]:
    if text not in STATES:
        raise ValueError
    return STATES[text]


_STATE = Parameter(
    name="state",
    words="Only what is in this state; undelivered is dead or expired.",
    schema={"type": "string", "enum": list(STATES)},
    read=_states,
    default=(),
)
_DESTINATION = Parameter(name="destination", words="Only those to this destination.", schema=_TEXT, read=_text)


async def _status(ask: Sources) -> object:
    return await ask.status()


async def _streamers(ask: Sources, query: str, limit: int, cursor_: str | None) -> object:
    start = _start("streamers", cursor_)
    found, total = ask.streamers(query, limit, start)
    return _numbered("streamers", found, start + limit, total)


def _start(kind: str, text: str | None) -> int:
    start = 0 if text is None else place(kind, text, "n")[0]
    if not isinstance(start, int) or start < 0:
        raise Unknown(_NO_PLACE)
    return start


def _numbered(kind: str, found: Sequence[object], end: int, total: int) -> object:
    return Page(items=found, next=cursor(kind, (end,)) if end < total else None)


async def _events(
    ask: Sources,
    *,
    limit: int,
    cursor_: str | None,
    state: tuple[State, ...],
    destination: str | None,
    streamer: str | None,
) -> object:
    after = None if cursor_ is None else place("events", cursor_, "nt")
    found, goes_on = await ask.events(
        after, limit, HistoryFilter(states=state, destination=destination, streamer=streamer)
    )
    return Page(items=[to_event_view(each) for each in found], next=cursor("events", goes_on))


async def _event(ask: Sources, id_: str) -> object:
    found = await ask.event(id_)
    if found is None:
        raise Unknown(f"there is no event {id_}")
    return to_event_view(found, ask.signing)


async def _deliveries(
    ask: Sources,
    *,
    limit: int,
    cursor_: str | None,
    state: tuple[State, ...],
    destination: str | None,
    streamer: str | None,
) -> object:
    kind = "+".join(state) or "all"
    shape = {(State.PENDING,): "tnt", (State.ACCEPTED,): "nt", (): "n"}.get(state, "nn")
    after = None if cursor_ is None else place(kind, cursor_, shape)
    found, goes_on = await ask.deliveries(
        after, limit, HistoryFilter(states=state, destination=destination, streamer=streamer)
    )
    return Page(items=[to_delivery_view(each) for each in found], next=cursor(kind, goes_on))


async def _delivery(ask: Sources, id_: str) -> object:
    found = await ask.delivery(id_)
    if found is None:
        raise Unknown(f"there is no delivery {id_}")
    return to_delivery_view(found.deliveries[0], ask.signing)


async def _retry(ask: Sources, id_: str) -> object:
    await ask.retry(id_)
    return await _delivery(ask, id_)


async def _resend(ask: Sources, id_: str) -> object:
    return await _delivery(ask, await ask.resend(id_))


async def _cancel(ask: Sources, id_: str) -> object:
    await ask.cancel(id_)
    return await _delivery(ask, id_)


async def _destinations(ask: Sources, limit: int, cursor_: str | None) -> object:
    start = _start("destinations", cursor_)
    found, total = await ask.destinations(limit, start)
    return _numbered("destinations", found, start + limit, total)


async def _test(ask: Sources, name: str) -> object:
    return to_attempt_view(await ask.test(name))


async def _certificates(ask: Sources) -> object:
    return ask.certificates()


async def _configuration(ask: Sources) -> object:
    return ask.configuration()


async def _rate(ask: Sources) -> object:
    return ask.rate()


async def _series(ask: Sources, hours: int) -> object:
    return ask.series(hours * 3600.0)


#: All that can be asked.
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET", path="/status", name="getStatus", words="The whole in short.", answer=StatusView, act=_status
    ),
    Operation(
        method="GET",
        path="/streamers",
        name="listStreamers",
        words="Streamers: those who are live first, then those who need attention.",
        answer=Page[StreamerView],
        act=_streamers,
        parameters=(
            Parameter(
                name="query",
                words="Only those in whose key, login, id or name this is.",
                schema=_TEXT,
                read=_text,
                default="",
            ),
            _AT_MOST,
            _CURSOR,
        ),
        errors=(404,),
    ),
    Operation(
        method="GET",
        path="/events",
        name="listEvents",
        words="Events, the latest first, with every attempt. With filters it looks at so many at a time: there may be"
        " none, and yet more behind the cursor.",
        answer=Page[EventView],
        act=_events,
        parameters=(
            _AT_MOST,
            _CURSOR,
            evolve(_STATE, words="Only events with a delivery in this state; undelivered is dead or expired."),
            evolve(_DESTINATION, words="Only events with a delivery to this destination."),
            Parameter(
                name="streamer",
                words="Only those of streamers in whose key, login or name this is, or whose id it is.",
                schema=_TEXT,
                read=_text,
            ),
        ),
        errors=(404,),
    ),
    Operation(
        method="GET",
        path="/events/{id}",
        name="getEvent",
        words="One event, with its payloads and requests.",
        answer=EventView,
        act=_event,
        parameters=(_ID,),
        errors=(404, 409),
    ),
    Operation(
        method="GET",
        path="/deliveries",
        name="listDeliveries",
        words="Deliveries: those that have ended by their end, the latest first; pending ones by destination and next"
        " attempt; all of them by acceptance, the latest first.",
        answer=Page[DeliveryView],
        act=_deliveries,
        parameters=(
            _AT_MOST,
            _CURSOR,
            _STATE,
            _DESTINATION,
            Parameter(name="streamer", words="Only those of this streamer, by key.", schema=_TEXT, read=_text),
        ),
        errors=(404,),
    ),
    Operation(
        method="GET",
        path="/deliveries/{id}",
        name="getDelivery",
        words="One delivery, with its payload and what was sent in each attempt.",
        answer=DeliveryView,
        act=_delivery,
        parameters=(_ID,),
        errors=(404, 409),
    ),
    Operation(
        method="POST",
        path="/deliveries/{id}/retry",
        name="retryDelivery",
        words="Send what has ended undelivered again, at once and with all its attempts before it.",
        answer=DeliveryView,
        act=_retry,
        parameters=(_ID,),
        errors=(404, 409),
    ),
    Operation(
        method="POST",
        path="/deliveries/{id}/resend",
        name="resendDelivery",
        words="Send what was delivered again, as another delivery of its event: the answer is that one. The first stays"
        " delivered.",
        answer=DeliveryView,
        act=_resend,
        parameters=(_ID,),
        errors=(404, 409),
    ),
    Operation(
        method="POST",
        path="/deliveries/{id}/cancel",
        name="cancelDelivery",
        words="End what has not ended. An attempt that is under way is not stopped.",
        answer=DeliveryView,
        act=_cancel,
        parameters=(_ID,),
        errors=(404, 409),
    ),
    Operation(
        method="GET",
        path="/destinations",
        name="listDestinations",
        words="Destinations: those that need attention first.",
        answer=Page[DestinationView],
        act=_destinations,
        parameters=(_AT_MOST, _CURSOR),
        errors=(404,),
    ),
    Operation(
        method="POST",
        path="/destinations/{name}/test",
        name="testDestination",
        words="Send a test notification, signed like a real one, and tell how that ended. Nothing of it is kept.",
        answer=AttemptView,
        act=_test,
        parameters=(_NAME,),
        errors=(404, 409),
    ),
    Operation(
        method="GET",
        path="/certificates",
        name="listCertificates",
        words="Every certificate.",
        answer=Sequence[CertificateView],
        act=_certificates,
    ),
    Operation(
        method="GET",
        path="/configuration",
        name="getConfiguration",
        words="Where the configuration stands.",
        answer=ConfigurationView,
        act=_configuration,
    ),
    Operation(method="GET", path="/rate", name="getRate", words="What Twitch lets us ask.", answer=RateView, act=_rate),
    Operation(
        method="GET",
        path="/history",
        name="getHistory",
        words="The recent past in steps of five minutes, the oldest first.",
        answer=Sequence[PointView],
        act=_series,
        parameters=(_number("hours", "How much of it.", 1, 24, 6),),
    ),
)
