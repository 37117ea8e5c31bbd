"""
``itsjustintv deliveries``: lists deliveries and changes their state, whether or not the daemon runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click
from attrs import asdict

from itsjustintv.cli.console import (
    complete_destination,
    complete_streamer,
    config_option,
    describe_event,
    describe_post,
    echo,
    errors,
    examples,
    json_option,
    load_config,
    progress,
    table,
    utc,
    write_json,
)
from itsjustintv.cli.names import NearChoice, destination_named, streamer_named
from itsjustintv.cli.suspended_deliveries import Suspension, Suspensions
from itsjustintv.config.load import Loaded
from itsjustintv.journal.history import shorten_id
from itsjustintv.journal.interfaces import IOfflineJournal
from itsjustintv.journal.storage import open_storage
from itsjustintv.model import UNDELIVERED, Delivery, State, rfc3339, shown_form
from itsjustintv.support.counts import count
from itsjustintv.support.durations import duration

__all__ = ["deliveries", "open_journal"]

_TONES = {"delivered": "good", "dead": "bad", "expired": "bad", "pending": "doubtful"}

#: The word of --state for dead and expired together.
_UNDELIVERED = "undelivered"

_STATES = (*(state.value for state in State), _UNDELIVERED)

#: States that an operator may undo.
_RETRYABLE = (
    _UNDELIVERED,
    *(each.value for each in State if each.is_final and each not in (State.DELIVERED, State.SUPERSEDED)),
)

#: Deliveries in one transaction, during which the daemon cannot write.
_BATCH = 200

_destination = click.option(
    "--destination", metavar="NAME", shell_complete=complete_destination, help="Only deliveries to this destination."
)
_streamer = click.option(
    "--streamer",
    metavar="KEY",
    shell_complete=complete_streamer,
    help="Only deliveries of this streamer: key, login or user id.",
)


def open_journal(settings: Loaded) -> IOfflineJournal:
    """
    Open the journal of a configuration.

    :raises click.ClickException: the journal cannot be used.
    """
    with errors():
        return open_storage(settings.config.storage).offline(time.time)


def _states(word: str | None) -> tuple[State, ...]:
    return () if word is None else UNDELIVERED if word == _UNDELIVERED else (State(word),)


@click.group(
    short_help="List deliveries; retry, cancel or resend them.",
    epilog=examples("deliveries list --state undelivered", "deliveries show ID", "deliveries retry --all"),
)
def deliveries() -> None:
    """
    List deliveries, and retry, cancel or resend them, whether or not the daemon runs.
    """


@deliveries.command(
    "list",
    epilog=examples(
        "deliveries list",
        "deliveries list --state undelivered --destination streamers.tanuki",
        "deliveries list --json --limit 10",
    ),
)
@config_option
@click.option(
    "--state", type=NearChoice(_STATES), help="Only deliveries in this state; undelivered means dead or expired."
)
@_streamer
@_destination
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Maximum number, newest first.")
@json_option
def list_deliveries(  # noqa: PLR0917 - click names them
    config: str | None, state: str | None, streamer: str | None, destination: str | None, limit: int, as_json: bool
) -> None:
    """
    List deliveries and count them. With filters, count those in the journal; without, all ever accepted.
    """
    settings = load_config(config)
    journal = open_journal(settings)
    with errors():
        streamer = streamer_named(settings, journal, streamer)
        destination = destination_named(settings, journal, destination)
        found = journal.list(*_states(state), destination=destination, streamer=streamer, limit=limit)
        account = journal.accounting()
        counts = journal.count(destination, streamer)
        length = journal.distinct_length(each.event_id for each in found)
        suspensions = Suspensions.of(journal, settings.config)
    matching = {each: count for each, count in counts.items() if not state or each in _states(state)}
    if as_json:
        write_json(
            {
                "deliveries": [_public(each, suspensions.find(each)) for each in found],
                "matching": {each.value: count for each, count in matching.items()},
                "accounting": asdict(account),
            }
        )
    else:
        if found:
            posts = any(each.broadcast for each in found)
            rows = [
                (
                    "ACCEPTED (UTC)",
                    "STATE",
                    *["POST"] * posts,
                    "ATTEMPTS",
                    "STREAMER",
                    "DESTINATION",
                    "DELIVERY",
                    "REASON",
                )
            ]
            rows += [
                (
                    utc(each.accepted_at),
                    each.state.value,
                    *["" if each.post_action is None else each.post_action.word] * posts,
                    f"{each.attempts:>8}",
                    each.streamer,
                    each.destination,
                    shorten_id(each.id, each.event_id, length),
                    str(suspensions.find(each) or each.reason),
                )
                for each in found
            ]
            table(rows, _TONES)
        if state or streamer or destination:
            each = ", ".join(f"{count} {each.value}" for each, count in matching.items())
            echo(f"matching: {sum(matching.values())}{f' ({each})' if each else ''}; listed: {len(found)}")
        else:
            echo(
                f"{account.wanted} wanted = {account.delivered} delivered + {account.dead} dead + {account.expired}"
                f" expired + {account.filtered} filtered + {account.cancelled} cancelled"
                f"{f' + {account.superseded} superseded' if account.superseded else ''}"
                f" + {account.accepted + account.pending} in progress"
            )
    if account.imbalance:
        raise click.ClickException(
            f"{count(account.imbalance, 'delivery', ('is', 'are'))} unaccounted for: this is a defect, report it"
        )


@deliveries.command(epilog=examples("deliveries show ID", "deliveries show ID --json"))
@config_option
@click.argument("delivery")
@json_option
def show(config: str | None, delivery: str, as_json: bool) -> None:
    """
    Show a delivery, its attempts and its payload.
    """
    settings = load_config(config)
    journal = open_journal(settings)
    with errors():
        history = journal.show(journal.find_delivery_id(delivery))
        suspension = Suspensions.of(journal, settings.config).find(history.deliveries[0].delivery)
    [one], event = history.deliveries, history.event
    about = one.delivery
    payload = shown_form(json.loads(about.body), plain=about.plain) if about.body else None
    if as_json:
        tries = [{**asdict(each), "started_at": rfc3339(each.started_at)} for each in one.attempts]
        news = {**event.public(), "received_at": rfc3339(event.received_at)}
        write_json({**_public(about, suspension), "event": news, "tries": tries, "payload": payload})
        return
    echo(f"delivery     {about.id}")
    echo(f"streamer     {about.streamer} ({event.broadcaster_name}, id {event.broadcaster_id})")
    found = ", recovered by asking Twitch who is live" if event.recovered else ""
    label, text = describe_event(event)
    echo(f"{label:12} {text}{found}")
    echo(f"destination  {about.destination}")
    echo(f"accepted     {utc(about.accepted_at)} UTC")
    echo(f"state        {about.state.value}{f': {about.reason}' if about.reason else ''}", _TONES.get(about.state, ""))
    if about.post_action is not None:
        echo(f"action       {about.post_action.word}")
    if post := describe_post(about):
        echo(f"post         {post}")
    if suspension is not None:
        echo(f"next attempt none, {suspension}", "doubtful")
    elif not about.state.is_final:
        echo(f"next attempt {utc(about.next_attempt_at)} UTC")
    for number, attempt in enumerate(one.attempts, 1):
        echo(f"attempt {number:<4} {utc(attempt.started_at)} UTC, {duration(attempt.duration)}: {attempt.detail}")
        if attempt.response:
            echo(f"             response: {attempt.response[:200]}")
    if payload is not None:
        write_json(payload)


def _public(delivery: Delivery, suspension: Suspension | None) -> Mapping[str, Any]:
    return {
        "id": delivery.id,
        "event_id": delivery.event_id,
        "streamer": delivery.streamer,
        "destination": delivery.destination,
        "state": delivery.state.value,
        "reason": delivery.reason,
        "post": describe_post(delivery) or None,
        "action": delivery.post_action,
        "attempts": delivery.attempts,
        "accepted_at": rfc3339(delivery.accepted_at),
        "next_attempt_at": None if delivery.state.is_final or suspension else rfc3339(delivery.next_attempt_at),
        "suspended_until": None if suspension is None else rfc3339(suspension.end),
    }


@deliveries.command(
    epilog=examples(
        "deliveries retry ID",
        "deliveries retry --all",
        "deliveries retry --all --state expired --destination global_webhook",
    )
)
@config_option
@click.argument("delivery", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All deliveries in --state.")
@click.option(
    "--state",
    type=NearChoice(_RETRYABLE),
    default=_UNDELIVERED,
    show_default=True,
    help="With --all: the state; undelivered means dead or expired.",
)
@_streamer
@_destination
def retry(  # noqa: PLR0917 - click names them
    config: str | None,
    delivery: tuple[str, ...],
    everything: bool,
    state: str,
    streamer: str | None,
    destination: str | None,
) -> None:
    """
    Requeue deliveries. Each is due at once, and its attempts and its age start from zero.
    """
    if everything == bool(delivery):
        raise click.UsageError("give delivery ids, or --all")
    if not everything and (streamer or destination):
        raise click.UsageError("--streamer and --destination require --all")
    settings = load_config(config)
    journal = open_journal(settings)
    with errors():
        for each in _named(journal, delivery):
            echo(f"requeued {each}: {journal.retry(each).state.value}")
        if everything:
            streamer = streamer_named(settings, journal, streamer)
            destination = destination_named(settings, journal, destination)
            _retry_all(journal, journal.ended(*_states(state), destination=destination, streamer=streamer), state)


def _retry_all(journal: IOfflineJournal, found: Sequence[str], state: str) -> None:
    sent = 0
    with progress(len(found), "requeuing") as advance:
        for start in range(0, len(found), _BATCH):
            batch = found[start : start + _BATCH]
            sent += journal.retry_all(batch)
            advance(len(batch))
    echo(f"requeued {sent} {state} {'delivery' if sent == 1 else 'deliveries'}")


@deliveries.command(epilog=examples("deliveries cancel ID"))
@config_option
@click.argument("delivery", nargs=-1, required=True)
def cancel(config: str | None, delivery: tuple[str, ...]) -> None:
    """
    Cancel deliveries that are in progress.
    """
    journal = open_journal(load_config(config))
    with errors():
        for each in _named(journal, delivery):
            echo(f"{journal.cancel(each).state.value} {each}")


@deliveries.command(epilog=examples("deliveries resend ID"))
@config_option
@click.argument("delivery", nargs=-1, required=True)
def resend(config: str | None, delivery: tuple[str, ...]) -> None:
    """
    Send delivered deliveries again, each as a new delivery of the same event.

    The receiver gets the same event id as before, and may drop it as a duplicate. The attempts and the age of the new
    delivery start from zero. Images are sent as URLs only.
    """
    journal = open_journal(load_config(config))
    with errors():
        for each in _named(journal, delivery):
            echo(f"resending {each} as {journal.resend(each).id}")


def _named(journal: IOfflineJournal, given: Sequence[str]) -> Sequence[str]:
    """
    Find all deliveries before any is changed.
    """
    return list(dict.fromkeys([journal.find_delivery_id(each) for each in given]))
