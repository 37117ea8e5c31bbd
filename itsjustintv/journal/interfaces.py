"""
What a journal is to the rest of the program. A database is used by implementing these interfaces in a folder of its
own, as :mod:`itsjustintv.journal.sqlite` does, and by naming it in :mod:`itsjustintv.journal.storage`;
``tests/journal/contract.py`` states in tests what stands here.

A docstring here is the contract; an implementation may stay silent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from zope.interface import Interface

from itsjustintv.interfaces import IDeliveryJournal, IKeyValues, Resolve
from itsjustintv.journal.history import (
    EVERYTHING,
    BackupContents,
    DeliveryHistory,
    DestinationBacklog,
    EventHistory,
    HistoryFilter,
    OpenPost,
    Place,
)
from itsjustintv.journal.legacy_files import Embed, Export, Imported, LegacyFiles
from itsjustintv.model import Accounting, Census, Delivery, Owner, State, Verdict
from itsjustintv.support.clocks import SteadyClock

__all__ = [
    "Committed",
    "IJournal",
    "IJournalStorage",
    "IOfflineJournal",
    "IOperatorJournal",
]

#: Receives, for each transaction and perhaps in a thread, how many operations were committed and in how many seconds.
Committed = Callable[[int, float], None]


class IOperatorJournal(Interface):
    """
    What an operator sees of the journal and does to it while the daemon runs. Times in answers are those of the
    machine's clock. An id may be cut to a prefix that only one has; where several have it, the answer fails with
    :class:`~itsjustintv.errors.AmbiguousId`. Every read is short, since deliveries are read the same way.
    """

    def list_events(
        after: Place | None, limit: int, filters: HistoryFilter = EVERYTHING
    ) -> Deferred[tuple[Sequence[EventHistory], Place | None]]:
        """
        List events with their deliveries and attempts, the latest first. With states and a destination, one delivery of
        the event matches both. A filtered list looks at a limited number of events: it may hold fewer than ``limit``.

        :param after: the place that the list before this one ended with.
        :return: the events, and the place at which the list goes on, ``None`` at its end.
        """

    def find_event(event_id: str) -> Deferred[EventHistory | None]:
        """
        Find an event by its id, or by that of one of its deliveries.
        """

    def list_deliveries(
        after: Place | None, limit: int, filters: HistoryFilter = EVERYTHING
    ) -> Deferred[tuple[Sequence[DeliveryHistory], Place | None]]:
        """
        List deliveries without payload, and with the last attempt only: those that ended by their end, the latest
        first; pending ones by destination and next attempt; otherwise by acceptance, the latest first.

        :param filters: its states are one state, or several that are final.
        :return: as for events.
        """

    def find_delivery(delivery_id: str) -> Deferred[EventHistory | None]:
        """
        Find a delivery, with its payload, as the only one of its event.
        """

    def backlogs() -> Deferred[Sequence[DestinationBacklog]]:
        """
        Count the pending deliveries of each destination that has some.
        """

    def open_posts() -> Deferred[Sequence[OpenPost]]:
        """
        List the posts that can still change, by destination, those that were changed last in front.
        """

    def history_version() -> Deferred[object]:
        """
        Answer with a value that differs whenever an answer of the methods above does.
        """

    def retry(delivery_id: str) -> Deferred[Delivery]:
        """
        Requeue a delivery that ended undelivered: due at once, attempts and age start again.

        :return: the delivery as it now is. Fails with :class:`~itsjustintv.errors.DeliveryNotFound`, or with
            :class:`~itsjustintv.errors.OperationRefused` when it was delivered or has not ended.
        """

    def resend(delivery_id: str) -> Deferred[Delivery]:
        """
        Send what was delivered again, as a further delivery of its event. What was delivered stays so.

        :return: the new delivery. Fails as :meth:`retry`: it was not delivered, has no payload, or is being sent again.
        """

    def cancel(delivery_id: str) -> Deferred[Delivery]:
        """
        End a delivery that has not ended. An attempt that is under way is not stopped.

        :return: the delivery as it now is. Fails as :meth:`retry`: it has ended.
        """


class IJournal(IService, IDeliveryJournal, IKeyValues, IOperatorJournal):
    """
    The durable state of the daemon: a service that is started before everything that uses it and stopped after it.

    ``startService`` raises :class:`~itsjustintv.errors.JournalInUse` or
    :class:`~itsjustintv.errors.JournalUnavailable`; the Deferred of ``stopService`` fires when everything that was
    asked before is done.
    """

    def owners(is_configured: Callable[[str], bool]) -> Deferred[Mapping[str, Owner]]:
        """
        Find out whose the destinations are that are not configured and have deliveries that have not ended.

        :param is_configured: called with a name, perhaps in a thread.
        :return: by name, without those whose deliveries are about several channels.
        """

    def next_due(counts: Callable[[str], bool]) -> Deferred[float | None]:
        """
        When the first delivery that has not ended was or will be due, in seconds since the epoch.

        :param counts: whether the pending deliveries of a destination do; called with a name, perhaps in a thread.
        """

    def undelivered() -> Deferred[int]:
        """
        Count the dead and expired deliveries in the journal.
        """

    def census() -> Deferred[Census]:
        """
        Count everything that has not ended, however much that is.
        """

    def note_clock(ahead: float) -> Deferred[None]:
        """
        Store by how many seconds the machine's clock is ahead of the daemon's, for a restart of the machine.
        """

    def fatal_problem() -> str | None:
        """
        Why nothing works until a restart, or ``None``; a full disk is no such reason. Answers at once.
        """


class IOfflineJournal(Interface):
    """
    The journal for a command, whether the daemon runs or not. Each method opens it and closes it again, blocks
    meanwhile, and raises :class:`~itsjustintv.errors.JournalUnavailable` when it cannot be used. Times in answers are
    those of the machine's clock.

    A daemon on the same journal learns of a change by :meth:`IDeliveryJournal.changed`.
    """

    def list(
        *states: State, destination: str | None = None, streamer: str | None = None, limit: int = 100
    ) -> Sequence[Delivery]:
        """
        List deliveries without their pictures, the newest first.

        :param states: one state, or several that are final; any when there is none.
        :param destination: its name; any when it is ``None``. ``streamer`` is a key, likewise.
        """

    def count(destination: str | None = None, streamer: str | None = None) -> Mapping[State, int]:
        """
        Count the deliveries by state; those that retention removed are not among them.
        """

    def find_event(name: str, *, prefix: bool = False) -> EventHistory | None:
        """
        Find an event with all its deliveries and attempts, payloads included.

        :param name: its id, that of one of its deliveries, or that of Twitch's message.
        :param prefix: whether it may also be the beginning of the first two.
        :raises AmbiguousId: several begin so.
        """

    def similar_events(text: str) -> Sequence[str]:
        """
        List the ids of events for which an unknown one may have been mistyped.
        """

    def find_delivery_id(text: str) -> str:
        """
        Find a delivery by its id, by a prefix, or by a prefix of its event's id with its own number: ``019b7c9f-1``.

        :raises DeliveryNotFound: there is none.
        :raises AmbiguousId: there are several.
        """

    def show(delivery_id: str) -> EventHistory:
        """
        Fetch a delivery, with its payload and all its attempts, as the only one of its event.

        :raises DeliveryNotFound: there is none.
        """

    def distinct_length(event_ids: Iterable[str]) -> int:
        """
        How many characters of these ids tell each of them from every other event in the journal.
        """

    def streamers() -> Sequence[str]:
        """
        List the keys of all streamers with a delivery in the journal, configured or not.
        """

    def destinations() -> Sequence[str]:
        """
        List the names of all destinations with a delivery in the journal, configured or not.
        """

    def accounting() -> Accounting:
        """
        Count as :meth:`IDeliveryJournal.accounting`.
        """

    def undelivered() -> int:
        """
        Count the dead and expired deliveries.
        """

    def ended(*states: State, destination: str | None = None, streamer: str | None = None) -> Sequence[str]:
        """
        List the ids of all deliveries that ended in one of these states, those that ended first in front.
        """

    def retry(delivery_id: str) -> Delivery:
        """
        Do as :meth:`IOperatorJournal.retry`, and raise what that fails with; likewise the next ones.
        """

    def retry_all(delivery_ids: Sequence[str]) -> int:
        """
        Requeue those of these that ended undelivered, in one transaction. The daemon's writes wait for it: a few
        hundred at a time do no harm.

        :return: how many there were.
        """

    def resend(delivery_id: str) -> Delivery:
        """
        Do as :meth:`IOperatorJournal.resend`.
        """

    def cancel(delivery_id: str) -> Delivery:
        """
        Do as :meth:`IOperatorJournal.cancel`.
        """

    def open_posts() -> Sequence[OpenPost]:
        """
        Do as :meth:`IOperatorJournal.open_posts`.
        """

    def places() -> Mapping[str, tuple[Verdict, str]]:
        """
        Do as :meth:`IDeliveryJournal.places`.
        """

    def recall_all(kind: str) -> Mapping[str, tuple[int, float]]:
        """
        Do as :meth:`IKeyValues.recall_all`.
        """

    def remember_all(kind: str, values: Mapping[str, int]) -> None:
        """
        Do as :meth:`IKeyValues.remember_all`, at the present time.
        """

    def forget(kind: str, keys: Sequence[str]) -> None:
        """
        Do as :meth:`IKeyValues.forget`.
        """

    def clock_ahead() -> float:
        """
        By how many seconds the machine's clock is ahead of the daemon's, or was of the last daemon's.
        """

    def export(resolve: Resolve, embed: Embed) -> Export:
        """
        Collect the state in the form of the original program's files.

        :param resolve: finds a destination by its name.
        :param embed: puts the bytes of a picture into a payload.
        """


class IJournalStorage(Interface):
    """
    The place that ``[storage]`` names, and what can be done there. ``str()`` of it names the place.

    Methods block and raise :class:`~itsjustintv.errors.JournalUnavailable` with the cause and what to do.
    """

    def journal(reactor: Any, clock: SteadyClock, legacy: LegacyFiles, committed: Committed) -> IJournal:
        """
        Make the daemon's journal. Nothing is opened before it is started.

        :param clock: what the reactor's time goes by.
        :param legacy: taken over when the journal is new.
        """

    def offline(now: Callable[[], float]) -> IOfflineJournal:
        """
        Open a journal that exists and is of this version, for a command.

        :param now: the machine's time, in seconds since the epoch.
        """

    def exists() -> bool:
        """
        Whether there is a journal.
        """

    def file() -> Path | None:
        """
        The file on this machine that holds the journal; ``None`` when another machine has it. Does not block.
        """

    def is_in_use() -> bool | None:
        """
        Whether a daemon runs with it; ``None`` when that cannot be found out.
        """

    def import_legacy(legacy: LegacyFiles, now: float) -> Imported | None:
        """
        Take over the original program's state, if the journal is new. Makes the journal when it is missing.

        :return: ``None`` when it was not new.
        :raises JournalInUse: a daemon runs.
        """

    def back_up(target: Path) -> BackupContents:
        """
        Copy the journal into a file, also while the daemon runs, and verify the copy.
        """

    def read_backup(source: Path) -> BackupContents:
        """
        Verify a backup and say what it holds.
        """

    def restore(source: Path, stamp: str) -> Sequence[Path]:
        """
        Put a backup in the place of the journal. What is there stays under other names.

        :param stamp: what tells these names apart.
        :return: the names.
        :raises JournalInUse: a daemon runs.
        """
