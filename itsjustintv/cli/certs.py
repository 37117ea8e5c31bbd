"""
``itsjustintv certs``: what there is in certificates, as the files tell it, whether HTTPS will work, and another
certificate at once; whether or not the daemon runs.
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
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, execute
from twisted.logger import globalLogBeginner

from itsjustintv.cli.console import config_option, examples, in_reactor, json_option, loaded, table, tell, write_json
from itsjustintv.config.hosts import dns_name
from itsjustintv.config.load import Loaded
from itsjustintv.config.sections import TLS
from itsjustintv.doctor import tls_checks
from itsjustintv.doctor.tls_checks import Finding, Severity
from itsjustintv.errors import CertificateUnusable
from itsjustintv.journal.sqlite.database import lock_file
from itsjustintv.model import rfc3339
from itsjustintv.support.files import is_locked
from itsjustintv.support.http_agents import authority_agent
from itsjustintv.support.nearest import did_you_mean
from itsjustintv.tls.acme.http import AcmeTransport
from itsjustintv.tls.certificate import Bundle
from itsjustintv.tls.managed import ManagedCertificate
from itsjustintv.tls.operator_files import read_pair
from itsjustintv.tls.renewal_policy import Record, order_moment
from itsjustintv.tls.renewal_requests import RenewalResult, Request
from itsjustintv.tls.settings import directory_url, for_trial
from itsjustintv.tls.store import CertificateStore

__all__ = ["TONES", "Certificate", "ask_authority", "certificates", "certs", "daemon_runs", "looked_at"]

T = TypeVar("T")

_DAY = 86400.0

# Seconds for an authority to answer somebody who waits for it.
_PATIENCE = 10.0

#: How what was found is shown.
TONES = {Severity.OK: "good", Severity.HINT: "doubtful", Severity.MEND: "bad"}


@frozen(kw_only=True)
class Certificate:
    """
    What the files tell of a name. Moments are RFC 3339, empty when there is none.

    :ivar level: ``ok``, ``degraded`` or ``critical``.
    :ivar days_left: ``None`` without a certificate; negative when it has expired.
    :ivar next: what happens next, and when.
    :ivar problem: what is wrong, or why the last attempt failed, with what to do; empty when all is well.
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
    Read what there is for each of the domains. Changes nothing, and contacts nobody.

    :param now: in seconds since the epoch.
    """
    found = _own(tls, now) if tls.mode == "files" else _ordered(tls, now)
    return tuple(found)


def _ordered(tls: TLS, now: float) -> Iterator[Certificate]:
    store = CertificateStore.of(Path(tls.cert_dir), directory_url(tls), tls.domains, execute)
    for name in tls.domains:
        bundle, problem = None, ""
        try:
            bundle = _result(store.look(name))
        except CertificateUnusable as error:
            problem = f"the file is of no use: {error}; the daemon orders another one"
        except OSError as error:
            problem = f"the file cannot be read: {error.strerror}; run this as the daemon's user"
        holding = ManagedCertificate(name, bundle, _result(store.record(name)), tls.renew_fraction)
        status = holding.status(now)
        yield Certificate(
            name=name,
            level=status.level,
            days_left=_days(bundle, now),
            expires=status.expires,
            next=_next(holding, tls, now),
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
        other = bundle is not None and not bundle.covers(name)
        # Nobody keeps a record of a certificate that somebody else looks after.
        holding = ManagedCertificate(name, None if other else bundle, Record(), tls.renew_fraction)
        status = holding.status(now)
        yield Certificate(
            name=name,
            level=status.level,
            days_left=_days(holding.bundle, now),
            expires=status.expires,
            next="yours to replace",
            problem=f"{tls.cert_file} is not for this name: list it, or correct server.tls.domains"
            if other
            else problem,
            issuer=status.issuer,
            serial=status.serial,
        )


def _days(bundle: Bundle | None, now: float) -> float | None:
    return None if bundle is None else round((bundle.not_after - now) / _DAY, 1)


def _next(holding: ManagedCertificate, tls: TLS, now: float) -> str:
    if holding.due(tls, now) is None and holding.span is not None:
        return f"renewed at {rfc3339(order_moment(holding.span, holding.record))}"
    if holding.blocked(tls):
        return "not tried again before [server.tls] changes"
    if holding.record.next_attempt > now:
        return f"tried again at {rfc3339(holding.record.next_attempt)}"
    return "ordered as soon as the daemon runs"


def _result(work: Coroutine[Deferred[Any], Any, T]) -> T:
    """
    The result of something that waits for nobody.
    """
    results: list[T] = []
    failures: list[Any] = []
    Deferred.fromCoroutine(work).addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    return results[0]


def _loaded(given: str | None) -> Loaded:
    found = loaded(given)
    if not found.config.server.tls.enabled:
        raise click.ClickException("https is not served: server.tls.enabled is false")
    return found


@click.group(epilog=examples("certs list", "certs check", "certs renew"))
def certs() -> None:
    """
    Look at the certificates for HTTPS, or order them now.
    """


@certs.command("list", epilog=examples("certs list", "certs list --json"))
@config_option
@json_option
def list_certificates(config: str | None, as_json: bool) -> None:
    """
    Show for each name what certificate there is, when it is renewed, and what went wrong. Contacts nobody.
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
            tell(f"{each.name}{when}: {each.problem}", "bad")


