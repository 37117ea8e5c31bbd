"""
The original program's files ``cache.json`` and ``retry_state.json``, read and written. A new journal imports
them, so that users who switch miss no announcement and get none twice. Knows no database.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from re import fullmatch
from typing import Any, TypeVar

from attrs import define, field, frozen

from itsjustintv.interfaces import Resolve
from itsjustintv.model import Delivery, Event, State, parse_rfc3339, rfc3339
from itsjustintv.support.counts import count
from itsjustintv.support.files import replace
from itsjustintv.support.foreign_text import visible_json
from itsjustintv.support.regular_files import read

__all__ = [
    "DestinationFor",
    "Embed",
    "Export",
    "Imported",
    "LegacyFiles",
    "LegacyState",
    "collect_export",
]

_T = TypeVar("_T")

#: Names the destination for a streamer's key and the URL the original used; ``None`` when nothing fits.
DestinationFor = Callable[[str, str], str | None]

#: Bytes; the original's files are far smaller.
_LARGEST = 64 * 1024 * 1024

_NO_DESTINATION = "taken over from the original program, but no destination is configured for it"


@frozen(kw_only=True)
class Imported:
    """
    What was imported.

    :ivar keys: broadcasts that were announced and are still remembered.
    :ivar pending: deliveries that will be made.
    :ivar cancelled: deliveries for which no destination is configured.
    :ivar problems: what could not be read, one sentence each; no URL, no secret.
    """

    keys: int = 0
    pending: int = 0
    cancelled: int = 0
    problems: tuple[str, ...] = ()


@frozen(kw_only=True)
class LegacyState:
    """
    What the original program's files say.

    :ivar keys: of broadcasts that were announced and are still remembered, with their expiry.
    :ivar queue: an event and its delivery, pending, or cancelled where no destination is configured.
    :ivar problems: what could not be read, one sentence each; no URL, no secret.
    """

    keys: Mapping[str, float]
    queue: Sequence[tuple[Event, Delivery]] = field(repr=False)
    problems: tuple[str, ...]


@frozen
class LegacyFiles:
    """
    Where the original program left its state. Its files are read, never changed.
    """

    _cache: Path
    _retry_state: Path
    _destination_for: DestinationFor

    def read(self, now: float) -> LegacyState:
        """
        Read the state. Neither URLs nor secrets are in it: a delivery goes to the destination that is configured now.
        Its age counts from when the original built its payload.
        """
        reading = _Reading(now)
        return LegacyState(
            keys={key: expires_at for key, expires_at in reading.keys(self._cache) if expires_at > now},
            queue=[(each.event, self._delivery(each)) for each in reading.queue(self._retry_state)],
            problems=tuple(reading.problems),
        )

    def _delivery(self, queued: _Queued) -> Delivery:
        destination = self._destination_for(queued.streamer, queued.url)
        return Delivery(
            id=f"{queued.event.id}-1",
            event_id=queued.event.id,
            streamer=queued.streamer,
            destination=destination or "unknown",
            accepted_at=queued.event.received_at,
            next_attempt_at=queued.next_attempt_at,
            state=State.CANCELLED if destination is None else State.PENDING,
            attempts=queued.attempts,
            reason="" if destination else _NO_DESTINATION,
            body=queued.body,
        )


@frozen(kw_only=True)
class _Queued:
    """
    An entry of the original's queue.
    """

    event: Event
    streamer: str
    url: str = field(repr=False)
    body: bytes = field(repr=False)
    attempts: int
    next_attempt_at: float


@define
class _Reading:
    """
    Reads the files, and collects what cannot be read.
    """

    _now: float
    problems: list[str] = field(factory=list, init=False)

    def keys(self, path: Path) -> Iterator[tuple[str, float]]:
        """
        The entries of ``cache.json``: a list of ``{key, data, expires_at, created_at}``.
        """
        return self._each(path, self._load(path), self._key)

    def queue(self, path: Path) -> Iterator[_Queued]:
        """
        The entries of ``retry_state.json``: ``{"queue": [{webhook_url, payload, streamer_key, attempt, next_retry}]}``.
        """
        content = self._load(path)
        if isinstance(content, dict):
            content = content.get("queue")
        elif content is not None:
            self.problems.append(f"{path} is not what the original writes: it must be an object with a queue")
            content = None
        return self._each(path, content, self._queued)

    def _load(self, path: Path) -> object:
        try:
            content: object = json.loads(read(path, _LARGEST), parse_constant=_refuse)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.problems.append(f"{path} cannot be read: {(error.strerror or str(error)).lower()}")
        except (ValueError, RecursionError):
            self.problems.append(f"{path} is not JSON")
        else:
            return content
        return None

    def _each(self, path: Path, entries: object, read: Callable[[int, Mapping[str, Any]], _T]) -> Iterator[_T]:
        if entries is None:
            return
        if not isinstance(entries, list):
            self.problems.append(f"{path} is not what the original writes: its entries must be a list")
            return
        for number, entry in enumerate(entries, 1):
            try:
                if not isinstance(entry, dict):
                    raise ValueError("is not an object")  # noqa: TRY004 - bad data, not a bad call
                yield read(number, entry)
            except ValueError as error:
                self.problems.append(f"{path}: entry {number} is skipped, it {error}")

    def _key(self, _number: int, entry: Mapping[str, Any]) -> tuple[str, float]:
        key = entry.get("key")
        if not isinstance(key, str) or not fullmatch("[0-9a-f]{64}", key):
            raise ValueError("has no key of 64 hexadecimal digits")
        expires_at = parse_rfc3339(entry.get("expires_at"))
        if expires_at is None:
            raise ValueError("has no time in expires_at")
        return key, expires_at

    def _queued(self, number: int, entry: Mapping[str, Any]) -> _Queued:
        payload = entry.get("payload")
        if not isinstance(payload, dict) or not payload:
            raise ValueError("has no payload")
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
        attempts = entry.get("attempt")
        built_at = parse_rfc3339(payload.get("timestamp"))
        accepted_at = self._now if built_at is None else min(built_at, self._now)
        next_attempt_at = parse_rfc3339(entry.get("next_retry"))
        return _Queued(
            event=Event(
                id=sha256(b"%d:%s" % (number, body)).hexdigest()[:32],
                message_id="",
                stream_id="",
                broadcaster_id=_text(payload.get("streamer_id")),
                broadcaster_login=_text(payload.get("streamer_login")),
                broadcaster_name=_text(payload.get("streamer_name")),
                type="live",
                started_at=_text(payload.get("timestamp")),
                received_at=accepted_at,
            ),
            streamer=_text(entry.get("streamer_key")),
            url=_text(entry.get("webhook_url")),
            body=body,
            attempts=attempts if type(attempts) is int and 0 <= attempts < 2**31 else 0,
            next_attempt_at=self._now if next_attempt_at is None else next_attempt_at,
        )


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return value.encode(errors="replace").decode()


#: Puts a picture's bytes into a payload.
Embed = Callable[[bytes, bytes], bytes]

_HASHINGS = {"sha1": "SHA-1", "sha256": "SHA-256", "sha512": "SHA-512"}

#: The last second that RFC 3339 can write.
_LATEST = 253402300799.0


@frozen(kw_only=True)
class Export:
    """
    What the files will say.

    :ivar cache: one entry for each broadcast that was announced.
    :ivar queue: one entry for each delivery that is to be made.
    :ivar problems: what the files cannot say, one sentence each.
    """

    cache: Sequence[Mapping[str, object]] = field(repr=False)
    queue: Sequence[Mapping[str, object]] = field(repr=False)
    problems: tuple[str, ...]

    @property
    def keys(self) -> int:
        """
        How many announced broadcasts there are.
        """
        return len(self.cache)

    @property
    def pending(self) -> int:
        """
        How many deliveries there are to be made.
        """
        return len(self.queue)

    def write(self, directory: Path) -> None:
        """
        Write ``cache.json`` and ``retry_state.json``. Each replaces what was there as a whole, and is readable for this
        user only, since the URLs and secrets of the destinations are in it.

        :raises OSError: when they cannot be written.
        """
        replace(directory / "cache.json", _pretty_json(self.cache))
        replace(directory / "retry_state.json", _pretty_json({"queue": self.queue}))


def collect_export(
    *,
    keys: Iterable[tuple[str, float]],
    events: Iterable[Event],
    pending: Iterable[Delivery],
    accepted: int,
    now: float,
    resolve: Resolve,
    embed: Embed,
) -> Export:
    """
    Collect what the files will say.

    :param keys: the deduplication keys that have not expired, with their expiry.
    :param pending: with bodies and pictures.
    :param accepted: how many deliveries have no payload yet.
    """
    queue, problems = _queue(pending, resolve, embed)
    if accepted:
        problems.append(
            f"{count(accepted, 'delivery', ('has', 'have'))} no payload yet and cannot be exported: let the daemon run"
            " for a moment first"
        )
    return Export(cache=_cache(keys, events, now), queue=queue, problems=tuple(problems))


def _cache(keys: Iterable[tuple[str, float]], events: Iterable[Event], now: float) -> list[Mapping[str, object]]:
    """
    The original has one kind of key, which has no name and colon in front of it.
    """
    found = {event.keys[0]: event for event in events}
    return [
        {
            "key": key,
            "data": b64encode(_event(found.get(key))).decode(),
            "expires_at": _as_time(expires_at),
            "created_at": _as_time(found[key].received_at if key in found else now),
        }
        for key, expires_at in keys
        if ":" not in key
    ]


def _event(event: Event | None) -> bytes:
    if event is None:
        return b"null"
    return json.dumps(
        {
            "id": event.stream_id,
            "broadcaster_user_id": event.broadcaster_id,
            "broadcaster_user_login": event.broadcaster_login,
            "broadcaster_user_name": event.broadcaster_name,
            "type": event.type,
            "started_at": event.started_at,
        }
    ).encode()


# The only kind of destination that the original program has.
_ITS_KIND = "webhook"


def _queue(
    deliveries: Iterable[Delivery], resolve: Resolve, embed: Embed
) -> tuple[list[Mapping[str, object]], list[str]]:
    queue: list[Mapping[str, object]] = []
    problems = []
    for delivery in deliveries:
        destination = resolve(delivery.destination, delivery.streamer)
        if destination is None:
            problems.append(f"{delivery.id} stays behind: {delivery.destination} is not configured")
            continue
        if destination.kind != _ITS_KIND:
            problems.append(f"{delivery.id} stays behind: the original program cannot send to a {destination.kind}")
            continue
        body = delivery.body if delivery.picture is None else embed(delivery.body, delivery.picture)
        signing = {
            "webhook_secret": destination.secret,
            "webhook_header": destination.header,
            "webhook_hashing": _HASHINGS[destination.hashing],
        }
        queue.append(
            {
                "webhook_url": destination.url,
                "payload": json.loads(body),
                **(signing if destination.secret else {}),
                "streamer_key": delivery.streamer,
                "attempt": delivery.attempts,
                "next_retry": _as_time(delivery.next_attempt_at),
            }
        )
    return queue, problems


def _as_time(seconds: float) -> str:
    return rfc3339(min(seconds, _LATEST), "auto")


def _pretty_json(content: object) -> bytes:
    return visible_json(json.dumps(content, ensure_ascii=False, indent=2)).encode()
