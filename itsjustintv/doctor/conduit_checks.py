"""
Checks of what takes the place of the callback where EventSub messages arrive through a conduit. They change nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from itsjustintv.doctor.findings import Finding, Severity
from itsjustintv.errors import Unreadable
from itsjustintv.support.causes import cause
from itsjustintv.support.counts import count
from itsjustintv.support.durations import duration
from itsjustintv.support.http_agents import make_endpoints
from itsjustintv.support.websocket import Closed, Dialer, WebSocketDialer
from itsjustintv.twitch.eventsub.conduit_file import ConduitFile, RememberedConduit
from itsjustintv.twitch.eventsub.conduits_api import (
    MAX_CONDUITS,
    SHARD_ENABLED,
    Conduit,
    ConduitGone,
    ConduitsAPI,
    Shard,
    current_shards,
)
from itsjustintv.twitch.eventsub.messages import parse_frame

__all__ = ["check_conduit", "check_connection", "check_file", "check_welcome"]

# Seconds for the connection and the welcome together: Twitch sends it at once.
_WELCOME = 10.0


def check_file(file: ConduitFile, client_id: str) -> tuple[RememberedConduit | None, Finding | None]:
    """
    Read which conduit the daemon remembers, and find what is wrong with the file. Blocks.
    """
    try:
        return file.read(client_id), None
    except OSError as error:
        advice = "; make the daemon's user its owner" if isinstance(error, PermissionError) else ""
        return None, Finding(Severity.ERROR, f"twitch.conduit.state_file cannot be read: {cause(error)}{advice}")
    except ValueError as error:
        what = f"twitch.conduit.state_file {file.path} {error}"
        text = f"{what}: the daemon cannot find its conduit again and creates another one; remove the file"
        return None, Finding(Severity.WARNING, text)


async def check_conduit(api: ConduitsAPI, remembered: RememberedConduit | None, running: bool | None) -> Finding:
    """
    Check that Twitch has the remembered conduit, and that its shards can take messages.

    :param running: whether a daemon runs, which creates the one and assigns the others; ``None`` if unknown.
    :raises TwitchError: Twitch does not say.
    """
    wanted = "" if remembered is None else remembered.conduit_id
    listed = await api.list()
    for each in listed:
        if each.id == wanted:
            try:
                return _shards(each, await api.shards(each.id), len(listed), running)
            except ConduitGone:
                break
    return _missing(wanted, len(listed), running)


def _missing(wanted: str, total: int, running: bool | None) -> Finding:
    """
    Say that there is no conduit.

    :param wanted: the remembered one; empty if there is none.
    :param total: how many the application has.
    """
    lacks = f"Twitch no longer has the remembered conduit {wanted}" if wanted else "no conduit is remembered yet"
    if total >= MAX_CONDUITS:
        return Finding(
            Severity.ERROR,
            f"{lacks}, and the application has {total} conduits of {MAX_CONDUITS}, so that the daemon cannot create"
            " one: itsjustintv conduits list shows them, itsjustintv conduits delete ID deletes one",
        )
    if running:
        return Finding(Severity.ERROR, f"{lacks}, although the daemon runs: its log says why it creates none")
    return Finding(Severity.WARNING, f"{lacks}: the daemon creates one, with all subscriptions, when it starts")


def _shards(conduit: Conduit, listed: Sequence[Shard], total: int, running: bool | None) -> Finding:
    mine = current_shards(conduit, listed)
    enabled = sum(1 for each in mine if each.status == SHARD_ENABLED)
    others = Counter(each.status or "unknown" for each in mine if each.status != SHARD_ENABLED)
    others["not assigned"] += conduit.shard_count - len(mine)
    states = ", ".join(f"{number} {state}" for state, number in others.items() if number > 0)
    text = f"conduit {conduit.id}: {enabled} of {count(conduit.shard_count, 'shard')} enabled"
    if enabled == conduit.shard_count:
        return Finding(Severity.OK, f"{text}; the application has {total} of {MAX_CONDUITS} conduits")
    if running is False:
        return Finding(
            Severity.OK,
            f"{text} ({states}), since no daemon runs; Twitch deletes a conduit without an enabled shard after 72 h",
        )
    if enabled:
        return Finding(
            Severity.WARNING,
            f"{text} ({states}): the enabled ones take over, and the daemon assigns the rest; check again in a minute",
        )
    severity = Severity.WARNING if running is None else Severity.ERROR
    return Finding(severity, f"{text} ({states}), so that no message arrives: the daemon's log says why")


async def check_connection(reactor: Any, url: str) -> Finding:
    """
    Check that this machine can connect to Twitch's WebSocket, with certificates verified as the daemon does.

    :param url: ``twitch.conduit.websocket_url``.
    """
    return await check_welcome(WebSocketDialer(reactor, make_endpoints(reactor)), reactor, url)


async def check_welcome(dialer: Dialer, clock: IReactorTime, url: str) -> Finding:
    """
    Connect to Twitch's WebSocket, wait for the welcome, and close. Nothing is assigned to the session, so it has no
    effect.
    """
    waiting = _Welcome()
    connection = dialer.dial(url, waiting)
    timer = clock.callLater(_WELCOME, waiting.end, f"no welcome came within {duration(_WELCOME)}")
    try:
        problem = await waiting.problem
    finally:
        if timer.active():
            timer.cancel()
        connection.close()
    place = urlsplit(url).netloc
    if not problem:
        return Finding(Severity.OK, f"{place} accepts a connection from this machine, and sends its welcome")
    return Finding(
        Severity.ERROR,
        f"no messages can arrive from {url}: {problem}; check that the firewall lets this machine connect to {place};"
        " proxies such as https_proxy are not supported",
    )


@define(eq=False)
class _Welcome:
    """
    Waits for the first message.

    :ivar problem: fires with why it is no welcome; empty if it is one.
    """

    problem: Deferred[str] = field(factory=Deferred, init=False)

    def opened(self) -> None:
        """
        The welcome is next.
        """

    def received(self, text: str) -> None:
        try:
            kind = parse_frame(text).kind
        except Unreadable as error:
            self.end(f"the first message cannot be read: {error}")
        else:
            self.end("" if kind == "session_welcome" else f"the first message is a {kind}, not a session_welcome")

    def closed(self, closed: Closed) -> None:
        self.end(closed.reason)

    def end(self, problem: str) -> None:
        if not self.problem.called:
            self.problem.callback(problem)
