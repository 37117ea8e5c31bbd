"""
One HTTP request to a certificate authority, bounded in time and size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
from attrs import define, frozen
from treq.client import HTTPClient
from twisted.internet.interfaces import IReactorTime
from twisted.web.http_headers import Headers

from itsjustintv.errors import AcmeProblem, AcmeUnavailable
from itsjustintv.support.causes import cause
from itsjustintv.support.http_client import request
from itsjustintv.support.http_response import header_values, one_line, retry_after

__all__ = ["AcmeResponse", "AcmeTransport", "explain", "is_final", "is_replacement_error", "read_problem"]

# Bytes of a response body. A certificate chain has some ten kilobytes.
_MAX_BODY = 512 * 1024

# Seconds; a longer wait is no date that can be written.
_LONGEST_WAIT = 1e11

# Characters of the authority's own text in our messages.
_MAX_QUOTED = 400


@frozen
class AcmeResponse:
    """
    A complete response.

    :ivar now: when it came, in seconds since the epoch.
    """

    url: str
    status: int
    headers: Headers
    body: bytes
    now: float

    def header(self, name: str) -> str | None:
        """
        The last value of a header.
        """
        values = self.headers.getRawHeaders(name)
        return values[-1] if values else None

    @property
    def retry_after(self) -> float | None:
        """
        Seconds to wait, given as a number or as a date (RFC 9110, section 10.2.3). Never negative; ``None`` when it is
        missing or invalid.
        """
        seconds = retry_after(header_values(self.headers, b"Retry-After"), self.now)
        return seconds if seconds is not None and seconds < _LONGEST_WAIT else None

    def content(self) -> dict[str, Any]:
        """
        The JSON object in the body.

        :raises AcmeUnavailable: there is none.
        """
        try:
            content = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            content = None
        if not isinstance(content, dict):
            raise AcmeUnavailable(f"{_host(self.url)} answered {self.status} with something that is not a JSON object")
        return content

    def problem(self) -> AcmeProblem:
        """
        The error in the response, with or without a problem document.
        """
        try:
            content = self.content()
        except AcmeUnavailable:
            content = {}
        return read_problem(content, f"{_host(self.url)} answered {self.status}", self.status, self.retry_after)


def read_problem(content: Any, what: str, status: int = 0, retry_after: float | None = None) -> AcmeProblem:
    """
    Read a problem document (RFC 7807; RFC 8555, section 6.7), with its subproblems.

    :param what: begins the message.
    """
    if not isinstance(content, dict):
        content = {}
    kind = _line(content.get("type")).rpartition(":")[2]
    details = [_line(content.get("detail"))]
    for each in content.get("subproblems") or () if isinstance(content.get("subproblems"), list) else ():
        if isinstance(each, dict):
            identifier = each.get("identifier")
            name = _line(identifier.get("value")) if isinstance(identifier, dict) else ""
            details.append(f"{name}: {_line(each.get('detail'))}".removeprefix(": "))
    detail = "; ".join(each for each in details if each)[:_MAX_QUOTED]
    said = f"{what} ({': '.join(each for each in (kind, detail) if each)})" if kind or detail else what
    return AcmeProblem(said, kind=kind, detail=detail, status=status, retry_after=retry_after)


@define(eq=False)
class AcmeTransport:
    """
    Sends requests to an authority.

    :ivar http: opens the connections, and decides which authority is trusted.
    :ivar timeout: seconds for one request, from resolving the name to the last byte.
    """

    _http: HTTPClient
    _clock: IReactorTime
    _timeout: float = 30.0

    async def request(
        self, method: str, url: str, body: bytes | None = None, accept: str = "application/json"
    ) -> AcmeResponse:
        """
        Send one request and read the response, whatever its status. Redirects are not followed: a signed request is for
        one URL. Cancelling closes the connection.

        :raises AcmeUnavailable: there is no complete response.
        """
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = "application/jose+json"
        response = await request(
            self._http,
            self._clock,
            method,
            url,
            timeout=self._timeout,
            limit=_MAX_BODY,
            known=AcmeUnavailable,
            failed=lambda reason: AcmeUnavailable(f"{_host(url)}: {reason}"),
            headers=headers,
            data=body,
        )
        return AcmeResponse(url, response.status, response.headers, response.body, self._clock.seconds())


def _host(url: str) -> str:
    return urlsplit(url).netloc or url


def _line(text: Any) -> str:
    """
    The authority's text, on one line and bounded.
    """
    if text is None:
        return ""
    return one_line(str(text))[:_MAX_QUOTED]


# Hints by problem type, for refusals that are final until the operator acts.
_FINAL_HINTS: Mapping[str, str] = {
    "badCSR": "choose another server.tls.key_type",
    "badPublicKey": "choose another server.tls.key_type",
    "externalAccountRequired": (
        "set server.tls.eab_kid, and server.tls.eab_hmac or server.tls.eab_hmac_file, to what the authority gave you"
    ),
    "invalidContact": "correct server.tls.email, or leave it out",
    "invalidProfile": "choose a profile that the authority lists, or remove server.tls.profile",
    "rejectedIdentifier": "the authority will not sign this name: correct server.tls.domains",
    "unsupportedContact": "correct server.tls.email, or leave it out",
    "unsupportedIdentifier": "the authority does not sign such names: correct server.tls.domains",
    "userActionRequired": "do what the authority asks, then reload the configuration",
}

_RETRY_HINTS: Mapping[str, str] = {
    "caa": "a CAA record of the domain does not allow this authority: change it",
    "connection": "the authority cannot reach this machine: open the port to the internet",
    "dns": "the name does not resolve to this machine: correct its A and AAAA records",
    "incorrectResponse": "another server answers for this name: make it resolve to this machine",
    "rateLimited": "there is nothing to do but wait",
    "tls": "the authority reached another server: port 443 of the name must lead directly to this one",
    "unauthorized": "another server answers for this name: its A and AAAA records must point to this machine only",
}


def is_final(problem: AcmeProblem) -> bool:
    """
    Whether the same order will be refused until the operator changes something.
    """
    return problem.kind in _FINAL_HINTS


def is_replacement_error(problem: AcmeProblem) -> bool:
    """
    Whether an order may have been refused because of the certificate it replaces (RFC 9773, section 5): it was replaced
    before, is of another account, or unknown. Authorities differ in type and status, and Pebble fails.
    """
    return problem.status in {404, 409, 500} or problem.kind in {"malformed", "unauthorized"}


def explain(error: Exception) -> str:
    """
    Say why there is no certificate and, where that is known, what to do.
    """
    hint = (_FINAL_HINTS.get(error.kind) or _RETRY_HINTS.get(error.kind, "")) if isinstance(error, AcmeProblem) else ""
    return ": ".join(each for each in (str(error) or cause(error), hint) if each)
