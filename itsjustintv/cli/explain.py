"""
``itsjustintv explain``: the history of an event, or the state of a streamer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any

import click

from itsjustintv.cli.console import (
    complete_streamer,
    config_option,
    describe_event,
    describe_post,
    echo,
    errors,
    examples,
    in_reactor,
    json_option,
    load_config,
    table,
    utc,
    write_json,
)
from itsjustintv.cli.destination_states import DestinationStates
from itsjustintv.cli.health import DaemonAddress, configured_address
from itsjustintv.cli.names import configured, streamer_names
from itsjustintv.cli.subscriptions import explained
from itsjustintv.cli.suspended_deliveries import Suspensions
from itsjustintv.cli.twitch_session import open_session
from itsjustintv.config.load import Loaded
from itsjustintv.config.sections import CONDUIT
from itsjustintv.errors import JournalUnavailable, TwitchError
from itsjustintv.journal.history import DeliveryHistory, EventHistory, HistoryStep
from itsjustintv.journal.interfaces import IOfflineJournal
from itsjustintv.journal.storage import open_storage
from itsjustintv.model import Action, Delivery, State, Streamer, rfc3339
from itsjustintv.routing import Routes
from itsjustintv.support.durations import duration
from itsjustintv.support.nearest import EMPTY, did_you_mean

__all__ = ["explain"]

# Seconds that the running daemon has to answer.
_PATIENCE = 2.0

_TONES = {"delivered": "good", "dead": "bad", "expired": "bad", "pending": "doubtful", "accepted": "doubtful"}

# Deliveries of a streamer that are listed.
_LATEST = 10


@click.command(
    short_help="Show all about an event or a streamer.",
    epilog=examples("explain EVENT", "explain tanuki", "explain tanuki --json"),
)
@config_option
@click.argument("what", metavar="EVENT|STREAMER", shell_complete=complete_streamer)
@json_option
def explain(config: str | None, what: str, as_json: bool) -> None:
    """
    Show the history of an event, or the state of a streamer. With a conduit the running daemon is asked whether
    messages arrive.

    EVENT is the id of an event (returned to Twitch as X-Request-Id) or of one of its deliveries, the first 8 or more
    characters of one, or the message id of Twitch. STREAMER is a key, login or user id.
    """
    settings = load_config(config)
    journal, reason = _open_journal(settings)
    found = configured(Routes.of(settings.config), what)
    with errors():
        # Whole ids come before streamers, and these before beginnings of ids.
        history = None if journal is None else journal.find_event(what)
        if history is None and found is None and journal is not None:
            history = journal.find_event(what, prefix=True)
        past = journal.streamers() if journal is not None and history is None and found is None else ()
        suspensions = None if journal is None else Suspensions.of(journal, settings.config)
    if history is not None and suspensions is not None:
        write_json(_event(history, suspensions)) if as_json else _tell_event(history, suspensions)
        return
    if journal is None and found is None:
        raise click.ClickException(reason)
    if found is None and what not in past:
        raise click.ClickException(_unknown(what, Routes.of(settings.config), journal, past))
    answers = [] if found is None else in_reactor(lambda reactor: _ask(reactor, settings, found.key))
    key = what if found is None else found.key
    deliveries = [] if journal is None else journal.list(streamer=key, limit=_LATEST)
    if found is not None and settings.config.twitch.transport == CONDUIT:
        answers = _with_reception(answers, *_reception(configured_address(settings.config.server)))
    about = [*_configured(found, settings), *_states(found, settings), *answers]
    if as_json:
        write_json(
            {
                "streamer": what,
                "answers": [{"about": label, "text": text} for label, text in about],
                "deliveries": [_delivery(each) for each in deliveries],
            }
        )
        return
    for label, text in about:
        echo(f"{label + ':':14}{text}")
    if deliveries and journal is not None:
        length = journal.distinct_length(each.event_id for each in deliveries)
        click.echo()
        rows = [("ACCEPTED (UTC)", "STATE", "ATTEMPTS", "DESTINATION", "EVENT", "REASON")]
        rows += [
            (
                utc(each.accepted_at),
                each.state.value,
                f"{each.attempts:>8}",
                each.destination,
                each.event_id[:length],
                str((suspensions and suspensions.find(each)) or each.reason),
            )
            for each in deliveries
        ]
        table(rows, _TONES)
    elif journal is None:
        echo(f"{'deliveries:':14}unavailable: {reason}")
    else:
        echo(f"{'deliveries:':14}none")


def _open_journal(settings: Loaded) -> tuple[IOfflineJournal | None, str]:
    try:
        return open_storage(settings.config.storage).offline(time.time), ""
    except JournalUnavailable as error:
        return None, str(error)


def _unknown(what: str, routes: Routes, journal: IOfflineJournal | None, past: Sequence[str]) -> str:
    """
    Say that there is no such event or streamer, and suggest similar names.
    """
    near = [] if journal is None else journal.similar_events(what)
    suggestion = did_you_mean(what, near or [*streamer_names(routes), *past])
    return f"no event or streamer {what or EMPTY}; events are kept for seven days after they end{suggestion}"


async def _ask(reactor: Any, settings: Loaded, streamer: str) -> Sequence[tuple[str, str]]:
    """
    Ask Twitch. Without an answer the journal is still worth showing.
    """
    try:
        return await explained(await open_session(reactor, settings), streamer)
    except TwitchError as error:
        return [("subscription", f"unknown: {error}"), ("next", "run this again, or itsjustintv doctor")]


def _reception(address: DaemonAddress) -> tuple[str, str]:
    """
    Ask the running daemon whether messages arrive through its conduit.

    :return: the answer, and what comes next; empty if nothing has to be done.
    """
    try:
        _, answer = address.ask("/health", _PATIENCE)
    except (OSError, HTTPException):
        return f"unknown whether they arrive: no daemon answers at {address.url}", "start the daemon"
    conduit = answer.get("conduit") if isinstance(answer, dict) else None
    if not isinstance(conduit, dict):
        return f"unknown whether they arrive: no daemon with a conduit answers at {address.url}", "reload the daemon"
    reasons = {each["check"]: each["reason"] for each in answer.get("reasons", ())}
    if not conduit["enabled"]:
        return f"do not arrive now: {reasons.get('conduit', 'the reason is not known')}", "itsjustintv doctor"
    arriving = f"arrive: {conduit['enabled']} of {conduit['shards']} shards are enabled"
    if "memory" in reasons:
        return f"{arriving}; {reasons['memory']}", "do what the reason says, before the daemon is restarted"
    return arriving, ""


def _with_reception(answers: Sequence[tuple[str, str]], reception: str, then: str) -> Sequence[tuple[str, str]]:
    """
    Put before what comes next how messages arrive. A subscription that works is not enough.
    """
    *others, (label, text) = answers
    return [*others, ("messages", reception), (label, then if then and text.startswith("nothing") else text)]


def _configured(found: Streamer | None, settings: Loaded) -> Sequence[tuple[str, str]]:
    """
    The configuration of a streamer, without URLs, which are secrets.
    """
    if found is None:
        return [("configured", "no; only the journal still has deliveries")]
    entry = settings.config.streamers[found.key]
    names = [f"login {entry.login}"] * bool(entry.login) + [f"user_id {entry.user_id}"] * bool(entry.user_id)
    answers = [
        ("configured", f"as streamers.{found.key}, by {' and '.join(names)}"),
        ("sent to", ", ".join(found.destinations) or "no destination"),
    ]
    if found.types:
        answers.append(("only type", " or ".join(found.types)))
    if found.tag_filter:
        answers.append(("only with", f"one of the tags {', '.join(found.tag_filter)}"))
    return answers


def _states(found: Streamer | None, settings: Loaded) -> Sequence[tuple[str, str]]:
    """
    Say which destinations of a streamer take nothing, or have another address now.
    """
    if found is None:
        return ()
    routes, known = Routes.of(settings.config), DestinationStates.of(settings)
    named = [routes.destination(name, found.key) for name in found.destinations]
    texts = [known.explain(each) for each in named if each is not None]
    return [("destination", text) for text in texts if text]


def _tell_event(history: EventHistory, suspensions: Suspensions) -> None:
    event = history.event
    echo(f"event         {event.id}")
    if event.message_id:
        echo(f"message       {event.message_id}")
    key = history.deliveries[0].delivery.streamer if history.deliveries else event.broadcaster_login
    echo(f"streamer      {key} ({event.broadcaster_name}, id {event.broadcaster_id})")
    label, text = describe_event(event)
    echo(f"{label:13} {text}")
    click.echo()
    rows = [("WHEN (UTC)", "TOOK", "STEP", "DESTINATION", "WHAT")]
    rows += [
        (_moment(step.at), f"{_seconds(step.took):>8}", step.name, step.destination, step.text)
        for step in history.steps()
    ]
    table(rows, _TONES)
    click.echo()
    for each in history.deliveries:
        about = each.delivery
        echo(f"{about.id} to {about.destination}: {_next(each, suspensions)}", _TONES.get(about.state.value, ""))


def _next(history: DeliveryHistory, suspensions: Suspensions) -> str:
    """
    The state of a delivery, and what comes next.
    """
    about = history.delivery
    if (suspension := suspensions.find(about)) is not None:
        return str(suspension)
    match about.state:
        case State.DELIVERED:
            post = describe_post(about)
            return f"delivered, attempt {len(history.attempts)}{f'; post {post}' if post else ''}"
        case State.ACCEPTED:
            reason = f" ({about.reason})" if about.reason else ""
            waits = "waits to refresh the post" if about.action is Action.REFRESH else "not prepared yet"
            return f"{waits}{reason}; due at {utc(about.next_attempt_at)}"
        case State.PENDING:
            return f"attempt {len(history.attempts) + 1} is due at {utc(about.next_attempt_at)}"
        case State.FILTERED | State.SUPERSEDED:
            what = "refresh of the post: " if about.action is Action.REFRESH else ""
            return f"{what}{about.state.value}: {about.reason}"
        case _:
            return f"{about.state.value}: {about.reason}; requeue it with itsjustintv deliveries retry {about.id}"


def _event(history: EventHistory, suspensions: Suspensions) -> Mapping[str, Any]:
    return {
        "event": {**history.event.public(), "received_at": _precise(history.event.received_at)},
        "steps": [_step(step) for step in history.steps()],
        "deliveries": [{**_delivery(each.delivery), "next": _next(each, suspensions)} for each in history.deliveries],
    }


def _step(step: HistoryStep) -> Mapping[str, Any]:
    return {
        "at": _precise(step.at),
        "seconds": None if step.took is None else round(step.took, 6),
        "step": step.name,
        "destination": step.destination or None,
        "text": step.text,
    }


def _delivery(delivery: Delivery) -> Mapping[str, Any]:
    return {
        "id": delivery.id,
        "event_id": delivery.event_id,
        "destination": delivery.destination,
        "action": delivery.post_action,
        "state": delivery.state.value,
        "reason": delivery.reason,
        "attempts": delivery.attempts,
        "accepted_at": _precise(delivery.accepted_at),
        "next_attempt_at": None if delivery.state.is_final else _precise(delivery.next_attempt_at),
    }


def _precise(seconds: float) -> str:
    return rfc3339(seconds, "milliseconds")


def _moment(seconds: float) -> str:
    return _precise(seconds).replace("T", " ").removesuffix("Z")


def _seconds(took: float | None) -> str:
    return "" if took is None else duration(took)
