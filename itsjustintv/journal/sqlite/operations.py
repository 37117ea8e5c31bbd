"""
What an operator may do to a delivery, and why not, as functions of a connection that is inside a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

from itsjustintv.errors import DeliveryNotFound, OperationRefused
from itsjustintv.journal.sqlite import reads, writes
from itsjustintv.model import Delivery, State

__all__ = ["cancel", "find", "resend", "retry", "retry_all"]

_CANCELLED = "cancelled by the operator"


def find(connection: Connection, delivery_id: str) -> Delivery:
    """
    Fetch a delivery.

    :raises DeliveryNotFound: there is none.
    """
    delivery = reads.get(connection, delivery_id)
    if delivery is None:
        raise DeliveryNotFound(f"there is no delivery {delivery_id}")
    return delivery


def retry(connection: Connection, delivery_id: str, now: float) -> Delivery:
    """
    Requeue a delivery; see :meth:`~itsjustintv.journal.interfaces.IOperatorJournal.retry`.
    """
    delivery = find(connection, delivery_id)
    if delivery.state is State.DELIVERED:
        raise OperationRefused(f"{delivery_id} is delivered: itsjustintv deliveries resend {delivery_id} resends it")
    if not delivery.state.is_final:
        raise OperationRefused(f"{delivery_id} is {delivery.state.value}: it is in progress and need not be requeued")
    if delivery.state is State.SUPERSEDED:
        raise OperationRefused(f"{delivery_id} is superseded: a later delivery to the same post shows newer content")
    return writes.retry(connection, delivery, now)


def retry_all(connection: Connection, delivery_ids: Sequence[str], now: float) -> int:
    """
    Requeue those that ended undelivered.

    :return: how many there were.
    """
    found = [reads.get(connection, each) for each in delivery_ids]
    undelivered = [
        each
        for each in found
        if each is not None and each.state.is_final and each.state not in (State.DELIVERED, State.SUPERSEDED)
    ]
    for each in undelivered:
        writes.retry(connection, each, now)
    return len(undelivered)


def resend(connection: Connection, delivery_id: str, now: float) -> Delivery:
    """
    Send what was delivered again; see :meth:`~itsjustintv.journal.interfaces.IOperatorJournal.resend`.
    """
    delivery = find(connection, delivery_id)
    if not delivery.state.is_final:
        raise OperationRefused(f"{delivery_id} is {delivery.state.value} already")
    if delivery.state is not State.DELIVERED:
        raise OperationRefused(
            f"{delivery_id} is {delivery.state.value}: itsjustintv deliveries retry {delivery_id} requeues it"
        )
    if not delivery.body:
        raise OperationRefused(f"{delivery_id} cannot be resent: it has no payload")
    if other := reads.find_unfinished(connection, delivery.event_id, delivery.destination):
        raise OperationRefused(f"{delivery_id} is being resent already, as {other}")
    return writes.resend(connection, delivery, now)


def cancel(connection: Connection, delivery_id: str, now: float) -> Delivery:
    """
    End a delivery; see :meth:`~itsjustintv.journal.interfaces.IOperatorJournal.cancel`.
    """
    delivery = find(connection, delivery_id)
    if delivery.state.is_final:
        raise OperationRefused(f"{delivery_id} is {delivery.state.value} already")
    return writes.cancel(connection, delivery, _CANCELLED, now)
