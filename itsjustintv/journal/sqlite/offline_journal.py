"""
The journal for a command: the same file, at once, whether the daemon runs or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection

from attrs import frozen
from zope.interface import implementer

from itsjustintv.errors import DeliveryNotFound, JournalUnavailable
from itsjustintv.interfaces import Resolve
from itsjustintv.journal.history import SHORTEST_ID, EventHistory, OpenPost
from itsjustintv.journal.interfaces import IOfflineJournal
from itsjustintv.journal.legacy_files import Embed, Export, collect_export
from itsjustintv.journal.sqlite import broadcasts, history_reads, ids, operations, reads, writes
from itsjustintv.journal.sqlite.database import connect, explained
from itsjustintv.journal.sqlite.migrations import STEPS, check
from itsjustintv.journal.sqlite.timeline import TIME_KINDS, clock_ahead
from itsjustintv.model import Accounting, Delivery, State, Verdict
from itsjustintv.support.clocks import SteadyClock, boot_id, shift_times, uptime
from itsjustintv.support.nearest import EMPTY, did_you_mean

__all__ = ["SQLiteOfflineJournal"]


@implementer(IOfflineJournal)
@frozen
class SQLiteOfflineJournal:
    """
    Opens the file for each method. Answers have the times of the machine's clock; the journal itself has those of the
    daemon's.
    """

    _path: Path
    _now: Callable[[], float]

    @classmethod
    def open(cls, path: Path, now: Callable[[], float]) -> SQLiteOfflineJournal:
        """
        Check that there is a journal that this version can read. Creates nothing.

        :param now: the machine's time, in seconds since the epoch.
        :raises JournalUnavailable: there is none.
        """
        journal = cls(path, now)
        with journal._reading():
            return journal

    def list(
        self, *states: State, destination: str | None = None, streamer: str | None = None, limit: int = 100
    ) -> Sequence[Delivery]:
        with self._reading() as connection:
            found = reads.deliveries(connection, states, destination, streamer, limit)
            return shift_times(found, self._ahead(connection))

    def show(self, delivery_id: str) -> EventHistory:
        with self._reading() as connection:
            found = history_reads.delivery(connection, delivery_id, whole=True)
            if found is None:
                raise DeliveryNotFound(f"there is no delivery {delivery_id}")
            return shift_times(found, self._ahead(connection))

    def find_delivery_id(self, text: str) -> str:
        with self._reading() as connection:
            if found := ids.find_delivery(connection, text):
                return found
            if len(text) < SHORTEST_ID:
                raise DeliveryNotFound(
                    f"there is no delivery {text or EMPTY}; type at least {SHORTEST_ID} characters of its id"
                )
            suggestion = did_you_mean(text, ids.find_similar(connection, "deliveries", text))
            raise DeliveryNotFound(f"there is no delivery {text}{suggestion}")

    def distinct_length(self, event_ids: Iterable[str]) -> int:
        with self._reading() as connection:
            return ids.distinct_length(connection, event_ids)

    def similar_events(self, text: str) -> Sequence[str]:
        with self._reading() as connection:
            return ids.find_similar(connection, "events", text)

    def streamers(self) -> Sequence[str]:
        with self._reading() as connection:
            return reads.streamers_ever(connection)

    def destinations(self) -> Sequence[str]:
        with self._reading() as connection:
            return reads.destinations_ever(connection)

    def count(self, destination: str | None = None, streamer: str | None = None) -> Mapping[State, int]:
        with self._reading() as connection:
            return reads.count(connection, destination, streamer)

    def find_event(self, name: str, *, prefix: bool = False) -> EventHistory | None:
        with self._reading() as connection:
            found = history_reads.whole_event(connection, name, prefix=prefix) if name else None
            return shift_times(found, self._ahead(connection))

    def accounting(self) -> Accounting:
        with self._reading() as connection:
            return reads.accounting(connection)

    def undelivered(self) -> int:
        with self._reading() as connection:
            return reads.undelivered(connection)

    def export(self, resolve: Resolve, embed: Embed) -> Export:
        with self._reading() as connection:
            now = self._time(connection)
            return collect_export(
                keys=reads.seen(connection, now),
                events=reads.events(connection),
                pending=reads.pending(connection),
                accepted=reads.accounting(connection).accepted,
                now=now,
                resolve=resolve,
                embed=embed,
            )

    def retry(self, delivery_id: str) -> Delivery:
        with self._writing() as connection:
            return operations.retry(connection, delivery_id, self._time(connection))

    def resend(self, delivery_id: str) -> Delivery:
        with self._writing() as connection:
            return operations.resend(connection, delivery_id, self._time(connection))

    def ended(self, *states: State, destination: str | None = None, streamer: str | None = None) -> Sequence[str]:
        with self._reading() as connection:
            return reads.ended(connection, states, destination, streamer)

    def retry_all(self, delivery_ids: Sequence[str]) -> int:
        with self._writing() as connection:
            return operations.retry_all(connection, delivery_ids, self._time(connection))

    def cancel(self, delivery_id: str) -> Delivery:
        with self._writing() as connection:
            return operations.cancel(connection, delivery_id, self._time(connection))

    def open_posts(self) -> Sequence[OpenPost]:
        with self._reading() as connection:
            return shift_times(broadcasts.open_posts(connection), self._ahead(connection))

    def places(self) -> Mapping[str, tuple[Verdict, str]]:
        with self._reading() as connection:
            return broadcasts.places(connection)

    def recall_all(self, kind: str) -> Mapping[str, tuple[int, float]]:
        with self._reading() as connection:
            ahead = self._ahead(connection)
            by = round(ahead) if kind in TIME_KINDS else 0
            return {key: (value + by, at + ahead) for key, (value, at) in reads.recall_all(connection, kind).items()}

    def remember_all(self, kind: str, values: Mapping[str, int]) -> None:
        with self._writing() as connection:
            writes.remember_all(connection, kind, values, self._time(connection))

    def forget(self, kind: str, keys: Sequence[str]) -> None:
        with self._writing() as connection:
            writes.forget(connection, kind, keys)

    def clock_ahead(self) -> float:
        with self._reading() as connection:
            return self._ahead(connection)

    def _ahead(self, connection: Connection) -> float:
        return clock_ahead(connection, SteadyClock(self._now, uptime, boot_id()))

    def _time(self, connection: Connection) -> float:
        """
        The present time in the journal.
        """
        return self._now() - self._ahead(connection)

    @contextmanager
    def _opened(self, *, writable: bool) -> Iterator[Connection]:
        with explained(self._path):
            if not self._path.exists():
                raise JournalUnavailable(
                    f"there is no journal at {self._path}: check storage.path, or start itsjustintv once"
                )
            connection = connect(self._path, writable=writable)
            try:
                version = check(connection, self._path)
                if not version:
                    raise JournalUnavailable(f"{self._path} is empty: it is not a journal of itsjustintv")
                if version < len(STEPS):
                    raise JournalUnavailable(
                        f"{self._path} is of an older version: start itsjustintv once to upgrade it"
                    )
                yield connection
            finally:
                connection.close()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._opened(writable=False) as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._opened(writable=True) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
