"""
``itsjustintv receive``: a receiver that prints each delivery and verifies its signature.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import click
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError

from itsjustintv.cli.console import checked_by, echo, examples, in_reactor, utc, write_json
from itsjustintv.config.hosts import address
from itsjustintv.model import rfc3339
from itsjustintv.support.causes import cause
from itsjustintv.support.signatures import HASHINGS, is_standard, parse_standard_secret

__all__ = ["receive"]

_PORT = 8091

#: Ids that are remembered, to recognize repeated deliveries.
_REMEMBERED = 10_000


@define(eq=False)
class _Printer:
    """
    Prints deliveries, and counts them.

    :ivar limit: fires ``over`` after so many.
    """

    _as_json: bool
    _expected: Any
    _limit: int | None
    over: Deferred[None] = field(factory=Deferred, init=False)
    count: int = field(default=0, init=False)
    refused: int = field(default=0, init=False)
    _seen: OrderedDict[str, None] = field(factory=OrderedDict, init=False)

    def show(self, received: Any) -> None:
        self.count += 1
        self.refused += bool(received.problem)
        signed = list(self._expected.there(received.headers)) if self._expected else []
        try:
            payload = received.payload
        except ValueError:
            payload = None
        again = self._again(str(payload["id"])) if isinstance(payload, dict) and payload.get("id") else False
        if self._as_json:
            about = {
                "at": rfc3339(received.at, "milliseconds"),
                "path": received.path,
                "verified": [] if received.problem else signed,
                "problem": received.problem,
                "again": again,
                "status": received.status,
                "headers": dict(received.headers),
                "payload": payload,
            }
            write_json(about, indent=None)
        else:
            self._tell(received, payload, signed, again)
        if self._limit is not None and self.count >= self._limit and not self.over.called:
            self.over.callback(None)

    def _tell(self, received: Any, payload: Any, signed: list[str], again: bool) -> None:
        echo(f"{utc(received.at)} UTC  {received.path}  {_summary(payload, len(received.body))}")
        if received.problem:
            echo(f"    signature: {received.problem}", "bad")
        elif self._expected:
            echo(f"    signature: {' and '.join(signed)}: valid", "good")
        else:
            echo("    signature: not verified, pass --secret", "doubtful")
        if again:
            echo("    repeated: this id was received before")
        echo(f"    answered {received.status}", "" if 200 <= received.status < 300 else "doubtful")

    def _again(self, event_id: str) -> bool:
        known = event_id in self._seen
        self._seen[event_id] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return known


def _summary(payload: Any, size: int) -> str:
    """
    Summarize the payload of a delivery.
    """
    if not isinstance(payload, dict):
        return f"{size} bytes, not a JSON object"
    event = str(payload.get("event") or "no event")
    name = str(payload.get("streamer_name") or payload.get("streamer_login") or "")
    stream = payload.get("stream")
    title = str(stream.get("title") or "") if isinstance(stream, dict) else ""
    return f"{event}{f': {name}' if name else ''}{f', {title}' if title else ''}"


def _standard(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and is_standard(value):
        try:
            parse_standard_secret(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return value


@click.command(
    short_help="Receive deliveries and verify them.",
    epilog=examples(
        "receive --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "receive --fail 2 --retry-after 5",
        "receive --json --count 1",
    ),
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=_PORT,
    show_default=True,
    help="Port to listen on; 0 for any free port.",
)
@click.option(
    "--listen",
    "interface",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    callback=checked_by(address),
    help="Address to listen on.",
)
@click.option(
    "--secret",
    metavar="SECRET",
    envvar="TARGET_WEBHOOK_SECRET",
    show_envvar=True,
    callback=_standard,
    help="target_webhook_secret; a delivery without a valid signature gets 401.",
)
@click.option("--header", default="X-Hub-Signature-256", show_default=True, help="target_webhook_header.")
@click.option(
    "--hashing",
    type=click.Choice(tuple(HASHINGS), case_sensitive=False),
    default="SHA-256",
    show_default=True,
    help="target_webhook_hashing.",
)
@click.option("--fail", type=click.IntRange(0), default=0, help="Fail this many deliveries first, for each path.")
@click.option(
    "--status", type=click.IntRange(100, 599), default=500, show_default=True, help="Status of the failed deliveries."
)
@click.option(
    "--retry-after", type=click.IntRange(0), metavar="SECONDS", help="Retry-After header of the failed deliveries."
)
@click.option(
    "--count", type=click.IntRange(1), help="Stop after this many deliveries; status 1 if a signature was invalid."
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per delivery, and nothing else.")
def receive(  # noqa: PLR0917 - click names them
    port: int,
    interface: str,
    secret: str | None,
    header: str,
    hashing: str,
    fail: int,
    status: int,
    retry_after: int | None,
    count: int | None,
    as_json: bool,
) -> None:
    """
    Receive deliveries at any path, print each, and verify its signatures.
    """

    async def work(reactor: Any) -> _Printer:
        from itsjustintv.simulator.behaviour import Behaviour, Script  # noqa: PLC0415 - as below
        from itsjustintv.simulator.loopback import listen  # noqa: PLC0415 - as below
        from itsjustintv.simulator.receiver import Expectation, Receiver  # noqa: PLC0415 - imports Klein

        again = {} if retry_after is None else {"Retry-After": str(retry_after)}
        refusal = Behaviour(status=status, headers=again)
        expected = (
            Expectation(secret=secret, signature="any", header=header, hashing=HASHINGS[hashing]) if secret else None
        )
        printer = _Printer(as_json, expected, count)

        receiver = Receiver(reactor, Script(first=fail * (refusal,)), usually=expected, answered=printer.show)
        try:
            listening = listen(reactor, receiver.resource(), port, interface)
        except CannotListenError as error:
            where = f"{interface}, port {port}"
            raise click.ClickException(
                f"cannot listen on {where}: {cause(error)}; choose another --port or --listen"
            ) from None
        if not as_json:
            echo(f"Receiving deliveries at any path of http://{interface}:{listening.port}. Stop with Ctrl-C.", "good")
        try:
            await printer.over
        except CancelledError:
            pass
        finally:
            await listening.finish(reactor)
        return printer

    shown = in_reactor(work)
    if not as_json:
        echo(f"{shown.count} received, {shown.refused} rejected for an invalid signature")
    if count is not None and shown.refused:
        raise click.ClickException("a signature was invalid")
