"""
``itsjustintv certs``: lists the certificates on disk, checks whether HTTPS can work, and renews certificates; whether
or not the daemon runs.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import asdict, frozen
from twisted.internet.defer import Deferred, execute
from twisted.logger import globalLogBeginner

from itsjustintv.cli.console import (
    config_option,
    echo,
    examples,
    in_reactor,
    json_option,
    load_config,
    table,
    write_json,
)
from itsjustintv.config.hosts import dns_name
from itsjustintv.config.load import Loaded
from itsjustintv.config.sections import TLS
from itsjustintv.doctor import tls_checks
from itsjustintv.doctor.findings import Finding, Severity
from itsjustintv.errors import CertificateUnusable
from itsjustintv.journal.storage import open_storage
from itsjustintv.model import rfc3339
from itsjustintv.support.counts import count
from itsjustintv.support.http_agents import AUTHORITY, make_agent
from itsjustintv.support.http_client import make_http_client
from itsjustintv.support.nearest import did_you_mean
from itsjustintv.tls.acme.http import AcmeTransport
from itsjustintv.tls.certificate import Bundle
from itsjustintv.tls.managed import ManagedCertificate
from itsjustintv.tls.operator_files import read_pair
from itsjustintv.tls.renewal_policy import Record, order_moment
from itsjustintv.tls.renewal_requests import RenewalResult, Request
from itsjustintv.tls.settings import directory_url, for_trial
from itsjustintv.tls.store import CertificateStore

__all__ = ["TONES", "Certificate", "certificates", "certs", "check_authority", "https_findings", "is_daemon_running"]

T = TypeVar("T")

_DAY = 86400.0

# Seconds for an authority to answer.
_TIMEOUT = 10.0

#: The colour of a finding.
TONES = {Severity.OK: "good", Severity.WARNING: "doubtful", Severity.ERROR: "bad"}


@frozen(kw_only=True)
class Certificate:
    """
    The state of the certificate of a name, as read from the files. Moments are RFC 3339, empty when there is none.

    :ivar level: ``ok``, ``degraded`` or ``critical``.
    :ivar days_left: ``None`` without a certificate; negative when it has expired.
    :ivar next: what happens next, and when.
    :ivar problem: what is wrong, or why the last attempt failed, with what to do; empty if nothing.
    """

    name: str
    level: str
    days_left: float | None
    expires: str = ""
    next: str
    problem: str = ""
    failures: int = 0
    last_attempt: str = ""
    issuer: str = ""
    serial: str = ""
    profile: str = ""


def certificates(tls: TLS, now: float) -> Sequence[Certificate]:
    """
    Read the state of each domain's certificate from the files. Makes no request.

    :param now: in seconds since the epoch.
    """
    found = _own(tls, now) if tls.mode == "files" else _ordered(tls, now)
    return tuple(found)


def _ordered(tls: TLS, now: float) -> Iterator[Certificate]:
    store = CertificateStore.of(Path(tls.cert_dir), directory_url(tls), tls.domains, execute)
    for name in tls.domains:
        bundle, problem = None, ""
        try:
            bundle = _result(store.read_unchanged(name))
        except CertificateUnusable as error:
            problem = f"invalid certificate: {error}; the daemon orders a new one"
        except OSError as error:
            problem = f"cannot read the certificate: {error.strerror}; run this as the daemon's user"
        managed = ManagedCertificate(name, bundle, _result(store.record(name)), tls.renew_fraction)
        status = managed.status(now)
        yield Certificate(
            name=name,
            level=status.level,
            days_left=_days(bundle, now),
            expires=status.expires,
            next=_next(managed, tls, now),
            problem=problem or status.problem,
            failures=status.failures,
            last_attempt=status.last_attempt,
            issuer=status.issuer,
            serial=status.serial,
            profile=status.profile,
        )


def _own(tls: TLS, now: float) -> Iterator[Certificate]:
    problem, bundle = "", None
    try:
        bundle = read_pair(Path(tls.cert_file), Path(tls.key_file), now)
    except CertificateUnusable as error:
        problem = str(error)
    for name in tls.domains:
        mismatch = bundle is not None and not bundle.covers(name)
        # There is no renewal record of a certificate that the operator replaces.
        managed = ManagedCertificate(name, None if mismatch else bundle, Record(), tls.renew_fraction)
        status = managed.status(now)
        yield Certificate(
            name=name,
            level=status.level,
            days_left=_days(managed.bundle, now),
            expires=status.expires,
            next="replaced by the operator",
            problem=f"{tls.cert_file} is not valid for this name: use another certificate, or"
            " correct server.tls.domains"
            if mismatch
            else problem,
            issuer=status.issuer,
            serial=status.serial,
        )


def _days(bundle: Bundle | None, now: float) -> float | None:
    return None if bundle is None else round((bundle.not_after - now) / _DAY, 1)


def _next(managed: ManagedCertificate, tls: TLS, now: float) -> str:
    if managed.due_reason(tls, now) is None and managed.validity is not None:
        return f"renewed at {rfc3339(order_moment(managed.validity, managed.record))}"
    if managed.is_blocked(tls):
        return "not retried: correct [server.tls], or run itsjustintv certs renew"
    if managed.record.next_attempt > now:
        return f"retried at {rfc3339(managed.record.next_attempt)}"
    return "ordered once the daemon runs"


def _result(work: Coroutine[Deferred[Any], Any, T]) -> T:
    """
    The result of a coroutine that never waits.
    """
    results: list[T] = []
    failures: list[Any] = []
    Deferred.fromCoroutine(work).addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    return results[0]


def _loaded(given: str | None) -> Loaded:
    found = load_config(given)
    if not found.config.server.tls.enabled:
        raise click.ClickException("HTTPS is off: server.tls.enabled is false")
    return found


@click.group(epilog=examples("certs list", "certs check", "certs renew"))
def certs() -> None:
    """
    List, check or renew the certificates for HTTPS.
    """


@certs.command("list", epilog=examples("certs list", "certs list --json"))
@config_option
@json_option
def list_certificates(config: str | None, as_json: bool) -> None:
    """
    List the certificate of each name, when it is renewed, and what went wrong. Makes no request.
    """
    found = certificates(_loaded(config).config.server.tls, time.time())
    if as_json:
        write_json({"certificates": [asdict(each) for each in found]})
        return
    rows = [("NAME", "STATE", "DAYS LEFT", "NEXT")]
    rows += [
        (each.name, each.level, "none" if each.days_left is None else f"{each.days_left:.1f}", each.next)
        for each in found
    ]
    table(rows, {"ok": "good", "degraded": "doubtful", "critical": "bad"})
    for each in found:
        if each.problem:
            when = f" ({each.last_attempt})" if each.last_attempt else ""
            echo(f"{each.name}{when}: {each.problem}", "bad")


@certs.command(epilog=examples("certs check", "certs check --json"))
@config_option
@json_option
def check(config: str | None, as_json: bool) -> None:
    """
    Check the keys, the ports, the names and the certificate authority. Orders and changes nothing. Run it as the
    daemon's user. Status 1 if there are errors.
    """
    settings = _loaded(config)
    tls = settings.config.server.tls
    found = [
        *(
            Finding(Severity.WARNING, str(warning))
            for warning in settings.warnings
            if str(warning).startswith("server.")
        ),
        *https_findings(settings, is_daemon_running(settings)),
    ]
    if tls.mode == "acme":
        found.append(in_reactor(lambda reactor: check_authority(reactor, tls)))
    if as_json:
        write_json({"findings": [{"verdict": each.severity.verdict, "text": each.text} for each in found]})
    else:
        for each in found:
            echo(str(each), TONES[each.severity])
    errors = sum(each.severity is Severity.ERROR for each in found)
    if errors:
        raise click.ClickException(f"{count(errors, 'error')} found")


@certs.command(epilog=examples("certs renew", "certs renew hooks.example.org", "certs renew --staging"))
@config_option
@json_option
@click.option(
    "--staging", is_flag=True, help="Test with the authority's staging directory; the certificates in use stay."
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
def renew(config: str | None, as_json: bool, staging: bool, names: tuple[str, ...]) -> None:
    """
    Renew certificates now, even if they are not due: those of NAME, or all. The daemon does it if it runs; otherwise
    this command needs its ports. Run it as the daemon's user. Status 1 if a certificate could not be obtained.
    """
    from itsjustintv.tls.renew_now import RenewNow  # noqa: PLC0415 - imports the reactor

    server = _loaded(config).config.server
    selected = tuple(dict.fromkeys(map(dns_name, names))) or server.tls.domains
    if server.tls.mode != "acme":
        raise click.ClickException(f"server.tls.mode is {server.tls.mode}: replace the certificate files yourself")
    if unknown := [name for name in selected if name not in server.tls.domains]:
        raise click.ClickException(
            f"not in server.tls.domains: {', '.join(unknown)}{did_you_mean(unknown[0], server.tls.domains)}"
        )
    request = Request(id=os.urandom(8).hex(), asked_at=time.time(), names=selected, trial=staging)

    def say(text: str) -> None:
        if not as_json:
            echo(text, err=True)

    def work(reactor: Any) -> Coroutine[Deferred[Any], Any, Sequence[RenewalResult]]:
        # The results have what the parts log; without an observer, errors would also go to standard error.
        globalLogBeginner.beginLoggingTo((), discardBuffer=True, redirectStandardIO=False)
        return RenewNow(server, reactor, random.random, say).results(request)

    results = in_reactor(work, "interrupted; a daemon that has received the request continues")
    if as_json:
        write_json({"trial": staging, "certificates": [asdict(each) for each in results]})
    else:
        where = f" at {directory_url(for_trial(server.tls))}, as a test; nothing was replaced" if staging else ""
        for each in results:
            if each.problem:
                echo(f"{each.name}: cannot obtain a certificate{where}: {each.problem}", "bad")
            else:
                echo(
                    f"{each.name}: new certificate, valid until {each.expires}, issued by {each.issuer}{where}", "good"
                )
    if failed := sum(bool(each.problem) for each in results):
        raise click.ClickException(f"{failed} of {count(len(results), 'certificate')} could not be obtained")


def is_daemon_running(settings: Loaded) -> bool | None:
    """
    Whether a daemon runs with this configuration; ``None`` if unknown.
    """
    return open_storage(settings.config.storage).is_in_use()


def https_findings(settings: Loaded, running: bool | None) -> Iterator[Finding]:
    """
    Check everything that HTTPS needs on this machine.

    :param running: see :func:`is_daemon_running`.
    """
    server = settings.config.server
    yield from tls_checks.keys(server.tls, time.time())
    yield from tls_checks.ports(server, running)
    yield from tls_checks.names(server, tls_checks.addresses)


async def check_authority(reactor: Any, tls: TLS) -> Finding:
    """
    Check that the certificate authority can be used; see :func:`itsjustintv.doctor.tls_checks.authority`.
    """
    try:
        agent = make_agent(reactor, AUTHORITY, tls.ca_bundle)
    except CertificateUnusable as error:
        return Finding(Severity.ERROR, str(error))
    return await tls_checks.authority(tls, AcmeTransport(make_http_client(agent), reactor, _TIMEOUT))
