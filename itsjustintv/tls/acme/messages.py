"""
An authority's answers as frozen values (RFC 8555, section 7.1; RFC 9773).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urljoin

from attrs import field, frozen

from itsjustintv.errors import AcmeProblem, AcmeUnavailable
from itsjustintv.tls.acme.http import AcmeResponse, read_problem

__all__ = [
    "AcmeChallenge",
    "AcmeDirectory",
    "Authorization",
    "Binding",
    "Order",
    "RenewalInfo",
    "location",
    "read_authorization",
    "read_directory",
    "read_order",
    "read_renewal_info",
]


@frozen(kw_only=True)
class AcmeDirectory:
    """
    What an authority offers (RFC 8555, section 7.1.1).

    :ivar renewal_info: the URL of renewal information, or ``None``.
    :ivar profiles: the names of the profiles it lists.
    """

    new_nonce: str
    new_account: str
    new_order: str
    renewal_info: str | None
    terms: str | None
    profiles: frozenset[str]
    needs_binding: bool


@frozen(kw_only=True)
class Binding:
    """
    The operator's existing account with the authority.

    :ivar hmac_key: the secret, decoded.
    """

    kid: str
    hmac_key: bytes = field(repr=False)


@frozen
class AcmeChallenge:
    """
    A challenge that the authority offers.
    """

    type: str
    url: str
    token: str = field(repr=False)


@frozen
class Authorization:
    """
    Whether the account may have certificates for a name.

    :ivar problem: why not, if the authority said.
    """

    url: str
    name: str
    status: str
    challenges: Sequence[AcmeChallenge]
    problem: AcmeProblem | None


@frozen
class Order:
    """
    An order for a certificate.
    """

    url: str
    status: str
    authorizations: Sequence[str]
    finalize: str
    certificate: str | None
    problem: AcmeProblem | None


@frozen
class RenewalInfo:
    """
    When the authority would like a certificate to be renewed (RFC 9773).

    :ivar start: of the window, in seconds since the epoch.
    :ivar retry_after: seconds until it is worth asking again, or ``None`` when it did not say.
    """

    start: float
    end: float
    explanation: str
    retry_after: float | None


def location(response: AcmeResponse) -> str:
    """
    The URL of a resource that the authority created.

    :raises AcmeUnavailable: there is no Location header.
    """
    place = response.header("Location")
    if place is None:
        raise AcmeUnavailable("the authority sent no Location header")
    return urljoin(response.url, place)


def read_directory(response: AcmeResponse) -> AcmeDirectory:
    """
    Read a directory.

    :raises AcmeUnavailable: it is invalid.
    """
    content = response.content()
    meta = content.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    profiles = meta.get("profiles")
    return AcmeDirectory(
        new_nonce=_text(content, "newNonce"),
        new_account=_text(content, "newAccount"),
        new_order=_text(content, "newOrder"),
        renewal_info=_maybe_text(content, "renewalInfo"),
        terms=_maybe_text(meta, "termsOfService"),
        profiles=frozenset(profiles) if isinstance(profiles, dict) else frozenset(),
        needs_binding=meta.get("externalAccountRequired") is True,
    )


def read_order(url: str, response: AcmeResponse) -> Order:
    """
    Read an order.

    :param url: of the order.
    :raises AcmeUnavailable: it is invalid.
    """
    content = response.content()
    error = content.get("error")
    return Order(
        url=url,
        status=_text(content, "status"),
        authorizations=tuple(each for each in _list(content, "authorizations") if isinstance(each, str)),
        finalize=_text(content, "finalize"),
        certificate=_maybe_text(content, "certificate"),
        problem=None if error is None else read_problem(error, "the order failed"),
    )


def read_authorization(response: AcmeResponse) -> Authorization:
    """
    Read an authorization.

    :raises AcmeUnavailable: it is invalid.
    """
    content = response.content()
    identifier = content.get("identifier")
    name = identifier.get("value", "") if isinstance(identifier, dict) else ""
    challenges, problem = [], None
    for each in _list(content, "challenges"):
        if not isinstance(each, dict):
            continue
        if each.get("error") is not None:
            problem = read_problem(each["error"], f"{name} could not be validated")
        if isinstance(each.get("url"), str):
            challenges.append(AcmeChallenge(str(each.get("type")), each["url"], str(each.get("token") or "")))
    return Authorization(response.url, str(name), _text(content, "status"), tuple(challenges), problem)


def read_renewal_info(response: AcmeResponse) -> RenewalInfo:
    """
    Read renewal information.

    :raises AcmeUnavailable: it is invalid, or a window that ends before it starts.
    """
    content = response.content()
    window = content.get("suggestedWindow")
    try:
        moments = [datetime.fromisoformat(window[key]) for key in ("start", "end")]  # type: ignore[index]
        if any(each.tzinfo is None for each in moments):
            raise ValueError("it has no time zone")
        start, end = (each.timestamp() for each in moments)
    except (TypeError, KeyError, ValueError, OverflowError):
        raise AcmeUnavailable("the renewal information is invalid") from None
    if end <= start:
        raise AcmeUnavailable("the renewal information is invalid: its window ends before it starts")
    explanation = content.get("explanationURL")
    return RenewalInfo(start, end, explanation if isinstance(explanation, str) else "", response.retry_after)


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key)
    if not isinstance(value, str):
        raise AcmeUnavailable(f"the authority's answer has no {key}")
    return value


def _maybe_text(content: Mapping[str, Any], key: str) -> str | None:
    value = content.get(key)
    return value if isinstance(value, str) and value else None


def _list(content: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = content.get(key)
    return value if isinstance(value, list) else ()
