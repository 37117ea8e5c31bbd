"""
``itsjustintv subscriptions``: lists the subscriptions at Twitch, creates and deletes them, whether or not the daemon
runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from itsjustintv.cli.console import (
    complete_streamer,
    config_option,
    echo,
    examples,
    json_option,
    progress,
    table,
    write_json,
)
from itsjustintv.cli.names import configured, streamer_names
from itsjustintv.cli.twitch_session import NO_CONDUIT, TwitchSession, run_session
from itsjustintv.config.values import login
from itsjustintv.support.counts import count
from itsjustintv.support.nearest import EMPTY, did_you_mean
from itsjustintv.twitch.eventsub.manual import Snapshot
from itsjustintv.twitch.eventsub.plan import PENDING
from itsjustintv.twitch.eventsub.plan_runner import PlanResult
from itsjustintv.twitch.eventsub.transport import ConduitTransport, WebhookTransport

__all__ = ["explained", "subscriptions"]

# How events of our subscriptions arrive.
_SHORT = {WebhookTransport.method: "by webhook", ConduitTransport.method: "through conduit"}

_dry_run = click.option("--dry-run", is_flag=True, help="Only show what would be done.")


@click.group(
    short_help="List, create and delete subscriptions.",
    epilog=examples("subscriptions list", "subscriptions explain tanuki", "subscriptions sync --dry-run"),
)
def subscriptions() -> None:
    """
    List the subscriptions at Twitch, create missing ones, delete unneeded ones.
    """


@subscriptions.command("list", epilog=examples("subscriptions list", "subscriptions list --json"))
@config_option
@json_option
def list_subscriptions(config: str | None, as_json: bool) -> None:
    """
    List every subscription of the application, also those of other programs, and the streamers that Twitch does not
    know.
    """

    async def work(session: TwitchSession) -> tuple[Snapshot, Mapping[str, tuple[str, str]]]:
        identified = {each.key for each in session.routes.streamers if each.user_id}
        lost = {
            key: ("unknown user" if key in identified else "unknown login", reason)
            for key, reason in session.lost.items()
        }
        return await session.take_snapshot(), lost

    view, lost = run_session(config, work)
    listing = view.listing
    totals = {
        "total": listing.total,
        "total_cost": listing.total_cost,
        "max_total_cost": listing.max_total_cost,
    }
    if as_json:
        found = [
            {**each.public(), "streamer": view.streamers.get(each.broadcaster_id), "ours": view.is_ours(each)}
            for each in listing.subscriptions
        ]
        absent = [{"streamer": key, "reason": reason} for key, (_, reason) in lost.items()]
        write_json({"subscriptions": found, **totals, "unknown": absent})
        return
    rows = [("ID", "STREAMER", "TYPE", "STATUS", "CREATED", "TRANSPORT")]
    for each in listing.subscriptions:
        transport = f"{_SHORT[each.transport.method]}, ours" if view.is_ours(each) else each.transport.words
        created = each.created_at[:19].replace("T", " ")
        row = (
            each.id,
            view.streamer(each.broadcaster_id),
            f"{each.type} v{each.version}",
            each.status,
            created,
            transport,
        )
        rows.append(row)
    rows += [("", key, "", status, "", reason) for key, (status, reason) in lost.items()]
    tones = {"enabled": "good", "webhook_callback_verification_pending": "doubtful"}
    table(rows, {**tones, **{status: "bad" for status, _ in lost.values()}})
    click.echo()
    echo(f"{count(totals['total'], 'subscription')}, total cost {totals['total_cost']} of {totals['max_total_cost']}")


@subscriptions.command(epilog=examples("subscriptions sync --dry-run", "subscriptions sync"))
@config_option
@_dry_run
def sync(config: str | None, dry_run: bool) -> None:
    """
    Create missing subscriptions, replace broken ones, delete unneeded ones. The daemon does the same by itself.
    """

    async def work(session: TwitchSession) -> tuple[Snapshot, PlanResult]:
        view = await session.take_snapshot()
        if dry_run:
            return view, PlanResult()
        if not session.can_create:
            raise click.ClickException(NO_CONDUIT)
        # The daemon would replace subscriptions whose secret is not in the journal.
        session.key_values.journal()
        with progress(view.plan.topics, "synchronizing") as advance:
            return view, await session.subscriptions.sync(view, advance)

    view, done = run_session(config, work)
    if dry_run:
        _say([*view.steps(), f"keep {len(view.plan.keep)}; nothing was changed"])
    else:
        _tell(view, done)


@subscriptions.command(epilog=examples("subscriptions prune --dry-run", "subscriptions prune"))
@config_option
@_dry_run
def prune(config: str | None, dry_run: bool) -> None:
    """
    Delete unneeded and failed subscriptions. Never touches those of other programs.
    """

    async def work(session: TwitchSession) -> tuple[Snapshot, PlanResult, Sequence[str]]:
        view = await session.take_snapshot()
        steps = [
            f"delete {each.subscription.id} of {view.name(each.topic, each.broadcaster_id)}: {each.reason}"
            for each in session.subscriptions.superfluous(view)
            if each.subscription is not None
        ]
        if dry_run:
            return view, PlanResult(), steps
        with progress(len(steps), "deleting") as advance:
            return view, await session.subscriptions.prune(view, advance), steps

    view, done, steps = run_session(config, work)
    if dry_run:
        _say([*steps, "nothing was changed"])
    else:
        _tell(view, done)


@subscriptions.command(epilog=examples("subscriptions explain tanuki", "subscriptions explain 42 --json"))
@config_option
@click.argument("streamer", shell_complete=complete_streamer)
@json_option
def explain(config: str | None, streamer: str, as_json: bool) -> None:
    """
    Show the subscription of STREAMER (key, login or user id), since when it exists or why not, and what is next.
    """

    async def work(session: TwitchSession) -> Sequence[tuple[str, str]]:
        return await explained(session, streamer)

    answers = run_session(config, work)
    if as_json:
        write_json({"streamer": streamer, "answers": [{"about": label, "text": text} for label, text in answers]})
        return
    for label, text in answers:
        echo(f"{label + ':':14}{text}")


async def explained(session: TwitchSession, streamer: str) -> Sequence[tuple[str, str]]:
    """
    Describe the subscription of a streamer, as pairs of a label and a text.

    :param streamer: key, login or user id.
    :raises click.ClickException: it is not configured, and has no subscription.
    """
    view = await session.take_snapshot()
    found = configured(session.routes, streamer)
    user_id = await _user_id(session, streamer) if found is None else found.user_id
    if found is None and not any(user_id == each.broadcaster_id for each in view.listing.subscriptions if user_id):
        suggestion = did_you_mean(streamer, streamer_names(session.routes))
        raise click.ClickException(
            f"no streamer {streamer or EMPTY} in the configuration, and no subscription for it{suggestion}"
        )
    answers = list(view.explain(user_id))
    if found is not None and not user_id:
        answers[0] = ("wanted", f"yes, by streamers.{found.key}")
    keys = [each.key for each in session.routes.streamers if each.user_id and each.user_id == user_id]
    if reason := next((session.lost[key] for key in keys if key in session.lost), None):
        answers[-1:] = [
            ("why not", reason),
            ("next", "correct login or user_id in the configuration, or wait until the channel is back"),
        ]
    if others := session.routes.duplicates.get(user_id, ())[1:]:
        names = ", ".join(f"streamers.{each.key}" for each in others)
        answers.insert(
            1, ("also by", f"{names}: the same channel; remove all but one of the entries from the configuration")
        )
    return answers


async def _user_id(session: TwitchSession, streamer: str) -> str:
    """
    Look up the user id of a login or user id that is not configured; empty if there is none.
    """
    if streamer.isascii() and streamer.isdecimal():
        return streamer
    if any(login(streamer)):
        return ""
    user = await session.lookups.user_by_login(streamer)
    return "" if user is None else user.id


def _tell(view: Snapshot, work: PlanResult) -> None:
    """
    Report what was done.

    :raises click.ClickException: something failed.
    """
    for each in work.deleted:
        echo(f"deleted {each.id} of {view.name(each.topic, each.broadcaster_id)}")
    for each in work.created:
        then = "; Twitch verifies the callback now" if each.status == PENDING else ""
        echo(f"created {each.id} of {view.name(each.topic, each.broadcaster_id)}{then}")
    for topic, reason in work.refused.items():
        echo(f"failed {view.name(topic, topic.broadcaster_id)}: {reason}", "bad", err=True)
    current = len(view.plan.keep) + len(work.adopted)
    echo(f"{current} current, {len(work.created)} created, {len(work.deleted)} deleted, {work.failed} failed")
    if work.unavailable is not None:
        raise click.ClickException(f"{work.unavailable}; {work.left} not attempted")
    if work.failed:
        raise click.ClickException(f"{work.failed} failed")


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        echo(line)
