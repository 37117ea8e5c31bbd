"""
Questions to services that post nothing: whether an address and its token are good. Knows no service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from attrs import define
from zope.interface import implementer

from itsjustintv.destinations.post_body import AGENT
from itsjustintv.interfaces import IDestination, Probe
from itsjustintv.model import Delivery, Destination, Notice, OutgoingRequest, Result, Verdict
from itsjustintv.support.foreign_text import quote
from itsjustintv.support.http_response import Response

__all__ = ["ProbeAdapter", "answer_json", "get_request", "named"]


@implementer(IDestination)
@define(eq=False)
class ProbeAdapter:
    """
    Stands for an adapter in an exchange, in which it asks instead of sending. An answer that the probe does not know is
    read by the adapter itself.

    :ivar adapter: that of the destination.
    """

    _destination: Destination
    _probe: Probe
    _adapter: IDestination

    def render(self, notice: Notice) -> bytes:
        """
        Render nothing: a question has no notice.
        """
        raise NotImplementedError

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        request = self._probe.ask(self._destination.settings)
        if request is None:
            raise ValueError("there is nothing to ask")
        return request

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        known = self._probe.read(response, self._destination.settings)
        if known is None:
            return self._adapter.interpret(response, delivery, now)
        verdict = Verdict.OK if known.ok else Verdict.REJECTED
        reason = "delivered" if known.ok else verdict.value
        about = f"{self._destination.name} ({self._destination.kind})"
        return Result(reason, f"{about} {known.text}.", final=not known.ok, verdict=verdict)


def get_request(url: str, *headers: tuple[str, str], agent: str = AGENT) -> OutgoingRequest:
    """
    Make a request that reads.
    """
    return OutgoingRequest(method="GET", url=url, headers=[("User-Agent", agent), *headers], body=b"")


def answer_json(response: Response) -> Mapping[str, Any]:
    """
    The object in a successful answer; empty for anything else.
    """
    if response.status // 100 != 2:
        return {}
    try:
        found = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def named(values: Mapping[str, Any], *keys: str) -> str:
    """
    Quote the first of these texts that is there, without what could control a terminal.
    """
    found: Sequence[Any] = [values.get(key) for key in keys]
    return next((quote(each) for each in found if isinstance(each, str) and each.strip()), "without a name")
