"""
Checks of the disk, the journal, the clock, the subscriptions and the callback, made from outside the daemon.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from treq.client import HTTPClient
from twisted.internet.interfaces import IReactorTime

from itsjustintv.config.secrets import readable_by_others
from itsjustintv.config.sections import CONDUIT, Config, Twitch
from itsjustintv.doctor.findings import Finding, Severity, is_visible
from itsjustintv.errors import JournalUnavailable
from itsjustintv.journal.interfaces import IJournalStorage
from itsjustintv.journal.storage import open_storage
from itsjustintv.support.counts import count
from itsjustintv.support.durations import duration
from itsjustintv.support.files import is_open_to_others
from itsjustintv.support.http_client import exchange
from itsjustintv.twitch.eventsub.callback_check import CallbackWarning
from itsjustintv.twitch.eventsub.event_types import STREAM_ONLINE
from itsjustintv.twitch.eventsub.manual import Snapshot
from itsjustintv.twitch.eventsub.messages import WINDOW
from itsjustintv.twitch.server_time import ADVICE, FAR_OFF, read_date

__all__ = ["callback", "clock", "disk", "folders", "journal", "subscriptions"]

_MIB = 1024 * 1024

# Free bytes below which there is a warning, and an error.
_LOW_SPACE = 500 * _MIB
_NO_SPACE = 50 * _MIB

# Seconds for one fsync, above which there is a warning.
_SLOW_FSYNC = 0.1

# Seconds by which the clock may differ from Twitch's without a warning.
_CLOCK_TOLERANCE = 5.0

# Seconds by which a clock must have been set for a warning.
_CLOCK_JUMP = 1.0


def folders(config: Config) -> Mapping[Path, str]:
    """
    List the folders that the daemon writes to, each with the first key that names it.
    """
    found: dict[Path, str] = {}
    journal = open_storage(config.storage).file()
    for key, path in (
        *([] if journal is None else [("storage.path", journal.parent)]),
        ("twitch.token_file", Path(config.twitch.token_file).parent),
        *([("twitch.conduit.state_file", _state_file(config).parent)] if config.twitch.transport == CONDUIT else []),
        ("cache.image_dir", Path(config.cache.image_dir)),
        *([("output.file_path", Path(config.output.file_path).parent)] if config.output.enabled else []),
    ):
        found.setdefault(path.absolute(), key)
    return found


def _state_file(config: Config) -> Path:
    return Path(config.twitch.conduit.state_file)


def disk(config: Config, path: Path, timer: Callable[[], float]) -> Iterator[Finding]:
    """
    Check the folders and files that the daemon writes, and write a temporary file to the journal's disk. Blocks.

    :param path: of the configuration.
    :param timer: returns seconds since any fixed moment.
    """
    for folder, key in folders(config).items():
        yield _folder(folder, key)
    secrets = [("twitch.token_file", Path(config.twitch.token_file))]
    if config.twitch.transport == CONDUIT:
        secrets.append(("twitch.conduit.state_file", _state_file(config)))
    if (journal := open_storage(config.storage).file()) is not None:
        secrets.append(("storage.path", journal))
        folder = journal.absolute().parent
        if is_visible(folder) and folder.is_dir():
            yield _space(folder)
            yield _fsync(folder, timer)
    for problem in readable_by_others(path, config):
        yield Finding(Severity.WARNING, f"{problem.path} {problem.message}")
    for key, file in secrets:
        if is_visible(file) and file.is_file() and is_open_to_others(file):
            yield Finding(Severity.WARNING, f"{key} {file} can be read by other users: chmod 600 {file}")


def _folder(folder: Path, key: str) -> Finding:
    what = f"{key}: the folder {folder}"
    if not is_visible(folder):
        above = next(each for each in folder.parents if is_visible(each))
        if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
            return Finding(Severity.OK, f"{what} does not exist yet; the daemon creates it")
        return Finding(Severity.ERROR, f"{what} cannot be created in {above}: create it as the daemon's user")
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Finding(Severity.ERROR, f"{what} is not writable for this user: make the daemon's user its owner")
    owner = folder.stat().st_uid
    if os.geteuid() == 0 != owner:
        return Finding(
            Severity.WARNING, f"{what} belongs to user {owner}, but this check runs as root: run it as that user"
        )
    return Finding(Severity.OK, f"{what} is writable")


def _space(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"the disk of the journal has {free // _MIB} MiB free"
    if free < _NO_SPACE:
        return Finding(Severity.ERROR, f"{text}: free some space; when it is full, no event can be stored")
    return Finding(Severity.WARNING, f"{text}: free some space") if free < _LOW_SPACE else Finding(Severity.OK, text)


def _fsync(folder: Path, timer: Callable[[], float]) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
            file.flush()
            begun = timer()
            os.fsync(file.fileno())
            took = timer() - begun
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return Finding(Severity.ERROR, f"cannot write to stable storage in {folder}: {reason}; check that disk")
    text = f"an fsync on the disk of the journal takes {duration(took)}"
    return (
        Finding(Severity.WARNING, f"{text}: every notification waits that long; use a faster disk")
        if took > _SLOW_FSYNC
        else Finding(Severity.OK, text)
    )


def journal(storage: IJournalStorage, now: Callable[[], float], running: bool | None) -> Iterator[Finding]:
    """
    Check that everything that was ever accepted is accounted for.

    :param now: returns seconds since the epoch.
    :param running: whether a daemon uses the journal; ``None`` if unknown.
    """
    try:
        if not storage.exists():
            yield Finding(
                Severity.OK, f"the journal {storage} does not exist yet; the daemon creates it at the first start"
            )
            return
        opened = storage.offline(now)
        account, undelivered = opened.accounting(), opened.undelivered()
        ahead = opened.clock_ahead()
    except JournalUnavailable as error:
        yield Finding(Severity.ERROR, str(error))
        return
    if account.imbalance:
        yield Finding(
            Severity.ERROR,
            f"{count(account.imbalance, 'delivery', ('is', 'are'))} unaccounted for, of {account.wanted}: this is a"
            " defect, report it",
        )
    else:
        yield Finding(Severity.OK, f"all {account.wanted} deliveries are accounted for")
    if undelivered:
        yield Finding(
            Severity.WARNING,
            f"undelivered (dead or expired): {undelivered}; itsjustintv deliveries list --state undelivered shows why,"
            " itsjustintv deliveries retry --all requeues them",
        )
    if running and abs(ahead) >= _CLOCK_JUMP:
        jump = f"{'forward' if ahead > 0 else 'back'} by {duration(round(abs(ahead), 1))}"
        yield Finding(
            Severity.WARNING,
            f"the clock of this machine was set {jump} since the daemon started: deliveries neither wait longer"
            " nor expire early; if this was not intended, check timedatectl or chronyc tracking",
        )
    waiting = account.accepted + account.pending
    if waiting and running is False:
        yield Finding(Severity.WARNING, f"{count(waiting, 'delivery', ('waits', 'wait'))} for the daemon: start it")


async def clock(twitch: Twitch, http: HTTPClient, reactor: IReactorTime) -> Finding:
    """
    Compare the clock of this machine with the ``Date`` of an answer of Twitch.

    :raises TwitchUnavailable: Twitch does not answer.
    """
    url = f"{twitch.auth_url.rstrip('/')}/validate"
    answer = await exchange(http, reactor, "GET", url, what="the token endpoint", timeout=10.0, limit=_MIB)
    theirs = read_date(answer.headers)
    if theirs is None:
        return Finding(Severity.WARNING, "the clock cannot be compared: Twitch sent no Date")
    off = reactor.seconds() - theirs
    text = f"the clock is {duration(abs(off))} {'ahead of' if off > 0 else 'behind'} Twitch's"
    if abs(off) > FAR_OFF:
        limit = f"messages that appear older than {duration(WINDOW)}, or from the future, are rejected"
        return Finding(Severity.ERROR, f"{text}: {ADVICE}; {limit}")
    if abs(off) > _CLOCK_TOLERANCE:
        return Finding(Severity.WARNING, f"{text}: {ADVICE}")
    return Finding(Severity.OK, "the clock agrees with Twitch's")


def subscriptions(view: Snapshot, lost: Mapping[str, str], running: bool | None) -> Iterator[Finding]:
    """
    Check that every streamer has a working subscription.

    :param lost: why Twitch has no user for a streamer, by key.
    :param running: whether a daemon runs, which creates them; ``None`` if unknown.
    """
    for key, reason in lost.items():
        yield Finding(Severity.ERROR, f"streamers.{key}: {reason}; correct the configuration")
    unknown = lost.keys() - view.streamers.values()
    plan, wanted = view.plan, len(view.streamers) + len(unknown)
    missing = [each for each in plan.create if view.streamer(each.broadcaster_id) not in lost]
    create = [each for each in missing if each.topic.event_type is STREAM_ONLINE]
    without = len({each.broadcaster_id for each in create})
    if plan.wait:
        known = wanted + sum(1 for each in view.topics if each.event_type is not STREAM_ONLINE)
        yield Finding(
            Severity.WARNING, f"Twitch is verifying {len(plan.wait)} of {known} subscriptions: check again in a minute"
        )
    if without and running:
        first = view.streamer(create[0].broadcaster_id)
        yield Finding(
            Severity.ERROR,
            f"{without} of {wanted} streamers have no working subscription: itsjustintv subscriptions explain {first}"
            " shows why",
        )
    elif without:
        yield Finding(
            Severity.WARNING, f"{without} of {wanted} streamers have no subscription yet: the daemon creates them"
        )
    elif not plan.wait:
        yield Finding(Severity.OK, f"{wanted - len(lost)} of {wanted} streamers have a working subscription")
    others = [*(each for each in missing if each.topic.event_type is not STREAM_ONLINE), *plan.postponed]
    # A daemon that does not run yet creates them.
    if others and (running or plan.postponed):
        types = " or ".join(dict.fromkeys(each.topic.event_type.name for each in others))
        first = view.streamer(others[0].broadcaster_id)
        yield Finding(
            Severity.WARNING,
            f"{len({each.broadcaster_id for each in others})} of {wanted} streamers have no working subscription for"
            f" {types}: itsjustintv subscriptions explain {first} shows why",
        )
    listing = view.listing
    without += len(others)
    if listing.max_total_cost and listing.total_cost + without > listing.max_total_cost:
        yield Finding(
            Severity.ERROR,
            f"the subscriptions would cost {listing.total_cost + without} of {listing.max_total_cost} points: ask"
            " Twitch for a higher limit, or use another client id for some streamers",
        )


def callback(url: str, warnings: Sequence[CallbackWarning], asked: bool) -> Iterator[Finding]:
    """
    Report the doubts about the callback. A request from this machine proves nothing, so none is an error.

    :param asked: whether a daemon was running that should have answered.
    """
    for warning in warnings:
        yield Finding(Severity.WARNING, str(warning))
    if not warnings and asked:
        yield Finding(Severity.OK, f"the daemon answers at the callback {url}, seen from this machine")
    elif not warnings:
        yield Finding(Severity.WARNING, f"the callback {url} can be checked once the daemon runs: run this again then")
