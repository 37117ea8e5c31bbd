"""
The journal for the command line: the same file, at once, whether the daemon runs or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection

from attrs import frozen
from twisted.internet.defer import Deferred, execute
from zope.interface import implementer

from itsjustintv.errors import ItsJustInTVError, JournalUnavailable
from itsjustintv.interfaces import ILastKnown
from itsjustintv.journal.history import EventHistory
from itsjustintv.journal.sqlite import history_reads, ids, reads, writes
from itsjustintv.journal.sqlite.database import connect, explained
from itsjustintv.journal.sqlite.legacy_files import Embed, Export, Resolve, collect
from itsjustintv.journal.sqlite.migrations import STEPS, check
from itsjustintv.journal.sqlite.timeline import MOMENTS, ahead
from itsjustintv.model import Accounting, Attempt, Delivery, Event, State
from itsjustintv.support.clocks import SteadyClock, boot_id, shift_times, uptime
from itsjustintv.support.nearest import EMPTY, did_you_mean

__all__ = [
    "Change",
    "History",
    "KeyValues",
    "Missing",
    "OfflineJournal",
    "OperationRefused",
    "cancel",
    "resend",
    "retry",
]


#: What an operator does to one delivery at some moment.
Change = Callable[[Connection, str, float], Delivery]


class OperationRefused(ItsJustInTVError):
    """
    There is no such delivery, or it is in a state in which this makes no sense; the text says which.
    """


class Missing(OperationRefused):
    """
    There is no such delivery.
    """


# Why, unless the operator says.
_CANCELLED = "cancelled by the operator"


@frozen(kw_only=True)
class History:
    """
    Everything that is known of a delivery.

    :ivar delivery: without its picture.
    :ivar attempts: in order, those of earlier rounds included.
    """

    event: Event
    delivery: Delivery
    attempts: tuple[Attempt, ...]


@frozen
class OfflineJournal:
    """
    Looks at the journal and changes it on behalf of an operator. Each method opens the file and closes it again, and
    raises :class:`~itsjustintv.errors.JournalUnavailable` when it cannot be used. What it tells is in the time of the
    clock on the wall, what it writes in that of the journal.

    A daemon that runs on the same file learns of a change by asking its journal whether it has
    :meth:`~itsjustintv.interfaces.IJournal.changed`.
    """

    _path: Path
    _now: Callable[[], float]

    @classmethod
    def open(cls, path: Path, now: Callable[[], float]) -> OfflineJournal:
        """
        Make sure that there is a journal, and that it is one that this version can read. Creates nothing.

        :param now: tells the time, in seconds since the epoch.
        :raises JournalUnavailable: when there is none.
        """
        ledger = cls(path, now)
        with ledger._reading():
            return ledger

    def list(
        self, *states: State, destination: str | None = None, streamer: str | None = None, limit: int = 100
    ) -> Sequence[Delivery]:
        """
        List deliveries, the newest first, without their pictures.

        :param states: these states only, either one, or several that are final; all when there are none.
        :param destination: to this one only; likewise the next.
        """
        with self._reading() as connection:
            return shift_times(
                reads.deliveries(connection, states, destination, streamer, limit), self._ahead(connection)
            )

    def show(self, delivery_id: str) -> History:
        """
        Show a delivery, its event and every attempt.

        :raises Missing: when there is no such delivery.
        """
        with self._reading() as connection:
            delivery = _find(connection, delivery_id)
            history = History(
                event=reads.event(connection, delivery.event_id),
                delivery=delivery,
                attempts=reads.attempts(connection, delivery_id),
            )
            return shift_times(history, self._ahead(connection))

    def named(self, text: str) -> str:
        """
        The id of the delivery that is meant: the whole of it, or a prefix as in :mod:`itsjustintv.journal.sqlite.ids`.

        :raises Missing: there is none.
        :raises Ambiguous: there are several.
        """
        with self._reading() as connection:
            if found := ids.deliveries(connection, text):
                return found
            if len(text) < ids.SHORTEST:
                raise Missing(
                    f"there is no delivery {text or EMPTY}; of an id at least {ids.SHORTEST} characters are needed"
                )
            suggestion = did_you_mean(text, ids.near(connection, "deliveries", text))
            raise Missing(f"there is no delivery {text}{suggestion}")

    def brief(self, event_ids: Iterable[str]) -> int:
        """
        How much of these events' ids names each of them in the whole journal, as
        :func:`itsjustintv.journal.sqlite.ids.length` has it.
        """
        with self._reading() as connection:
            return ids.length(connection, event_ids)

    def near(self, text: str) -> Sequence[str]:
        """
        The ids of events that an unknown one may have been meant to be.
        """
        with self._reading() as connection:
            return ids.near(connection, "events", text)

    def streamers(self) -> Sequence[str]:
        """
        The keys of all streamers with a delivery in the journal, configured or not.
        """
        with self._reading() as connection:
            return reads.streamers_ever(connection)

    def destinations(self) -> Sequence[str]:
        """
        The names of all destinations with a delivery in the journal, configured or not.
        """
        with self._reading() as connection:
            return reads.destinations_ever(connection)

    def count(self, destination: str | None = None, streamer: str | None = None) -> Mapping[State, int]:
        """
        Count the deliveries in the journal by state; those that retention removed are not in it.

        :param destination: those to this one only; likewise the next.
        """
        with self._reading() as connection:
            return reads.count(connection, destination, streamer)

    def story(self, name: str, *, prefix: bool = False) -> EventHistory | None:
        """
        Tell what happened to an event.

        :param name: its id, that of one of its deliveries, or that of the message that told of it.
        :param prefix: whether it may also be the beginning of the first two.
        :raises Ambiguous: several begin so.
        """
        with self._reading() as connection:
            found = history_reads.story(connection, name, prefix=prefix) if name else None
            return shift_times(found, self._ahead(connection))

    def accounting(self) -> Accounting:
        """
        Count every (event, destination) by state.
        """
        with self._reading() as connection:
            return reads.accounting(connection)

    def undelivered(self) -> int:
        """
        Count the dead and the expired deliveries in the journal.
        """
        with self._reading() as connection:
            return reads.undelivered(connection)

    def export(self, directory: Path, resolve: Resolve, embed: Embed) -> Export:
        """
        Write the state into a directory in the form of the original program's files.

        :param resolve: finds a destination by its name.
        :param embed: puts a picture's bytes into a payload.
        :raises OSError: when the files cannot be written.
        """
        with self._reading() as connection:
            export = collect(connection, self._time(connection), resolve, embed)
        export.write(directory)
        return export

    def retry(self, delivery_id: str) -> Delivery:
        """
        Send a delivery that ended without success on its way again, at once and with all its attempts before it.

        :return: the delivery as it now stands.
        :raises Declined: when it was delivered or has not ended.
        """
        with self._writing() as connection:
            return retry(connection, delivery_id, self._time(connection))

    def resend(self, delivery_id: str) -> Delivery:
        """
        Send what was delivered again, as another delivery of its event; see :func:`resend`.

        :return: the new delivery.
        :raises Declined: when it was not delivered, or another one is on its way there.
        """
        with self._writing() as connection:
            return resend(connection, delivery_id, self._time(connection))

    def ended(self, *states: State, destination: str | None = None, streamer: str | None = None) -> Sequence[str]:
        """
        The ids of all deliveries that ended in one of some states, those that ended first in front.

        :param destination: to this one only; likewise the next.
        """
        with self._reading() as connection:
            return reads.ended(connection, states, destination, streamer)

    def retry_all(self, delivery_ids: Sequence[str]) -> int:
        """
        Do as :meth:`retry` with all of these that ended without success, in one transaction. The daemon waits for it
        to end: a few hundred at a time are no burden.

        :return: how many there were.
        """
        with self._writing() as connection:
            found = [reads.get(connection, each) for each in delivery_ids]
            again = [each for each in found if each is not None and each.state.final]
            again = [each for each in again if each.state is not State.DELIVERED]
            now = self._time(connection)
            for each in again:
                writes.retry(connection, each, now)
            return len(again)

    def cancel(self, delivery_id: str, reason: str = _CANCELLED) -> Delivery:
        """
        End a delivery that has not ended. An attempt that is under way is not stopped.

        :return: the delivery as it now stands.
        :raises Declined: when it has ended.
        """
        with self._writing() as connection:
            return cancel(connection, delivery_id, self._time(connection), reason)

    def recall_all(self, kind: str) -> Mapping[str, tuple[int, float]]:
        """
        Every small number kept of a kind and when it was kept, by key; as
        :meth:`~itsjustintv.interfaces.ILastKnown.recall_all`.
        """
        with self._reading() as connection:
            ahead = self._ahead(connection)
            by = round(ahead) if kind in MOMENTS else 0
            return {key: (value + by, at + ahead) for key, (value, at) in reads.recall_all(connection, kind).items()}

    def remember_all(self, kind: str, values: Mapping[str, int]) -> None:
        """
        Keep small numbers, all or nothing.
        """
        with self._writing() as connection:
            writes.remember_all(connection, kind, values, self._time(connection))

    def forget(self, kind: str, keys: Sequence[str]) -> None:
        """
        Keep small numbers no longer.
        """
        with self._writing() as connection:
            writes.forget(connection, kind, keys)

    def ahead(self) -> float:
        """
        By how many seconds the clock on the wall is ahead of the daemon's, or was of that of the last one.
        """
        with self._reading() as connection:
            return self._ahead(connection)

    def _ahead(self, connection: Connection) -> float:
        return ahead(connection, SteadyClock(self._now, uptime, boot_id()))

    def _time(self, connection: Connection) -> float:
        """
        What time it is in the journal.
        """
        return self._now() - self._ahead(connection)

    @contextmanager
    def _opened(self, *, writable: bool) -> Iterator[Connection]:
        if not self._path.exists():
            raise JournalUnavailable(
                f"there is no journal at {self._path}: is storage.path right, did itsjustintv run?"
            )
        with explained(self._path):
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


def retry(connection: Connection, delivery_id: str, now: float) -> Delivery:
    """
    Send a delivery that ended without success on its way again; see :meth:`OfflineJournal.retry`.

    :param connection: in a transaction.
    """
    delivery = _find(connection, delivery_id)
    if delivery.state is State.DELIVERED:
        raise OperationRefused(
            f"{delivery_id} is delivered: itsjustintv deliveries resend {delivery_id} sends it again"
        )
    if not delivery.state.final:
        raise OperationRefused(f"{delivery_id} is {delivery.state.value}: it is sent without being requeued")
    return writes.retry(connection, delivery, now)


def resend(connection: Connection, delivery_id: str, now: float) -> Delivery:
    """
    Send what was delivered again, under the same event id, as a further delivery: wanted once more, and counted by what
    becomes of it. What was delivered stays so.

    :param connection: in a transaction.
    :return: the new delivery.
    :raises Missing: there is no such delivery.
    :raises Declined: it was not delivered, has no payload, or another one is on its way to the same destination.
    """
    delivery = _find(connection, delivery_id)
    if not delivery.state.final:
        raise OperationRefused(f"{delivery_id} is {delivery.state.value} already")
    if delivery.state is not State.DELIVERED:
        raise OperationRefused(
            f"{delivery_id} is {delivery.state.value}: itsjustintv deliveries retry {delivery_id} requeues it"
        )
    if not delivery.body:
        raise OperationRefused(f"{delivery_id} has no payload that could be sent again")
    if other := reads.on_its_way(connection, delivery.event_id, delivery.destination):
        raise OperationRefused(f"{delivery_id} is being sent again already, as {other}")
    return writes.resend(connection, delivery, now)


def cancel(connection: Connection, delivery_id: str, now: float, reason: str = _CANCELLED) -> Delivery:
    """
    End a delivery that has not ended; see :meth:`OfflineJournal.cancel`.

    :param connection: in a transaction.
    """
    delivery = _find(connection, delivery_id)
    if delivery.state.final:
        raise OperationRefused(f"{delivery_id} is {delivery.state.value} already")
    return writes.cancel(connection, delivery, reason, now)


def _find(connection: Connection, delivery_id: str) -> Delivery:
    delivery = reads.get(connection, delivery_id)
    if delivery is None:
        raise Missing(f"there is no delivery {delivery_id}")
    return delivery


@implementer(ILastKnown)
@frozen
class KeyValues:
    """
    The small numbers in the journal, for somebody who is not the daemon.

    :ivar ledger: ``None`` when there is no journal yet.
    :ivar reason: why there is none.
    """

    _ledger: OfflineJournal | None
    _reason: str = ""

    @classmethod
    def at(cls, path: Path, now: Callable[[], float]) -> KeyValues:
        """
        Use a journal if there is one.
        """
        try:
            return cls(OfflineJournal.open(path, now))
        except JournalUnavailable as error:
            return cls(None, str(error))

    def ledger(self) -> OfflineJournal:
        """
        The journal, which must be there.

        :raises JournalUnavailable: it is not.
        """
        if self._ledger is None:
            raise JournalUnavailable(self._reason)
        return self._ledger

    def recall(self, kind: str, key: str) -> Deferred[tuple[int, float] | None]:
        """
        One value; none when there is no journal.
        """
        return self.recall_all(kind).addCallback(lambda found: found.get(key))

    def recall_all(self, kind: str) -> Deferred[Mapping[str, tuple[int, float]]]:
        """
        All values of a kind; none when there is no journal.
        """
        return execute(lambda: {} if self._ledger is None else self._ledger.recall_all(kind))

    def remember(self, kind: str, key: str, value: int, now: float) -> Deferred[None]:
        """
        Keep a value.
        """
        return self.remember_all(kind, {key: value}, now)

    def remember_all(self, kind: str, values: Mapping[str, int], now: float) -> Deferred[None]:  # noqa: ARG002
        """
        Keep values, at the time of the journal's own clock.
        """
        return execute(lambda: self.ledger().remember_all(kind, values))

    def forget(self, kind: str, keys: Sequence[str]) -> Deferred[None]:
        """
        Keep values no longer.
        """
        return execute(lambda: self.ledger().forget(kind, keys))
