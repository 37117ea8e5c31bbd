"""
``itsjustintv subscriptions``: looks at the subscriptions at Twitch, and puts them in order, whether or not the daemon
runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import asdict, define, frozen
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, execute
from twisted.python.failure import Failure
from zope.interface import implementer

from itsjustintv.agents import twitch_agent
from itsjustintv.config.callback import callback_url
from itsjustintv.config.load import Loaded, load
from itsjustintv.config.routes import Routes
from itsjustintv.errors import ConfigError, ItsJustInTVError, JournalUnavailable
from itsjustintv.interfaces import ILastKnown
from itsjustintv.journal.ledger import Ledger
from itsjustintv.tap import config_path
from itsjustintv.twitch.batch import all_of
from itsjustintv.twitch.bucket import RateBucket
from itsjustintv.twitch.crew import Terms, Work
from itsjustintv.twitch.desk import Desk, View
from itsjustintv.twitch.directory import Directory
from itsjustintv.twitch.fingerprints import Fingerprints
from itsjustintv.twitch.helix import Helix
from itsjustintv.twitch.identities import KIND
from itsjustintv.twitch.oauth import AppToken
from itsjustintv.twitch.pace import Pace
from itsjustintv.twitch.subscriptions import SubscriptionsAPI

__all__ = ["Kept", "subscriptions"]

T = TypeVar("T")

_config = click.option(
    "--config",
    "-c",
    metavar="FILE",
    help="The configuration; otherwise ITSJUSTINTV_CONFIG, otherwise config.toml.",
)
_dry_run = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


@implementer(ILastKnown)
@frozen
class Kept:
    """
    The small numbers in the journal, for somebody who is not the daemon.

    :ivar ledger: ``None`` when there is no journal yet.
    :ivar reason: why there is none.
    """

    _ledger: Ledger | None
    _reason: str = ""

    @classmethod
    def at(cls, path: Path, now: Callable[[], float]) -> Kept:
        """
        Use a journal if there is one.
        """
        try:
            return cls(Ledger.open(path, now))
        except JournalUnavailable as error:
            return cls(None, str(error))

    def ledger(self) -> Ledger:
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


@define(eq=False)
class _Office:
    """
    Everything a command needs.

    :ivar lost: keys of streamers whose login nobody has.
    """

    desk: Desk
    directory: Directory
    routes: Routes
    lost: Sequence[str]
    kept: Kept

    async def look(self) -> View:
        """
        See how things stand, and name who is left out of it.
        """
        for key in self.lost:
            click.echo(f"Warning: streamers.{key}: twitch knows nobody with that login", err=True)
        return await self.desk.look()


async def _office(reactor: Any, loaded: Loaded) -> _Office:
    config = loaded.config
    kept = Kept.at(Path(config.storage.path), reactor.seconds)
    http = HTTPClient(twitch_agent(reactor))
    token = AppToken(http, lambda: config.twitch, reactor, execute)
    bucket = RateBucket(reactor)
    helix = Helix(http, lambda: config.twitch, token, bucket, reactor)
    directory = Directory(helix, reactor, Pace(bucket, reactor))
    routes, lost = await _identified(Routes.of(config), directory, kept)
    desk = Desk(
        SubscriptionsAPI(helix),
        Fingerprints(kept, reactor),
        reactor,
        Terms(callback_url(config), config.twitch.webhook_secret),
        {each.user_id: each.key for each in routes.streamers if each.user_id},
    )
    return _Office(desk, directory, routes, lost, kept)


async def _identified(routes: Routes, directory: Directory, kept: ILastKnown) -> tuple[Routes, Sequence[str]]:
    """
    Find the ids of those who are configured by login: as the daemon keeps them, else as Twitch says.
    """
    ids = {login: str(user_id) for login, (user_id, _) in (await kept.recall_all(KIND)).items()}
    asked = [
        login
        for login in dict.fromkeys(each.login for each in routes.streamers if not each.user_id)
        if login and login not in ids
    ]
    users = await all_of(directory.user_by_login(login) for login in asked)
    ids.update((login, user.id) for login, user in zip(asked, users, strict=True) if user is not None)
    routes = routes.with_ids(ids)
    return routes, [each.key for each in routes.streamers if not each.user_id]


def _run(given: str | None, work: Callable[[_Office], Coroutine[Deferred[Any], Any, T]]) -> T:
    """
    Do something with the reactor, and end it.

    :raises click.ClickException: what can go wrong, in one line.
    """
    from twisted.internet import reactor  # noqa: PLC0415 - a command that does not need it must not install it

    results: list[Any] = []
    running: Any = reactor

    def begin() -> None:
        doing = Deferred.fromCoroutine(whole())
        doing.addBoth(results.append).addBoth(lambda _: running.stop())

    async def whole() -> T:
        return await work(await _office(running, loaded))

    try:
        loaded = load(config_path(given), os.environ)
        running.callWhenRunning(begin)
        running.run()
        if not results:
            raise click.ClickException("interrupted: what was begun may be done or not")
        if isinstance(results[0], Failure):
            results[0].raiseException()
    except ConfigError as error:
        raise click.ClickException(
            "\n  ".join(["the configuration cannot be used:", *map(str, error.problems)])
        ) from None
    except (ItsJustInTVError, OSError) as error:
        raise click.ClickException(str(error)) from None
    found: T = results[0]
    return found


@click.group()
def subscriptions() -> None:
    """
    Look at the subscriptions at Twitch, and put them in order.
    """


@subscriptions.command("list")
@_config
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_subscriptions(config: str | None, as_json: bool) -> None:
    """
    List every subscription of the application, those of other programs included.
    """

    async def work(office: _Office) -> View:
        return await office.look()

    view = _run(config, work)
    listing = view.listing
    totals = {
        "total": listing.total,
        "total_cost": listing.total_cost,
        "max_total_cost": listing.max_total_cost,
    }
    if as_json:
        found = [
            {**asdict(each), "streamer": view.wanted.get(each.broadcaster_id), "ours": view.is_ours(each)}
            for each in listing.subscriptions
        ]
        click.echo(json.dumps({"subscriptions": found, **totals}, indent=2, ensure_ascii=False))
        return
    rows = [("ID", "STREAMER", "TYPE", "STATUS", "CREATED", "CALLBACK")]
    for each in listing.subscriptions:
        callback = "ours" if view.is_ours(each) else each.callback or each.method
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
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(_plain(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo()
    click.echo(f"{totals['total']} subscriptions, which cost {totals['total_cost']} of {totals['max_total_cost']}")


@subscriptions.command()
@_config
@_dry_run
def sync(config: str | None, dry_run: bool) -> None:
    """
    Create what is missing, replace what does not work, delete what nobody wants; as the daemon does by itself.
    """

    async def work(office: _Office) -> tuple[View, Work]:
        view = await office.look()
        if dry_run:
            return view, Work()
        # What cannot be remembered would be replaced by the daemon.
        office.kept.ledger()
        return view, await office.desk.sync(view)

    view, done = _run(config, work)
    if dry_run:
        _say([*view.steps(), f"{len(view.plan.keep)} stay as they are; nothing has been done"])
    else:
        _tell(view, done)


@subscriptions.command()
@_config
@_dry_run
def prune(config: str | None, dry_run: bool) -> None:
    """
    Only delete: what nobody wants, and what Twitch has ended. Never touches those of other programs.
    """

    async def work(office: _Office) -> tuple[View, Work, Sequence[str]]:
        view = await office.look()
        steps = [
            f"delete {each.subscription.id} of {view.streamer(each.broadcaster_id)}: {each.reason}"
            for each in office.desk.superfluous(view)
            if each.subscription is not None
        ]
        return view, Work() if dry_run else await office.desk.prune(view), steps

    view, done, steps = _run(config, work)
    if dry_run:
        _say([*steps, "nothing has been done"])
    else:
        _tell(view, done)


@subscriptions.command()
@_config
@click.argument("streamer")
def explain(config: str | None, streamer: str) -> None:
    """
    Say of a streamer, by key, login or user id: wanted? subscribed to? since when? why not? what next?
    """

    async def work(office: _Office) -> Sequence[tuple[str, str]]:
        view = await office.look()
        for each in office.routes.streamers:
            if streamer.lower() in (each.key.lower(), each.login, each.user_id):
                return view.explain(each.user_id)
        if streamer.isascii() and streamer.isdecimal():
            return view.explain(streamer)
        user = await office.directory.user_by_login(streamer)
        return view.explain(user.id if user is not None else "")

    for label, text in _run(config, work):
        click.echo(f"{label + ':':14}{_plain(text)}")


def _tell(view: View, work: Work) -> None:
    """
    Say what has been done.

    :raises click.ClickException: not everything went well.
    """
    for each in work.deleted:
        click.echo(f"deleted {each.id} of {_plain(view.streamer(each.broadcaster_id))}")
    for each in work.created:
        click.echo(
            f"created {each.id} of {_plain(view.streamer(each.broadcaster_id))}; twitch verifies the callback now"
        )
    for broadcaster_id, reason in work.refused.items():
        click.echo(f"failed {_plain(view.streamer(broadcaster_id))}: {_plain(reason)}", err=True)
    kept = len(view.plan.keep) + len(work.adopted)
    click.echo(f"{kept} current, {len(work.created)} created, {len(work.deleted)} deleted, {work.failed} failed")
    if work.unavailable is not None:
        raise click.ClickException(f"{work.unavailable}; {work.left} not tried")
    if work.failed:
        raise click.ClickException("not everything could be done")


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(_plain(line))


def _plain(text: str) -> str:
    """
    Keep a stranger's text from steering the terminal.
    """
    return "".join(character if character.isprintable() else " " for character in text)
