"""
``itsjustintv subscriptions``: looks at the subscriptions at Twitch, and puts them in order, whether or not the daemon
runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from itsjustintv.cli.console import (
    complete_streamer,
    config_option,
    examples,
    json_option,
    progress,
    table,
    tell,
    write_json,
)
from itsjustintv.cli.names import configured, streamer_names
from itsjustintv.cli.twitch_session import TwitchSession, in_office
from itsjustintv.config.values import login
from itsjustintv.support.counts import count
from itsjustintv.support.nearest import EMPTY, did_you_mean
from itsjustintv.twitch.eventsub.manual import Snapshot
from itsjustintv.twitch.eventsub.plan_runner import PlanResult

__all__ = ["explained", "subscriptions"]

_dry_run = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


@click.group(epilog=examples("subscriptions list", "subscriptions explain tanuki", "subscriptions sync --dry-run"))
def subscriptions() -> None:
    """
    Look at the subscriptions at Twitch, and put them in order.
    """


@subscriptions.command("list", epilog=examples("subscriptions list", "subscriptions list --json"))
@config_option
@json_option
def list_subscriptions(config: str | None, as_json: bool) -> None:
    """
    List every subscription of the application, those of other programs included, and streamers that Twitch has no user
    for.
    """

    async def work(office: TwitchSession) -> tuple[Snapshot, Mapping[str, tuple[str, str]]]:
        identified = {each.key for each in office.routes.streamers if each.user_id}
        lost = {
            key: ("unknown user" if key in identified else "unknown login", reason)
            for key, reason in office.lost.items()
        }
        return await office.look(), lost

    view, lost = in_office(config, work)
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
    rows = [("ID", "STREAMER", "TYPE", "STATUS", "CREATED", "CALLBACK")]
    for each in listing.subscriptions:
        callback = "ours" if view.is_ours(each) else each.transport.address or each.transport.method
        created = each.created_at[:19].replace("T", " ")
        row = (
            each.id,
            view.streamer(each.broadcaster_id),
            f"{each.type} v{each.version}",
            each.status,
            created,
            callback,
        )
        rows.append(row)
    rows += [("", key, "", status, "", reason) for key, (status, reason) in lost.items()]
    tones = {"enabled": "good", "webhook_callback_verification_pending": "doubtful"}
    table(rows, {**tones, **{status: "bad" for status, _ in lost.values()}})
    click.echo()
    tell(f"{count(totals['total'], 'subscription')}, total cost {totals['total_cost']} of {totals['max_total_cost']}")


@subscriptions.command(epilog=examples("subscriptions sync --dry-run", "subscriptions sync"))
@config_option
@_dry_run
def sync(config: str | None, dry_run: bool) -> None:
    """
    Create what is missing, replace what does not work, delete what nobody wants; as the daemon does by itself.
    """

    async def work(office: TwitchSession) -> tuple[Snapshot, PlanResult]:
        view = await office.look()
        if dry_run:
            return view, PlanResult()
        # What cannot be remembered would be replaced by the daemon.
        office.kept.ledger()
        with progress(view.plan.topics, "putting in order") as advance:
            return view, await office.desk.sync(view, advance)

    view, done = in_office(config, work)
    if dry_run:
        _say([*view.steps(), f"{len(view.plan.keep)} stay as they are; nothing has been done"])
    else:
        _tell(view, done)


@subscriptions.command(epilog=examples("subscriptions prune --dry-run", "subscriptions prune"))
@config_option
@_dry_run
def prune(config: str | None, dry_run: bool) -> None:
    """
    Only delete: what nobody wants, and what Twitch has ended. Never touches those of other programs.
    """

    async def work(office: TwitchSession) -> tuple[Snapshot, PlanResult, Sequence[str]]:
        view = await office.look()
        steps = [
            f"delete {each.subscription.id} of {view.streamer(each.broadcaster_id)}: {each.reason}"
            for each in office.desk.superfluous(view)
            if each.subscription is not None
        ]
        if dry_run:
            return view, PlanResult(), steps
        with progress(len(steps), "deleting") as advance:
            return view, await office.desk.prune(view, advance), steps

    view, done, steps = in_office(config, work)
    if dry_run:
        _say([*steps, "nothing has been done"])
    else:
        _tell(view, done)


@subscriptions.command(epilog=examples("subscriptions explain tanuki", "subscriptions explain 42 --json"))
@config_option
@click.argument("streamer", shell_complete=complete_streamer)
@json_option
def explain(config: str | None, streamer: str, as_json: bool) -> None:
    """
    Say of a streamer, by key, login or user id: wanted? subscribed to? since when? why not? what next?
    """

    async def work(office: TwitchSession) -> Sequence[tuple[str, str]]:
        return await explained(office, streamer)

    said = in_office(config, work)
    if as_json:
        write_json({"streamer": streamer, "answers": [{"about": label, "text": text} for label, text in said]})
        return
    for label, text in said:
        tell(f"{label + ':':14}{text}")


async def explained(office: TwitchSession, streamer: str) -> Sequence[tuple[str, str]]:
    """
    Answer about one streamer what an operator would ask of its subscription.

    :param streamer: by key, login or user id.
    :raises click.ClickException: it is not configured, and has no subscription either.
    """
    view = await office.look()
    found = configured(office.routes, streamer)
    user_id = await _user_id(office, streamer) if found is None else found.user_id
    if found is None and not any(user_id == each.broadcaster_id for each in view.listing.subscriptions if user_id):
        suggestion = did_you_mean(streamer, streamer_names(office.routes))
        raise click.ClickException(
            f"there is no streamer {streamer or EMPTY} in the configuration, and no subscription of it{suggestion}"
        )
    said = list(view.explain(user_id))
    if found is not None and not user_id:
        said[0] = ("wanted", f"yes, by streamers.{found.key}")
    keys = [each.key for each in office.routes.streamers if each.user_id and each.user_id == user_id]
    if reason := next((office.lost[key] for key in keys if key in office.lost), None):
        said[-1:] = [
            ("why not", reason),
            ("next", "correct login or user_id in the configuration, or wait until the channel is back"),
        ]
    if others := office.routes.twins.get(user_id, ())[1:]:
        names = ", ".join(f"streamers.{each.key}" for each in others)
        said.insert(1, ("also by", f"{names}: the same channel; keep one of the entries in the configuration"))
    return said


async def _user_id(office: TwitchSession, streamer: str) -> str:
    """
    Find out the user id of a login or user id that is not configured; empty when there is none.
    """
    if streamer.isascii() and streamer.isdecimal():
        return streamer
    if any(login(streamer)):
        return ""
    user = await office.directory.user_by_login(streamer)
    return "" if user is None else user.id


def _tell(view: Snapshot, work: PlanResult) -> None:
    """
    Say what has been done.

    :raises click.ClickException: not everything went well.
    """
    for each in work.deleted:
        tell(f"deleted {each.id} of {view.streamer(each.broadcaster_id)}")
    for each in work.created:
        tell(f"created {each.id} of {view.streamer(each.broadcaster_id)}; twitch verifies the callback now")
    for broadcaster_id, reason in work.refused.items():
        tell(f"failed {view.streamer(broadcaster_id)}: {reason}", "bad", err=True)
    kept = len(view.plan.keep) + len(work.adopted)
    tell(f"{kept} current, {len(work.created)} created, {len(work.deleted)} deleted, {work.failed} failed")
    if work.unavailable is not None:
        raise click.ClickException(f"{work.unavailable}; {work.left} not tried")
    if work.failed:
        raise click.ClickException("not everything could be done")


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        tell(line)