@certs.command(epilog=examples("certs check", "certs check --json"))
@config_option
@json_option
def check(config: str | None, as_json: bool) -> None:
    """
    See whether HTTPS will work: the keys, the ports, the names and the authority. Orders nothing and changes nothing;
    run it as the daemon's user. Status 1 if something must be mended.
    """
    settings = _loaded(config)
    tls = settings.config.server.tls
    found = [
        *(Finding(Severity.HINT, str(warning)) for warning in settings.warnings if str(warning).startswith("server.")),
        *looked_at(settings, daemon_runs(settings)),
    ]
    if tls.mode == "acme":
        found.append(in_reactor(lambda reactor: ask_authority(reactor, tls)))
    if as_json:
        write_json({"findings": [{"verdict": each.verdict.value, "text": each.text} for each in found]})
    else:
        for each in found:
            tell(str(each), TONES[each.verdict])
    wrong = sum(each.verdict is Severity.MEND for each in found)
    if wrong:
        raise click.ClickException(f"to be mended: {wrong}")


@certs.command(epilog=examples("certs renew", "certs renew hooks.example.org", "certs renew --staging"))
@config_option
@json_option
@click.option("--staging", is_flag=True, help="Only try it, at an authority for that; what is served stays.")
@click.argument("names", metavar="[NAME]...", nargs=-1)
def renew(config: str | None, as_json: bool, staging: bool, names: tuple[str, ...]) -> None:
    """
    Order a certificate now, for each name or for these, whatever is due. The daemon does it, if it runs; otherwise this
    command needs its ports. Run it as the daemon's user. Status 1 if one could not be had.
    """
    from itsjustintv.tls.renew_now import RenewNow  # noqa: PLC0415 - imports the reactor

    server = _loaded(config).config.server
    wanted = tuple(dict.fromkeys(map(dns_name, names))) or server.tls.domains
    if server.tls.mode != "acme":
        raise click.ClickException(f"server.tls.mode is {server.tls.mode}: the certificate is yours to replace")
    if strangers := [name for name in wanted if name not in server.tls.domains]:
        raise click.ClickException(
            f"not in server.tls.domains: {', '.join(strangers)}{did_you_mean(strangers[0], server.tls.domains)}"
        )
    request = Request(id=os.urandom(8).hex(), asked_at=time.time(), names=wanted, trial=staging)

    def say(text: str) -> None:
        if not as_json:
            tell(text, err=True)

    def work(reactor: Any) -> Coroutine[Deferred[Any], Any, Sequence[RenewalResult]]:
        # What the parts log is in the answer; without observers the worst of it would be on standard error as well.
        globalLogBeginner.beginLoggingTo((), discardBuffer=True, redirectStandardIO=False)
        return RenewNow(server, reactor, random.random, say).results(request)

    results = in_reactor(work, "interrupted; a daemon that has been asked goes on with it")
    if as_json:
        write_json({"trial": staging, "certificates": [asdict(each) for each in results]})
    else:
        where = f" at {directory_url(for_trial(server.tls))}, on trial: nothing else has changed" if staging else ""
        for each in results:
            if each.problem:
                tell(f"{each.name}: no certificate{where}: {each.problem}", "bad")
            else:
                tell(f"{each.name}: a certificate until {each.expires}, from {each.issuer}{where}", "good")
    if failed := sum(bool(each.problem) for each in results):
        raise click.ClickException(f"without a new certificate: {failed} of {len(results)}")


def daemon_runs(settings: Loaded) -> bool | None:
    """
    Whether a daemon runs with this configuration; ``None`` when the system does not tell.
    """
    return is_locked(lock_file(Path(settings.config.storage.path)))


def looked_at(settings: Loaded, running: bool | None) -> Iterator[Finding]:
    """
    Look at everything that HTTPS takes on this machine.

    :param running: see :func:`daemon_runs`.
    """
    server = settings.config.server
    yield from tls_checks.keys(server.tls, time.time())
    yield from tls_checks.ports(server, running)
    yield from tls_checks.names(server, tls_checks.addresses)


async def ask_authority(reactor: Any, tls: TLS) -> Finding:
    """
    See whether the authority can be used; see :func:`itsjustintv.doctor.tls_checks.authority`.
    """
    try:
        agent, _ = authority_agent(reactor, tls.ca_bundle)
    except CertificateUnusable as error:
        return Finding(Severity.MEND, str(error))
    return await tls_checks.authority(tls, AcmeTransport(HTTPClient(agent), reactor, _PATIENCE))
