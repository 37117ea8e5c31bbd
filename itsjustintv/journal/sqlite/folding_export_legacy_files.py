"""
The state in the original program's own files, ``cache.json`` and ``retry_state.json``, for those who go back to it.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from sqlite3 import Connection

from attrs import field, frozen

from itsjustintv.journal.sqlite import reads
from itsjustintv.model import Delivery, Destination, Event, rfc3339
from itsjustintv.support.counts import count
from itsjustintv.support.files import replace
from itsjustintv.support.foreign_text import visible_json

__all__ = ["Embed", "Export", "Resolve", "collect"]

#: Finds a destination by its name; ``None`` when it is not configured any more.
Resolve = Callable[[str], Destination | None]

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
        replace(directory / "cache.json", _text(self.cache))
        replace(directory / "retry_state.json", _text({"queue": self.queue}))


def collect(connection: Connection, now: float, resolve: Resolve, embed: Embed) -> Export:
    """
    Put together what the files will say, from one view of the journal.

    :raises sqlite3.Error: when the journal cannot be read.
    """
    queue, problems = _queue(reads.pending(connection), resolve, embed)
    if accepted := reads.accounting(connection).accepted:
        problems.append(
            f"{count(accepted, 'delivery', ('has', 'have'))} no payload yet and cannot be exported: let the daemon run"
            " for a moment first"
        )
    return Export(cache=_cache(connection, now), queue=queue, problems=tuple(problems))


def _cache(connection: Connection, now: float) -> list[Mapping[str, object]]:
    """
    The original knows of one kind of key, which has no name and a colon in front of it.
    """
    events = {event.keys[0]: event for event in reads.events(connection)}
    return [
        {
            "key": key,
            "data": b64encode(_event(events.get(key))).decode(),
            "expires_at": _time(expires_at),
            "created_at": _time(events[key].received_at if key in events else now),
        }
        for key, expires_at in reads.seen(connection, now)
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


def _queue(
    deliveries: Iterable[Delivery], resolve: Resolve, embed: Embed
) -> tuple[list[Mapping[str, object]], list[str]]:
    queue: list[Mapping[str, object]] = []
    problems = []
    for delivery in deliveries:
        destination = resolve(delivery.destination)
        if destination is None:
            problems.append(f"{delivery.id} stays behind: {delivery.destination} is not configured")
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
                "next_retry": _time(delivery.next_attempt_at),
            }
        )
    return queue, problems


def _time(seconds: float) -> str:
    return rfc3339(min(seconds, _LATEST), "auto")


def _text(content: object) -> bytes:
    return visible_json(json.dumps(content, ensure_ascii=False, indent=2)).encode()
