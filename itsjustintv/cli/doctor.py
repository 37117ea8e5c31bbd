"""
``itsjustintv doctor``: looks at everything that could be wrong, and says what to do; whether or not the daemon runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import click
from attrs import evolve, frozen
from treq.client import HTTPClient

from itsjustintv.cli.certs import TONES, Certificate, ask_authority, certificates, daemon_runs, looked_at
from itsjustintv.cli.console import chosen, config_option, examples, in_reactor, json_option, tell, write_json
from itsjustintv.cli.health import door
from itsjustintv.cli.twitch_session import office_of
from itsjustintv.config.load import Loaded, load
from itsjustintv.config.sections import TLS, callback_url
from itsjustintv.doctor import system_checks, tls_checks
from itsjustintv.doctor.setup_checks import SetupChecks
from itsjustintv.doctor.tls_checks import Finding, Severity
from itsjustintv.errors import ConfigError, JournalUnavailable, TwitchError, TwitchUnavailable
from itsjustintv.journal.offline import OfflineJournal
from itsjustintv.support.causes import cause
from itsjustintv.support.counts import count
from itsjustintv.support.durations import duration
from itsjustintv.support.http_agents import twitch_agent
from itsjustintv.twitch.eventsub.callback_check import CallbackCheck, doubts

__all__ = ["doctor"]

# Checks of /readyz that are looked at here as well, and later than the daemon did.
_LOOKED_AT = ("subscriptions", "certificates")

# Seconds for the daemon to say how it is.
_PATIENCE = 4.0


@frozen
class _Found:
    """
    What was looked at, and what of it was found.
    """

    area: str
    finding: Finding


@click.command(short_help="Find what is wrong, and say what to do.", epilog=examples("doctor", "doctor --json"))
@config_option
@json_option
def doctor(config: str | None, as_json: bool) -> None:
    """
    Look at everything that could be wrong, and say what to do: configuration, disk, journal, daemon, HTTPS, clock,
    credentials, subscriptions and callback. Changes nothing; run it as the daemon's user. Status 1 if something must be
    mended.
    """
    path = chosen(config)
    try:
        settings = load(path, os.environ)
    except ConfigError as error:
        problems = [_Found("configuration", Finding(Severity.MEND, str(each))) for each in error.problems]
        problems += [_Found("configuration", Finding(Severity.HINT, str(each))) for each in error.warnings]
        _end(problems, as_json)
        return
    running = daemon_runs(settings)
    found = [
        *_all("configuration", _configuration(settings)),
        *_all("disk", system_checks.disk(settings.config, path, perf_counter)),
        *_all("journal", system_checks.journal(Path(settings.config.storage.path), time.time, running)),
        *_all("daemon", _daemon(path, running)),
        *_all("https", _https(settings, running)),
    ]
    found += in_reactor(lambda reactor: _abroad(reactor, settings, running))
    _end(found, as_json)


def _all(area: str, findings: Iterator[Finding]) -> Iterator[_Found]:
    return (_Found(area, each) for each in findings)


def _configuration(settings: Loaded) -> Iterator[Finding]:
    for warning in settings.warnings:
        yield Finding(Severity.HINT, str(warning))
    streamers = len(settings.config.streamers)
    yield Finding(Severity.OK, f"it can be used, and has {count(streamers, 'streamer')}")
    if not streamers:
        yield Finding(Severity.HINT, "nobody will be announced: add a table [streamers.NAME]")


def _daemon(path: Path, running: bool | None) -> Iterator[Finding]:
    """
    Ask the daemon, if there is one, how it is.
    """
    if running is False:
        yield Finding(Severity.HINT, "no daemon runs with this journal: start it with itsjustintv run")
        return
    try:
        place = door(path, os.environ)
        status, said = place.ask("/readyz", _PATIENCE)
    except (OSError, HTTPException, ValueError) as error:
        verdict = Severity.MEND if running else Severity.HINT
        yield Finding(verdict, f"the daemon does not answer ({cause(error)}): look at its log, restart it")
        return
    if status == 200:
        yield Finding(Severity.OK, f"it runs at {place.url} and is ready")
        return
    told = said.get("reasons") if isinstance(said, dict) else None
    reasons = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    for reason in reasons:
        about = reason.get("check")
        verdict = Severity.HINT if about in _LOOKED_AT else Severity.MEND
        yield Finding(verdict, f"it is not ready: {about}: {reason.get('reason')}; its log tells more")
    if not reasons:
        yield Finding(
            Severity.MEND, f"something else answers at {place.url} with status {status}: end it, or change server.port"
        )


def _https(settings: Loaded, running: bool | None) -> Iterator[Finding]:
    server = settings.config.server
    if not server.tls.enabled:
        yield Finding(Severity.OK, "it is not served here, but by a proxy: server.tls.enabled is false")
        yield from tls_checks.ports(server, running)
        return
    yield from looked_at(settings, running)
    for each in certificates(server.tls, time.time()):
        text = f"{each.name}: {_certificate(each, server.tls)}"
        # A daemon that does not run cannot have ordered any.
        waits = each.level == "critical" and not running and not each.problem
        verdict = {"ok": Severity.OK, "degraded": Severity.HINT}.get(each.level, Severity.MEND)
        yield Finding(Severity.HINT if waits else verdict, text)


def _certificate(found: Certificate, tls: TLS) -> str:
    """
    Say how it stands with a certificate, until when, and what happens or who must act.
    """
    if found.problem or found.days_left is None:
        return f"{found.problem or 'no certificate'}; {found.next}"
    if found.level == "ok":
        return f"a certificate that is good until {found.expires}; {found.next}"
    left = f"in {duration(found.days_left * 86400)}" if found.days_left > 0 else "already"
    until = f"the certificate expires {left}, at {found.expires}"
    if tls.mode == "files":
        return f"{until}: replace {tls.cert_file} and {tls.key_file}; the daemon does not renew them in this mode"
    return f"{until}, and was not renewed in time; {found.next}"


async def _abroad(reactor: Any, settings: Loaded, running: bool | None) -> Sequence[_Found]:
    """
    Ask whoever is not on this machine, Twitch above all.
    """
    config = settings.config
    http = HTTPClient(twitch_agent(reactor))
    found: list[_Found] = []
    if config.server.tls.enabled and config.server.tls.mode == "acme":
        found.append(_Found("https", await ask_authority(reactor, config.server.tls)))
    try:
        found.append(_Found("clock", await system_checks.clock(config.twitch, http, reactor)))
    except TwitchUnavailable as error:
        advice = "see whether this machine may call out to twitch; if twitch is down, wait"
        found.append(_Found("twitch", Finding(Severity.MEND, f"it cannot be asked ({error}): {advice}")))
    else:
        found += [each async for each in _at_twitch(reactor, settings, running)]
    url = callback_url(config)
    look = CallbackCheck(http, reactor.nameResolver, reactor, lambda: url)
    asked = running is not False
    found += _all("callback", system_checks.callback(url, await look.examine(url) if asked else doubts(url), asked))
    return found


async def _at_twitch(reactor: Any, settings: Loaded, running: bool | None) -> AsyncIterator[_Found]:
    """
    Ask a Twitch that answers.
    """
    wrong = await SetupChecks(reactor, tls_checks.addresses).credentials(settings.config.twitch)
    if wrong:
        text = f"{wrong}; check twitch.client_id and twitch.client_secret"
        yield _Found("credentials", Finding(Severity.MEND, text))
        return
    yield _Found("credentials", Finding(Severity.OK, "twitch gives a token for them"))
    for each in await _subscriptions(reactor, settings, running):
        yield _Found("subscriptions", each)


async def _subscriptions(reactor: Any, settings: Loaded, running: bool | None) -> Iterator[Finding]:
    path = Path(settings.config.storage.path)
    try:
        if path.exists():
            OfflineJournal.open(path, time.time)
    except (JournalUnavailable, OSError):
        text = "whether they work cannot be said: with which secret they were made is in the journal, see there"
        return iter((Finding(Severity.HINT, text),))
    with TemporaryDirectory(prefix="itsjustintv-") as folder:
        # Whoever runs this may not be the one who must be able to read the daemon's own.
        twitch = evolve(settings.config.twitch, token_file=str(Path(folder) / "tokens.json"))
        try:
            office = await office_of(reactor, evolve(settings, config=evolve(settings.config, twitch=twitch)))
            return system_checks.subscriptions(await office.desk.look(), office.lost, running)
        except TwitchError as error:
            return iter((Finding(Severity.MEND, f"they cannot be seen: {error}"),))


def _end(found: Sequence[_Found], as_json: bool) -> None:
    """
    Tell everything, and what is to be done.

    :raises click.ClickException: something must be mended.
    """
    mend = sum(each.finding.verdict is Severity.MEND for each in found)
    hints = sum(each.finding.verdict is Severity.HINT for each in found)
    if as_json:
        rows = [{"area": each.area, "verdict": each.finding.verdict.value, "text": each.finding.text} for each in found]
        write_json({"findings": rows, "mend": mend, "hints": hints})
    else:
        for each in found:
            about = f"{each.finding.verdict.value}: {each.area}: {each.finding.text}"
            tell(about, TONES[each.finding.verdict])
    if mend:
        raise click.ClickException(f"to be mended: {mend}. Begin with the first one, and run this again")
    if not as_json:
        tell(f"Nothing has to be mended. Hints: {hints}" if hints else "All is well.")
