"""
Whether the machine, the journal and Twitch are as the daemon needs them, as far as that can be seen from beside it.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from treq.client import HTTPClient
from twisted.internet.interfaces import IReactorTime

from itsjustintv.config.secrets import exposed
from itsjustintv.config.sections import Config, Twitch
from itsjustintv.doctor.tls_checks import Finding, Severity, seen
from itsjustintv.errors import JournalUnavailable
from itsjustintv.journal.offline import OfflineJournal
from itsjustintv.journal.sqlite.database import explain
from itsjustintv.support.counts import count
from itsjustintv.support.durations import duration
from itsjustintv.support.http_client import exchange
from itsjustintv.twitch.api.server_time import ADVICE, FAR_OFF, dated
from itsjustintv.twitch.eventsub.callback_check import CallbackWarning
from itsjustintv.twitch.eventsub.manual import Snapshot
from itsjustintv.twitch.eventsub.messages import WINDOW

__all__ = ["callback", "clock", "disk", "folders", "journal", "subscriptions"]

_MIB = 1024 * 1024

# Bytes that should be free, and without which nothing goes on for long.
_ROOM = 500 * _MIB
_NO_ROOM = 50 * _MIB

# Seconds for one fsync, above which it is told.
_SLOW = 0.1

# Seconds by which the clock may differ without a word.
_OFF = 5.0

# Seconds by which a clock must have been set to be worth a word.
_SET = 1.0

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def folders(config: Config) -> Mapping[Path, str]:
    """
    Where the daemon writes, and the first key that says so.
    """
    found: dict[Path, str] = {}
    for key, path in (
        ("storage.path", Path(config.storage.path).parent),
        ("twitch.token_file", Path(config.twitch.token_file).parent),
        ("cache.image_dir", Path(config.cache.image_dir)),
        *([("output.file_path", Path(config.output.file_path).parent)] if config.output.enabled else []),
    ):
        found.setdefault(path.absolute(), key)
    return found


def disk(config: Config, path: Path, timer: Callable[[], float]) -> Iterator[Finding]:
    """
    Look at the folders and files that the daemon writes, and put a file of no consequence on the journal's disk for a
    moment. Blocks.

    :param path: of the configuration.
    :param timer: tells seconds since whenever.
    """
    for folder, key in folders(config).items():
        yield _folder(folder, key)
    kept = Path(config.storage.path).absolute().parent
    if seen(kept) and kept.is_dir():
        yield _room(kept)
        yield _fsync(kept, timer)
    secrets = (("twitch.token_file", Path(config.twitch.token_file)), ("storage.path", Path(config.storage.path)))
    for problem in exposed(path, config):
        yield Finding(Severity.HINT, f"{problem.path} {problem.message}")
    for key, file in secrets:
        # What this user may not look for, others may not read either.
        if seen(file) and file.stat().st_mode & _OTHERS:
            yield Finding(Severity.HINT, f"{key} {file} can be read by others: chmod 600 {file}")


def _folder(folder: Path, key: str) -> Finding:
    what = f"{key}: the folder {folder}"
    if not seen(folder):
        above = next(each for each in folder.parents if seen(each))
        if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
            return Finding(Severity.OK, f"{what} is made when it is needed")
        return Finding(Severity.MEND, f"{what} cannot be made in {above}: create it, owned by the daemon's user")
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Finding(Severity.MEND, f"{what} is none that this user can write in: let the daemon's user own it")
    owner = folder.stat().st_uid
    if os.geteuid() == 0 != owner:
        return Finding(
            Severity.HINT, f"{what} belongs to user {owner}, and root may write anywhere: run this as that user"
        )
    return Finding(Severity.OK, f"{what} can be written")


def _room(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"the disk of the journal has {free // _MIB} MiB free"
    if free < _NO_ROOM:
        return Finding(Severity.MEND, f"{text}: make room, or notifications will be refused")
    return Finding(Severity.HINT, f"{text}: make room") if free < _ROOM else Finding(Severity.OK, text)


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
        return Finding(Severity.MEND, f"nothing can be put on stable storage in {folder} ({reason}): look at that disk")
    text = f"the disk of the journal keeps a write within {duration(took)}"
    return (
        Finding(Severity.HINT, f"{text}: every notification waits for that")
        if took > _SLOW
        else Finding(Severity.OK, text)
    )


def journal(path: Path, now: Callable[[], float], running: bool | None) -> Iterator[Finding]:
    """
    See whether everything that was ever accepted is accounted for.

    :param now: tells the time, in seconds since the epoch.
    :param running: whether a daemon uses it; ``None`` when nobody knows.
    """
    try:
        if not path.exists():
            yield Finding(Severity.OK, f"the journal {path} is made at the first start")
            return
        ledger = OfflineJournal.open(path, now)
        account, undelivered = ledger.accounting(), ledger.undelivered()
        ahead = ledger.ahead()
    except (JournalUnavailable, OSError) as error:
        yield Finding(Severity.MEND, str(error) if isinstance(error, JournalUnavailable) else explain(path, error))
        return
    if account.imbalance:
        yield Finding(
            Severity.MEND,
            f"{count(account.imbalance, 'delivery', ('is', 'are'))} unaccounted for, of {account.wanted}: this is a"
            " defect, report it",
        )
    else:
        yield Finding(Severity.OK, f"every one of {account.wanted} deliveries is accounted for")
    if undelivered:
        yield Finding(
            Severity.HINT,
            f"undelivered (dead or expired): {undelivered}; itsjustintv deliveries list --state undelivered shows why,"
            " itsjustintv deliveries retry --all requeues them",
        )
    if running and abs(ahead) >= _SET:
        jump = f"{'forward' if ahead > 0 else 'back'} by {duration(round(abs(ahead), 1))}"
        yield Finding(
            Severity.HINT,
            f"the clock of this machine was set {jump} since the daemon started: nothing waits longer or expires"
            " because of that; if it was not meant, check what sets it (timedatectl, chronyc tracking)",
        )
    waiting = account.accepted + account.pending
    if waiting and running is False:
        yield Finding(Severity.HINT, f"deliveries that wait for a daemon: {waiting}; start it")


async def clock(twitch: Twitch, http: HTTPClient, reactor: IReactorTime) -> Finding:
    """
    Compare the clock of this machine with Twitch's. Whatever Twitch answers has a ``Date``.

    :raises TwitchUnavailable: it does not answer.
    """
    url = f"{twitch.auth_url.rstrip('/')}/validate"
    answer = await exchange(http, reactor, "GET", url, what="the token endpoint", timeout=10.0, limit=_MIB)
    theirs = dated(answer.headers)
    if theirs is None:
        return Finding(Severity.HINT, "twitch does not tell what time it is")
    off = reactor.seconds() - theirs
    text = f"the clock is {duration(abs(off))} {'ahead of' if off > 0 else 'behind'} twitch's"
    if abs(off) > FAR_OFF:
        limit = f"messages that seem to be {duration(WINDOW)} old, or from the future, are refused"
        return Finding(Severity.MEND, f"{text}: {ADVICE}; {limit}")
    if abs(off) > _OFF:
        return Finding(Severity.HINT, f"{text}: {ADVICE}")
    return Finding(Severity.OK, "the clock agrees with twitch's")


def subscriptions(view: Snapshot, lost: Mapping[str, str], running: bool | None) -> Iterator[Finding]:
    """
    See whether there is a working subscription for everybody.

    :param lost: why Twitch has no user for a streamer, by key.
    :param running: whether a daemon looks after them; ``None`` when nobody knows.
    """
    for key, reason in lost.items():
        yield Finding(Severity.MEND, f"streamers.{key}: {reason}; correct the configuration")
    unknown = lost.keys() - view.streamers.values()
    plan, wanted = view.plan, len(view.streamers) + len(unknown)
    create = [each for each in plan.create if view.streamer(each.broadcaster_id) not in lost]
    without = len({each.broadcaster_id for each in create})
    if plan.wait:
        yield Finding(
            Severity.HINT, f"twitch is verifying {len(plan.wait)} of {wanted} subscriptions: look again in a minute"
        )
    if without and running:
        first = view.streamer(create[0].broadcaster_id)
        yield Finding(
            Severity.MEND,
            f"{without} of {wanted} streamers have no working subscription: itsjustintv subscriptions explain {first}"
            " tells why",
        )
    elif without:
        yield Finding(
            Severity.HINT, f"{without} of {wanted} streamers have no subscription yet: the daemon creates them"
        )
    elif not plan.wait:
        yield Finding(Severity.OK, f"streamers with a working subscription: {wanted - len(lost)} of {wanted}")
    listing = view.listing
    if listing.max_total_cost and listing.total_cost + without > listing.max_total_cost:
        yield Finding(
            Severity.MEND,
            f"the subscriptions would cost {listing.total_cost + without} of {listing.max_total_cost} points: ask"
            " twitch for more, or use another client id for some streamers",
        )


def callback(url: str, doubts: Sequence[CallbackWarning], asked: bool) -> Iterator[Finding]:
    """
    Tell what there is to doubt about the callback. A look from here proves nothing, so none of it must be mended.

    :param asked: whether somebody was there who should have answered.
    """
    for doubt in doubts:
        yield Finding(Severity.HINT, str(doubt))
    if not doubts and asked:
        yield Finding(Severity.OK, f"the callback {url} is answered by this daemon, as seen from here")
    elif not doubts:
        yield Finding(Severity.HINT, f"the callback {url} can be tried once the daemon runs: then run this again")
