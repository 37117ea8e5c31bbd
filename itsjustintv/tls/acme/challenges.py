"""
ACME challenges (RFC 8555, section 8; RFC 8737): a responder for each type, in :data:`CHALLENGES`, and what port 80
answers. A responder only keeps what is to be served; it knows no listener.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, ClassVar

from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL
from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request
from txacme.interfaces import IResponder
from zope.interface import implementer

from itsjustintv.tls.acme.messages import AcmeChallenge
from itsjustintv.tls.certificate import KEY_TYPES, Bundle, general_name
from itsjustintv.tls.sni import make_context

__all__ = ["CHALLENGES", "ChallengeResource", "Http01Responder", "TlsAlpn01Responder", "challenge_bundle"]

_ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")


@implementer(IResponder)
@define(eq=False)
class Http01Responder:
    """
    http-01: what port 80 is to answer. ``response`` is the key authorization, here and in :class:`TlsAlpn01Responder`.
    """

    challenge_type: ClassVar[str] = "http-01"

    _clock: IReactorTime
    _answers: dict[bytes, bytes] = field(factory=dict, init=False, repr=False)

    def start_responding(self, server_name: str, challenge: AcmeChallenge, response: str) -> Deferred[None]:  # noqa: ARG002 - as IResponder has it
        self._answers[challenge.token.encode("ascii")] = response.encode("ascii")
        return succeed(None)

    def stop_responding(self, server_name: str, challenge: AcmeChallenge, response: str) -> Deferred[None]:  # noqa: ARG002 - as IResponder has it
        self._answers.pop(challenge.token.encode("ascii"), None)
        return succeed(None)

    def answer(self, token: bytes) -> bytes | None:
        """
        The key authorization of a token, while its challenge is pending.
        """
        return self._answers.get(token)


@implementer(IResponder)
@define(eq=False)
class TlsAlpn01Responder:
    """
    tls-alpn-01: the certificate to serve to a validator (RFC 8737).

    A validator says only the name, so each name has one pending challenge at a time; the next one waits.

    :ivar clock: dates the certificates.
    """

    challenge_type: ClassVar[str] = "tls-alpn-01"

    _clock: IReactorTime
    _contexts: dict[bytes, SSL.Context] = field(factory=dict, init=False, repr=False)
    _locks: defaultdict[bytes, DeferredLock] = field(factory=lambda: defaultdict(DeferredLock), init=False)

    def start_responding(self, server_name: str, challenge: AcmeChallenge, response: str) -> Deferred[None]:  # noqa: ARG002 - as IResponder has it
        return Deferred.fromCoroutine(self._start(server_name, response))

    def stop_responding(self, server_name: str, challenge: AcmeChallenge, response: str) -> Deferred[None]:  # noqa: ARG002 - as IResponder has it
        name = _validated_name(server_name)
        if self._contexts.pop(name, None) is not None:
            self._locks[name].release()
        return succeed(None)

    def context_for(self, name: bytes) -> SSL.Context | None:
        """
        The TLS context with the challenge certificate of a name, while its challenge is pending.
        """
        return self._contexts.get(name)

    async def _start(self, server_name: str, response: str) -> None:
        name = _validated_name(server_name)
        context = make_context(challenge_bundle(server_name, response, self._clock.seconds()))
        await self._locks[name].acquire()
        self._contexts[name] = context


#: The challenges that can be met: the type, as ACME calls it, and the class whose instances are made with a clock. The
#: first that is configured and offered is tried first.
CHALLENGES: Mapping[str, Callable[[IReactorTime], Any]] = {
    each.challenge_type: each for each in (Http01Responder, TlsAlpn01Responder)
}


def _validated_name(name: str) -> bytes:
    """
    The name that a validator sends: for an address that of its reverse look-up (RFC 8738, section 6).
    """
    found = general_name(name)
    return (found.value.reverse_pointer if isinstance(found, x509.IPAddress) else name).encode("ascii")


def challenge_bundle(name: str, authorization: str, now: float) -> Bundle:
    """
    Make the certificate of a challenge (RFC 8737, section 3): self-signed, for one name, with the digest of the key
    authorization in a critical extension.
    """
    key = KEY_TYPES["p256"]()
    today = datetime.fromtimestamp(now, UTC)
    digest = sha256(authorization.encode("ascii")).digest()
    # An OCTET STRING of DER: its tag, its length, its content.
    value = x509.UnrecognizedExtension(_ACME_IDENTIFIER, b"\x04" + bytes([len(digest)]) + digest)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ACME challenge")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([general_name(name)]), critical=True)
        .add_extension(value, critical=True)
        .sign(key, hashes.SHA256())
    )
    return Bundle(key, leaf, ())


# A name, perhaps with a dot at its end, or an address; and a port (RFC 9110, section 7.2).
_HOST = re.compile(r"([^:\[\]]+?|\[[0-9a-f:.]+\])\.?(?::[0-9]*)?")

_CHALLENGE_PATH = b"/.well-known/acme-challenge/"


class ChallengeResource(Resource):
    """
    Everything that port 80 answers: challenges, and redirects to HTTPS.

    A path is compared as bytes, never decoded, and looked up in a table only.
    """

    isLeaf = True

    def __init__(self, responder: Http01Responder, names: Callable[[], Collection[str]], https_port: int = 443) -> None:
        """
        :param names: the names that are served; there is no redirect to any other.
        :param https_port: the port of HTTPS, as the public sees it.
        """
        super().__init__()
        self._responder = responder
        self._names = names
        self._port = "" if https_port == 443 else f":{https_port}"

    def render(self, request: Request) -> bytes:
        if not request.path.startswith(_CHALLENGE_PATH):
            return self._redirect(request)
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"Allow", b"GET, HEAD")
            return _respond(request, http.NOT_ALLOWED)
        answer = self._responder.answer(request.path.removeprefix(_CHALLENGE_PATH))
        return _respond(request, http.NOT_FOUND) if answer is None else _respond(request, http.OK, answer)

    def _redirect(self, request: Request) -> bytes:
        # The Host header is not trusted elsewhere; here it is compared with the configured names.
        found = _HOST.fullmatch((request.getHeader(b"Host") or b"").decode("latin-1").lower())
        host = "" if found is None else found[1]
        if host.strip("[]") not in self._names() or not request.uri.startswith(b"/"):
            return _respond(request, http.NOT_FOUND)
        request.setHeader(b"Location", f"https://{host}{self._port}".encode("ascii") + request.uri)
        return _respond(request, http.PERMANENT_REDIRECT)


def _respond(request: Request, status: int, body: bytes = b"") -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/octet-stream")
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return b"" if request.method == b"HEAD" else body
