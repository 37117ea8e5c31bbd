"""
The operations of the API: a coroutine function for each, with its method and path.

The rest is read off the function: parameters from its annotations, the type of the answer from what it returns, the
summary from its docstring. :mod:`itsjustintv.admin.api` routes requests and writes the OpenAPI document from that.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_type_hints

import orjson
from attrs import frozen

from itsjustintv.admin.event_views import (
    AttemptView,
    DeliveryView,
    EventView,
    to_attempt_view,
    to_delivery_view,
    to_event_view,
)
from itsjustintv.admin.sources import Asked, NotFound, Sources
from itsjustintv.admin.views import (
    CertificateView,
    ConfigurationView,
    DestinationView,
    Page,
    PointView,
    RateView,
    StatusView,
    StreamerView,
    TransportView,
)
from itsjustintv.journal.history import HistoryFilter, Place
from itsjustintv.model import UNDELIVERED, State

__all__ = [
    "EVENTS",
    "OPERATIONS",
    "STATES",
    "BadRequest",
    "Operation",
    "Parameter",
    "read_cursor",
    "summary",
    "write_cursor",
]

T = TypeVar("T")

_BAD_CURSOR = "no such position: cursor must be the next of the same list with the same filters"
_LIMIT = 200
_LONGEST = 200

#: What lists can be filtered by: a state, or ``undelivered``.
STATES: Mapping[str, tuple[State, ...]] = {
    **{each.value: (each,) for each in State},
    "undelivered": UNDELIVERED,
}


class BadRequest(Exception):
    """
    A parameter cannot be used; the text says which, and what is allowed.
    """


@frozen(kw_only=True)
class Parameter:
    """
    A parameter of an operation, as the ``Annotated`` type of an argument.

    :ivar schema: what is allowed.
    :ivar read: makes a value of the text, or raises ``ValueError``.
    :ivar where: ``query`` or ``path``.
    :ivar errors: statuses of the problems it can lead to, besides 400.
    """

    name: str
    description: str
    schema: Mapping[str, object]
    read: Callable[[str], Any] = str
    where: str = "query"
    default: Any = None
    errors: tuple[int, ...] = ()


@frozen(kw_only=True)
class Operation:
    """
    One method of one path.

    :ivar path: with ``{name}`` for parameters in it.
    :ivar answer: type of the answer.
    :ivar act: is called with the sources, and with every parameter by the name of its argument.
    :ivar parameters: by the name of the argument.
    """

    method: str
    path: str
    name: str
    summary: str
    answer: Any
    act: Callable[..., Asked[object]]
    parameters: Mapping[str, Parameter]


#: Every operation, in the order of the document.
OPERATIONS: list[Operation] = []

_Act = TypeVar("_Act", bound=Callable[..., Asked[object]])


def operation(method: str, path: str) -> Callable[[_Act], _Act]:
    """
    Add the function to :data:`OPERATIONS`.
    """

    def add(act: _Act) -> _Act:
        hints = get_type_hints(act, include_extras=True)
        first, *more = act.__name__.split("_")
        OPERATIONS.append(
            Operation(
                method=method,
                path=path,
                name=first + "".join(map(str.capitalize, more)),
                summary=summary(act),
                answer=hints.pop("return"),
                act=act,
                parameters={name: hint.__metadata__[0] for name, hint in hints.items() if name != "sources"},
            )
        )
        return act

    return add


def summary(documented: Any) -> str:
    """
    The first paragraph of a docstring, on one line.
    """
    return " ".join((documented.__doc__ or "").split("\n\n")[0].split())


def write_cursor(kind: str, place: Place | None) -> str | None:
    """
    Write where a list goes on.

    :param kind: of the list, so that its cursor is not taken for that of another.
    """
    return None if place is None else urlsafe_b64encode(orjson.dumps([kind, *place])).decode("ascii").rstrip("=")


def read_cursor(kind: str, text: str, shape: str) -> Place:
    """
    Read where a list goes on.

    :param shape: a letter for each value: ``n`` for a number, ``t`` for a text.
    :raises NotFound: such a list never gave this cursor.
    """
    try:
        content = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        content = None
    kinds = {float: "n", int: "n", str: "t"}
    if not isinstance(content, list) or content[:1] != [kind]:
        raise NotFound(_BAD_CURSOR)
    values = tuple(content[1:])
    shaped = "".join(kinds.get(type(each), "") for each in values) == shape
    if not shaped or any(isinstance(each, int) and abs(each) >= 1 << 63 for each in values):
        raise NotFound(_BAD_CURSOR)
    return values


def _start(kind: str, cursor: str | None) -> int:
    """
    Read where a list in memory goes on: a position.
    """
    start = 0 if cursor is None else read_cursor(kind, cursor, "n")[0]
    if not isinstance(start, int) or start < 0:
        raise NotFound(_BAD_CURSOR)
    return start


def _page(kind: str, found: tuple[Sequence[T], int], end: int) -> Page[T]:
    """
    Make a page of a list in memory.

    :param found: its items, and how many there are in all.
    :param end: position of what follows.
    """
    items, total = found
    return Page(items=items, next=write_cursor(kind, (end,)) if end < total else None)


def _text(text: str) -> str:
    if len(text) > _LONGEST or "\0" in text:
        raise ValueError
    return text


def _states(text: str) -> tuple[State, ...]:
    if text not in STATES:
        raise ValueError
    return STATES[text]


def _number(name: str, description: str, lowest: int, highest: int, default: int) -> Parameter:
    def read(text: str) -> int:
        if not re.fullmatch("-?[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
            raise ValueError
        return int(text)

    schema = {"type": "integer", "minimum": lowest, "maximum": highest, "default": default}
    return Parameter(name=name, description=description, schema=schema, read=read, default=default)


def _words(name: str, description: str, default: str | None = None) -> Parameter:
    schema = {"type": "string", "maxLength": _LONGEST}
    return Parameter(name=name, description=description, schema=schema, read=_text, default=default)


def _part(name: str, description: str) -> Parameter:
    """
    A part of the path.
    """
    return Parameter(
        name=name,
        description=description,
        schema={"type": "string", "minLength": 1, "maxLength": _LONGEST},
        read=_text,
        where="path",
        errors=(404, 409),
    )


def _state(description: str) -> Parameter:
    schema = {"type": "string", "enum": list(STATES)}
    return Parameter(name="state", description=description, schema=schema, read=_states, default=())


def _read_event(text: str) -> str:
    if text not in EVENTS:
        raise ValueError
    return text


#: What can be tested.
EVENTS = ("online", "update", "offline")

_event = Parameter(
    name="event",
    description="What the test is about.",
    schema={"type": "string", "enum": [*EVENTS], "default": "online"},
    read=_read_event,
    default="online",
)
_Limit = Annotated[int, _number("limit", "Maximum number of items.", 1, _LIMIT, 50)]
_Cursor = Annotated[
    str | None,
    Parameter(
        name="cursor",
        description="The next of the page before.",
        schema={"type": "string", "maxLength": 1000},
        errors=(404,),
    ),
]
_Id = Annotated[str, _part("id", "The id, or a unique prefix of it of at least 8 characters.")]


@operation("GET", "/status")
async def get_status(sources: Sources) -> StatusView:
    """
    How the daemon is, what is wrong, and how many streamers and deliveries there are.
    """
    return await sources.status()


@operation("GET", "/streamers")
async def list_streamers(
    sources: Sources,
    query: Annotated[str, _words("query", "Only streamers whose key, login, id or name contains this.", default="")],
    limit: _Limit,
    cursor: _Cursor,
) -> Page[StreamerView]:
    """
    Streamers: live ones first, then those that need attention.
    """
    start = _start("streamers", cursor)
    return _page("streamers", sources.streamers(query, limit, start), start + limit)


@operation("GET", "/events")
async def list_events(
    sources: Sources,
    *,
    limit: _Limit,
    cursor: _Cursor,
    state: Annotated[
        tuple[State, ...], _state("Only events with a delivery in this state; undelivered is dead or expired.")
    ],
    destination: Annotated[str | None, _words("destination", "Only events with a delivery to this destination.")],
    streamer: Annotated[
        str | None,
        _words("streamer", "Only events of streamers whose key, login or name contains this, or whose id it is."),
    ],
) -> Page[EventView]:
    """
    Events with every attempt, newest first. With filters one request searches a limited number of events: a page may be
    empty although next is not null.
    """
    after = None if cursor is None else read_cursor("events", cursor, "nt")
    filters = HistoryFilter(states=state, destination=destination, streamer=streamer)
    found, goes_on = await sources.events(after, limit, filters)
    return Page(items=[to_event_view(each) for each in found], next=write_cursor("events", goes_on))


@operation("GET", "/events/{id}")
async def get_event(sources: Sources, id_: _Id) -> EventView:
    """
    One event with its payloads and requests.
    """
    found = await sources.event(id_)
    if found is None:
        raise NotFound(f"there is no event {id_}")
    return to_event_view(found, sources.signing)


@operation("GET", "/deliveries")
async def list_deliveries(
    sources: Sources,
    *,
    limit: _Limit,
    cursor: _Cursor,
    state: Annotated[tuple[State, ...], _state("Only deliveries in this state; undelivered is dead or expired.")],
    destination: Annotated[str | None, _words("destination", "Only deliveries to this destination.")],
    streamer: Annotated[str | None, _words("streamer", "Only deliveries of this streamer, by key.")],
) -> Page[DeliveryView]:
    """
    Deliveries. Finished ones are sorted by their end, newest first; pending ones by destination and next attempt; all
    of them by acceptance, newest first.
    """
    kind = "+".join(state) or "all"
    shape = {(State.PENDING,): "tnt", (State.ACCEPTED,): "nt", (): "n"}.get(state, "nn")
    after = None if cursor is None else read_cursor(kind, cursor, shape)
    filters = HistoryFilter(states=state, destination=destination, streamer=streamer)
    found, goes_on = await sources.deliveries(after, limit, filters)
    return Page(items=[to_delivery_view(each) for each in found], next=write_cursor(kind, goes_on))


@operation("GET", "/deliveries/{id}")
async def get_delivery(sources: Sources, id_: _Id) -> DeliveryView:
    """
    One delivery with its payload and the request of each attempt.
    """
    found = await sources.delivery(id_)
    if found is None:
        raise NotFound(f"there is no delivery {id_}")
    return to_delivery_view(found.deliveries[0], sources.signing)


@operation("POST", "/deliveries/{id}/retry")
async def retry_delivery(sources: Sources, id_: _Id) -> DeliveryView:
    """
    Requeue a delivery that ended undelivered or cancelled, for an attempt at once and the full number of attempts.
    """
    await sources.retry(id_)
    return await get_delivery(sources, id_)


@operation("POST", "/deliveries/{id}/resend")
async def resend_delivery(sources: Sources, id_: _Id) -> DeliveryView:
    """
    Send a delivered event again, as a new delivery: the response is the new one. The first one stays delivered.
    """
    return await get_delivery(sources, (await sources.resend(id_)).id)


@operation("POST", "/deliveries/{id}/cancel")
async def cancel_delivery(sources: Sources, id_: _Id) -> DeliveryView:
    """
    Cancel a delivery that has not ended. An attempt in progress is not stopped.
    """
    await sources.cancel(id_)
    return await get_delivery(sources, id_)


@operation("GET", "/destinations")
async def list_destinations(sources: Sources, limit: _Limit, cursor: _Cursor) -> Page[DestinationView]:
    """
    Destinations: those that need attention first.
    """
    start = _start("destinations", cursor)
    return _page("destinations", await sources.destinations(limit, start), start + limit)


@operation("POST", "/destinations/{name}/test")
async def test_destination(
    sources: Sources,
    name: Annotated[str, _part("name", "name of its table; or streamers.KEY, or global_webhook.")],
    event: Annotated[str, _event],
) -> AttemptView:
    """
    Send a test notification, signed like a real one, and return the result. Nothing of it is stored. Where there are
    posts, a change is that of the last test, and without one a new one is sent first. It notifies no one.
    """
    attempt = await sources.test(name, event)
    if attempt is None:
        raise NotFound(f"there is no destination {name}")
    return to_attempt_view(attempt)


@operation("GET", "/certificates")
async def list_certificates(sources: Sources) -> Sequence[CertificateView]:
    """
    Each TLS certificate: when it expires, when it is renewed, and why its last order failed.
    """
    return sources.certificates()


@operation("GET", "/configuration")
async def get_configuration(sources: Sources) -> ConfigurationView:
    """
    Which configuration is in use, and what is wrong with the file.
    """
    return sources.configuration()


@operation("GET", "/rate")
async def get_rate(sources: Sources) -> RateView:
    """
    Rate limit of the Twitch API.
    """
    return sources.rate()


@operation("GET", "/transport")
async def get_transport(sources: Sources) -> TransportView:
    """
    How EventSub messages arrive: by webhook, or through the shards of a conduit.
    """
    return sources.transport()


@operation("GET", "/history")
async def get_history(
    sources: Sources, hours: Annotated[int, _number("hours", "How many hours back.", 1, 24, 6)]
) -> Sequence[PointView]:
    """
    The recent past in steps of five minutes, oldest first.
    """
    return sources.series(hours * 3600.0)
