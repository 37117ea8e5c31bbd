"""
What to do about the words of an authority (RFC 8555, section 6.7).
"""

from __future__ import annotations

from collections.abc import Mapping

from itsjustintv.errors import AcmeProblem
from itsjustintv.support.causes import cause

__all__ = ["explained", "is_final", "of_replacing"]

# What will not go away by itself, and who must do what.
_FINAL: Mapping[str, str] = {
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

_PASSING: Mapping[str, str] = {
    "caa": "a CAA record of the domain does not allow this authority: change it",
    "connection": "the authority cannot reach this machine: see that the port is open to the internet",
    "dns": "the name does not lead here: see that its A and AAAA records are right",
    "incorrectResponse": "somebody else answers for this name: see that it leads to this machine",
    "rateLimited": "wait: there is nothing to be done",
    "tls": "the authority reached a server that does not answer as this one: see that port 443 leads here directly",
    "unauthorized": "somebody else answers for this name: see that its A and AAAA records lead to this machine only",
}


def is_final(problem: AcmeProblem) -> bool:
    """
    Whether the same order will be refused until somebody changes something.
    """
    return problem.kind in _FINAL


def of_replacing(problem: AcmeProblem) -> bool:
    """
    Whether an order may have been refused for the certificate that it says it replaces (RFC 9773, section 5): it was
    replaced before, or is of another account, or not known any more. Authorities differ in the type and the status that
    they give to this, and Pebble fails.
    """
    return problem.status in {404, 409, 500} or problem.kind in {"malformed", "unauthorized"}


def explained(error: Exception) -> str:
    """
    Say why there is no certificate and, where that is known, what to do.
    """
    hint = (_FINAL.get(error.kind) or _PASSING.get(error.kind, "")) if isinstance(error, AcmeProblem) else ""
    return ": ".join(each for each in (str(error) or cause(error), hint) if each)
