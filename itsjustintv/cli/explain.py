"""
``itsjustintv explain``: what happened to an event, and how things stand with a streamer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from itsjustintv.cli.console import (
    complete_streamer,
    config_option,
    errors,
    examples,
    in_reactor,
    json_option,
    loaded,
    table,
    tell,
    utc,
    write_json,
)
from itsjustintv.cli.names import configured, streamer_names
from itsjustintv.cli.subscriptions import explained
from itsjustintv.cli.suspensions import Suspensions
from itsjustintv.cli.twitch_session import office_of
from itsjustintv.config.load import Loaded
from itsjustintv.errors import JournalUnavailable, TwitchError
from itsjustintv.journal.history import DeliveryHistory, EventHistory, HistoryStep
from itsjustintv.journal.offline import OfflineJournal
from itsjustintv.model import Delivery, State, Streamer, rfc3339
from itsjustintv.routing import Routes
from itsjustintv.support.durations import duration
from itsjustintv.support.nearest import EMPTY, did_you_mean

__all__ = ["explain"]

_TONES = {"delivered": "good", "dead": "bad", "expired": "bad", "pending": "doubtful", "accepted": "doubtful"}

# So many deliveries of a streamer are told of.
_LATEST = 10


@click.command(
    short_help="Tell all about an event or a streamer.",
    epilog=examples("explain EVENT", "explain tanuki", "explain tanuki --json"),
)
@config_option
@click.argument("what", metavar="EVENT|STREAMER", shell_complete=complete_streamer)
@json_option
def explain(config: str | None, what: str, as_json: bool) -> None:
    """
    Tell what happened to an event, or how things stand with a streamer.

    An event goes by its id, which Twitch was told as X-Request-Id, by that of one of its deliveries, by the first
    8 or more characters of these, or by Twitch's own id of the message; a streamer by key, login or user id.
    """
    settings = loaded(config)
    ledger, reason = _ledger(settings)
    found = configured(Routes.of(settings.config), what)
    with errors():
        # Whole ids come before streamers, and these before beginnings of ids.
        story = None if ledger is None else ledger.story(what)
        if story is None and found is None and ledger is not None:
            story = ledger.story(what, prefix=True)
        past = ledger.streamers() if ledger is not None and story is None and found is None else ()
        suspensions = None if ledger is None else Suspensions.of(ledger, settings.config)
    if story is not None and suspensions is not None:
        write_json(_event(story, suspensions)) if as_json else _tell_event(story, suspensions)
        return
    if ledger is None and found is None:
        raise click.ClickException(reason)
    if found is None and what not in past:
        raise click.ClickException(_unknown(what, Routes.of(settings.config), ledger, past))
    answers = [] if found is None else in_reactor(lambda reactor: _ask(reactor, settings, found.key))
    key = what if found is None else found.key
    deliveries = [] if ledger is None else ledger.list(streamer=key, limit=_LATEST)
    about = [*_configured(found, settings), *answers]
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
        tell(f"{label + ':':14}{text}")
    if deliveries and ledger is not None:
        length = ledger.brief(each.event_id for each in deliveries)
        click.echo()
        rows = [("ACCEPTED (UTC)", "STATE", "TRIES", "DESTINATION", "EVENT", "REASON")]
        rows += [
            (
                utc(each.accepted_at),
                each.state.value,
                f"{each.attempts:>5}",
                each.destination,
                each.event_id[:length],
                str((suspensions and suspensions.find(each)) or each.reason),
            )
            for each in deliveries
        ]
        table(rows, _TONES)
    elif ledger is None:
        tell(f"{'deliveries:':14}unavailable: {reason}")
    else:
        tell(f"{'deliveries:':14}none")


def _ledger(settings: Loaded) -> tuple[OfflineJournal | None, str]:
    try:
        return OfflineJournal.open(Path(settings.config.storage.path), time.time), ""
    except JournalUnavailable as error:
        return None, str(error)


def _unknown(what: str, routes: Routes, ledger: OfflineJournal | None, past: Sequence[str]) -> str:
    """
    Say that a name is neither an event's nor a streamer's, and what is like it.
    """
    near = [] if ledger is None else ledger.near(what)
    suggestion = did_you_mean(what, near or [*streamer_names(routes), *past])
    return f"there is no event and no streamer {what or EMPTY}; what ended is kept for seven days{suggestion}"


async def _ask(reactor: Any, settings: Loaded, streamer: str) -> Sequence[tuple[str, str]]:
    """
    Ask Twitch; what the journal tells is worth telling without it.
    """
    try:
        return await explained(await office_of(reactor, settings), streamer)
    except TwitchError as error:
        return [("subscription", f"twitch does not tell: {error}"), ("next", "try again, or see itsjustintv doctor")]


def _configured(found: Streamer | None, settings: Loaded) -> Sequence[tuple[str, str]]:
    """
    What the configuration says of a streamer; addresses are secrets.
    """
    if found is None:
        return [("configured", "no; the journal still has deliveries of it")]
    entry = settings.config.streamers[found.key]
    names = [f"login {entry.login}"] * bool(entry.login) + [f"user_id {entry.user_id}"] * bool(entry.user_id)
    said = [
        ("configured", f"as streamers.{found.key}, by {' and '.join(names)}"),
        ("sent to", ", ".join(found.destinations) or "nobody"),
    ]
    if found.types:
        said.append(("only of type", " or ".join(found.types)))
    if found.tag_filter:
        said.append(("only with", f"one of the tags {', '.join(found.tag_filter)}"))
    return said


def _tell_event(story: EventHistory, suspensions: Suspensions) -> None:
    event = story.event
    tell(f"event         {event.id}")
    if event.message_id:
        tell(f"message       {event.message_id}")
    key = story.deliveries[0].delivery.streamer if story.deliveries else event.broadcaster_login
    tell(f"streamer      {key} ({event.broadcaster_name}, id {event.broadcaster_id})")
    kind = "" if event.type in ("", "live") else f", of type {event.type}"
    tell(f"broadcast     {event.stream_id}, started {event.started_at}{kind}")
    click.echo()
    rows = [("WHEN (UTC)", "TOOK", "STEP", "DESTINATION", "WHAT")]
    rows += [
        (_moment(step.at), f"{_seconds(step.took):>8}", step.name, step.destination, step.text)
        for step in story.steps()
    ]
    table(rows, _TONES)
    click.echo()
    for course in story.deliveries:
        about = course.delivery
        tell(f"{about.id} to {about.destination}: {_next(course, suspensions)}", _TONES.get(about.state.value, ""))


def _next(course: DeliveryHistory, suspensions: Suspensions) -> str:
    """
    Where a delivery stands, and what comes next.
    """
    about = course.delivery
    if (suspension := suspensions.find(about)) is not None:
        return str(suspension)
    match about.state:
        case State.DELIVERED:
            return f"delivered, attempt {len(course.attempts)}"
        case State.ACCEPTED:
            held = f" ({about.reason})" if about.reason else ""
            return f"not prepared yet{held}; due at {utc(about.next_attempt_at)}"
        case State.PENDING:
            return f"attempt {len(course.attempts) + 1} is due at {utc(about.next_attempt_at)}"
        case State.FILTERED:
            return f"filtered: {about.reason}"
        case _:
            return f"{about.state.value}: {about.reason}; itsjustintv deliveries retry {about.id} sends it again"


def _event(story: EventHistory, suspensions: Suspensions) -> Mapping[str, Any]:
    return {
        "event": {**story.event.public(), "received_at": _precise(story.event.received_at)},
        "steps": [_step(step) for step in story.steps()],
        "deliveries": [{**_delivery(each.delivery), "next": _next(each, suspensions)} for each in story.deliveries],
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
        "state": delivery.state.value,
        "reason": delivery.reason,
        "attempts": delivery.attempts,
        "accepted_at": _precise(delivery.accepted_at),
        "next_attempt_at": None if delivery.state.final else _precise(delivery.next_attempt_at),
    }


def _precise(seconds: float) -> str:
    return rfc3339(seconds, "milliseconds")


def _moment(seconds: float) -> str:
    return _precise(seconds).replace("T", " ").removesuffix("Z")


def _seconds(took: float | None) -> str:
    """
    Write a duration so that it can be taken in at a glance.
    """
    if took is None:
        return ""
    return duration(took)
