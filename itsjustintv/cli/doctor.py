"""
``itsjustintv doctor``: diagnoses the installation, whether or not the daemon runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import click
from attrs import evolve, frozen

from itsjustintv.cli.certs import TONES, Certificate, certificates, check_authority, https_findings, is_daemon_running
from itsjustintv.cli.console import config_option, config_path, echo, examples, in_reactor, json_option, write_json
from itsjustintv.cli.destination_states import DestinationStates
from itsjustintv.cli.health import daemon_address
from itsjustintv.cli.twitch_session import make_helix, open_session
from itsjustintv.config.load import Loaded, load
from itsjustintv.config.sections import CONDUIT, TLS, Config, Twitch, callback_url
from itsjustintv.destinations.kinds import KINDS
from itsjustintv.doctor import system_checks, tls_checks
from itsjustintv.doctor.destination_checks import DestinationChecks
from itsjustintv.doctor.findings import Finding, Severity
from itsjustintv.doctor.setup_checks import SetupChecks
from itsjustintv.errors import ConfigError, JournalUnavailable, TwitchError, TwitchUnavailable
from itsjustintv.journal.storage import open_storage
from itsjustintv.model import Destination
from itsjustintv.routing import Routes
from itsjustintv.support.causes import cause
from itsjustintv.support.counts import count
from itsjustintv.support.durations import duration
from itsjustintv.support.http_agents import TWITCH, make_agent
from itsjustintv.support.http_client import make_http_client
from itsjustintv.twitch.eventsub.callback_check import CallbackCheck, url_warnings
from itsjustintv.twitch.eventsub.conduit_file import ConduitFile
from itsjustintv.twitch.eventsub.conduits_api import ConduitsAPI

__all__ = ["doctor"]

# Checks of /readyz that are repeated here, with newer results.
_REPEATED = ("subscriptions", "certificates")

# Seconds for the daemon to answer.
_TIMEOUT = 4.0


@frozen
class _Result:
    """
    A finding, and the area that was checked.
    """

    area: str
    finding: Finding


@click.command(short_help="Diagnose the installation and suggest fixes.", epilog=examples("doctor", "doctor --json"))
@config_option
@json_option
def doctor(config: str | None, as_json: bool) -> None:
    """
    Diagnose the installation and suggest fixes: configuration, disk, journal, daemon, HTTPS, clock, credentials,
    subscriptions, destinations, and callback or conduit. Changes and sends nothing. Run it as the daemon's user. Status
    1 if there are errors.
    """
    path = config_path(config)
    try:
        settings = load(path, os.environ, kinds=KINDS)
    except ConfigError as error:
        problems = [_Result("configuration", Finding(Severity.ERROR, str(each))) for each in error.problems]
        problems += [_Result("configuration", Finding(Severity.WARNING, str(each))) for each in error.warnings]
        _end(problems, as_json)
        return
    running = is_daemon_running(settings)
    found = [
        *_all("configuration", _configuration(settings)),
        *_all("disk", system_checks.disk(settings.config, path, perf_counter)),
        *_all("journal", system_checks.journal(open_storage(settings.config.storage), time.time, running)),
        *_all("daemon", _daemon(path, running)),
        *_all("https", _https(settings, running)),
    ]
    found += in_reactor(lambda reactor: _remote_checks(reactor, settings, running))
    _end(found, as_json)


def _all(area: str, findings: Iterator[Finding]) -> Iterator[_Result]:
    return (_Result(area, each) for each in findings)


def _configuration(settings: Loaded) -> Iterator[Finding]:
    for warning in settings.warnings:
        yield Finding(Severity.WARNING, str(warning), warning.lines)
    streamers = len(settings.config.streamers)
    yield Finding(Severity.OK, f"valid, with {count(streamers, 'streamer')}")
    if not streamers:
        yield Finding(Severity.WARNING, "no streamer is configured: add a table [streamers.NAME]")


def _daemon(path: Path, running: bool | None) -> Iterator[Finding]:
    """
    Ask the daemon for its status, if it runs.
    """
    if running is False:
        yield Finding(Severity.WARNING, "no daemon runs with this journal: start it with itsjustintv run")
        return
    try:
        address = daemon_address(path, os.environ)
        status, answer = address.ask("/readyz", _TIMEOUT)
    except (OSError, HTTPException, ValueError) as error:
        severity = Severity.ERROR if running else Severity.WARNING
        yield Finding(severity, f"the daemon does not answer: {cause(error)}; check its log, then restart it")
        return
    if status == 200:
        yield Finding(Severity.OK, f"running at {address.url}, ready")
        return
    given = answer.get("reasons") if isinstance(answer, dict) else None
    reasons = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    for reason in reasons:
        check = reason.get("check")
        severity = Severity.WARNING if check in _REPEATED else Severity.ERROR
        yield Finding(severity, f"not ready: {check}: {reason.get('reason')}; see its log")
    if not reasons:
        yield Finding(
            Severity.ERROR,
            f"another program answers at {address.url} with status {status}: stop it, or change server.port",
        )


def _https(settings: Loaded, running: bool | None) -> Iterator[Finding]:
    server = settings.config.server
    if not server.tls.enabled:
        by_conduit = settings.config.twitch.transport == CONDUIT
        text = (
            "not needed: the daemon connects to Twitch"
            if by_conduit
            else "left to a proxy: server.tls.enabled is false"
        )
        yield Finding(Severity.OK, text)
        yield from tls_checks.ports(server, running)
        return
    yield from https_findings(settings, running)
    for each in certificates(server.tls, time.time()):
        text = f"{each.name}: {_certificate(each, server.tls)}"
        # A daemon that does not run cannot have ordered any.
        waits = each.level == "critical" and not running and not each.problem
        severity = {"ok": Severity.OK, "degraded": Severity.WARNING}.get(each.level, Severity.ERROR)
        yield Finding(Severity.WARNING if waits else severity, text)


def _certificate(found: Certificate, tls: TLS) -> str:
    """
    Describe the state of a certificate, when it expires, and what happens next.
    """
    if found.problem or found.days_left is None:
        return f"{found.problem or 'no certificate'}; {found.next}"
    if found.level == "ok":
        return f"the certificate is valid until {found.expires}; {found.next}"
    left = f"expires in {duration(found.days_left * 86400)}" if found.days_left > 0 else "has expired"
    until = f"the certificate {left}, at {found.expires}"
    if tls.mode == "files":
        return f"{until}: replace {tls.cert_file} and {tls.key_file}; the daemon does not renew them in this mode"
    return f"{until}; it was not renewed in time; {found.next}"


async def _remote_checks(reactor: Any, settings: Loaded, running: bool | None) -> Sequence[_Result]:
    """
    Make the checks that need the network.
    """
    config = settings.config
    http = make_http_client(make_agent(reactor, TWITCH))
    found: list[_Result] = []
    if config.server.tls.enabled and config.server.tls.mode == "acme":
        found.append(_Result("https", await check_authority(reactor, config.server.tls)))
    try:
        found.append(_Result("clock", await system_checks.clock(config.twitch, http, reactor)))
    except TwitchUnavailable as error:
        advice = "check that the firewall allows connections to Twitch; if Twitch is down, wait"
        found.append(_Result("twitch", Finding(Severity.ERROR, f"cannot reach Twitch: {error}; {advice}")))
    else:
        found += [each async for each in _at_twitch(reactor, settings, running)]
    found += _all("destinations", iter(await _destinations(reactor, settings)))
    if config.twitch.transport == CONDUIT:
        found.append(_Result("connection", await _connection(reactor, config)))
        return found
    url = callback_url(config)
    check = CallbackCheck(http, reactor.nameResolver, reactor, lambda: url)
    asked = running is not False
    found += _all(
        "callback", system_checks.callback(url, await check.examine(url) if asked else url_warnings(url), asked)
    )
    return found


async def _destinations(reactor: Any, settings: Loaded) -> Sequence[Finding]:
    """
    Ask the services of the destinations, without posting.
    """
    known = Routes.of(settings.config).destinations
    named = [known[name] for name in settings.config.destinations]
    found = await DestinationChecks(reactor, settings.config.egress.allow).ask_all(named)
    states = DestinationStates.of(settings)
    return [
        _left_alone(each, finding) if states.refuses(each) and finding.severity is Severity.OK else finding
        for each, finding in zip(named, found, strict=True)
    ]


def _left_alone(destination: Destination, finding: Finding) -> Finding:
    name = destination.name
    return Finding(
        Severity.WARNING,
        f"{finding.text}; but the daemon sends nothing there since the service refused a message: requeue what is dead"
        f" with itsjustintv deliveries retry --all --destination {name}",
    )


async def _at_twitch(reactor: Any, settings: Loaded, running: bool | None) -> AsyncIterator[_Result]:
    """
    Check credentials and subscriptions. Twitch is known to answer.
    """
    problem = await SetupChecks(reactor, tls_checks.addresses).credentials(settings.config.twitch)
    if problem:
        text = f"{problem}; check twitch.client_id and twitch.client_secret"
        yield _Result("credentials", Finding(Severity.ERROR, text))
        return
    yield _Result("credentials", Finding(Severity.OK, "Twitch issues a token for them"))
    for each in await _subscriptions(reactor, settings, running):
        yield _Result("subscriptions", each)
    if settings.config.twitch.transport == CONDUIT:
        for each in await _conduit(reactor, settings.config, running):
            yield _Result("conduit", each)


async def _subscriptions(reactor: Any, settings: Loaded, running: bool | None) -> Iterator[Finding]:
    storage = open_storage(settings.config.storage)
    try:
        if storage.exists():
            storage.offline(time.time)
    except JournalUnavailable:
        text = "not checked: their secret is in the journal, which cannot be read; see above"
        return iter((Finding(Severity.WARNING, text),))
    with _without_token_file(settings.config.twitch) as twitch:
        try:
            session = await open_session(reactor, evolve(settings, config=evolve(settings.config, twitch=twitch)))
            return system_checks.subscriptions(await session.subscriptions.take_snapshot(), session.lost, running)
        except TwitchError as error:
            return iter((Finding(Severity.ERROR, f"cannot list them: {error}"),))


async def _conduit(reactor: Any, config: Config, running: bool | None) -> Sequence[Finding]:
    from itsjustintv.doctor import conduit_checks  # noqa: PLC0415 - imports the library of the WebSocket

    remembered, problem = conduit_checks.check_file(ConduitFile.of(config), config.twitch.client_id)
    if problem is not None:
        # Which conduit is the daemon's is not known then.
        return [problem]
    with _without_token_file(config.twitch) as twitch:
        try:
            return [await conduit_checks.check_conduit(ConduitsAPI(make_helix(reactor, twitch)), remembered, running)]
        except TwitchError as error:
            return [Finding(Severity.ERROR, f"cannot list the conduits: {error}")]


async def _connection(reactor: Any, config: Config) -> Finding:
    from itsjustintv.doctor import conduit_checks  # noqa: PLC0415 - imports the library of the WebSocket

    return await conduit_checks.check_connection(reactor, config.twitch.conduit.websocket_url)


@contextmanager
def _without_token_file(twitch: Twitch) -> Iterator[Twitch]:
    """
    Use another token file for a while: one written by another user would lock the daemon out of its own.
    """
    with TemporaryDirectory(prefix="itsjustintv-") as folder:
        yield evolve(twitch, token_file=str(Path(folder) / "tokens.json"))


def _end(found: Sequence[_Result], as_json: bool) -> None:
    """
    Report everything.

    :raises click.ClickException: there are errors.
    """
    errors = sum(each.finding.severity is Severity.ERROR for each in found)
    warnings = sum(each.finding.severity is Severity.WARNING for each in found)
    if as_json:
        rows = [
            {"area": each.area, "verdict": each.finding.severity.verdict, "text": each.finding.text} for each in found
        ]
        write_json({"findings": rows, "mend": errors, "hints": warnings})
    else:
        for each in found:
            line = f"{each.finding.severity.value}: {each.area}: {each.finding.text}"
            echo(line, TONES[each.finding.severity])
            for instead in each.finding.lines:
                echo(f"    {instead}")
    if errors:
        raise click.ClickException(f"{count(errors, 'error')} found: fix the first one, then run this again")
    if not as_json:
        echo(f"No errors, {count(warnings, 'warning')}." if warnings else "No problems found.")
