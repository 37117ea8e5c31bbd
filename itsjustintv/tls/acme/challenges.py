"""
Proofs of the control of a name, ready for when the authority comes to see (RFC 8555, section 8; RFC 8737). Tables only:
who serves them is not decided here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import ClassVar

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
from itsjustintv.tls.sni import context_of

__all__ = ["ChallengeResource", "Http01Responder", "TlsAlpn01Responder", "challenge_bundle"]

_ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")


@implementer(IResponder)
@define(eq=False)
class Http01Responder:
    """
    What to answer on port 80.

    As with :class:`TlsAlpn01Responder`, ``response`` is the key authorization.
    """

    challenge_type: ClassVar[str] = "http-01"

    _answers: dict[bytes, bytes] = field(factory=dict, init=False, repr=False)

    def start_responding(self, server_name: str, challenge: AcmeChallenge, response: str) -> Deferred[None]:  # noqa: ARG002 - as IResponder has it
        """
        Be ready.
        """
        self._answers[challenge.token.encode("ascii")] = response.encode("ascii")
        return succeed(None)

    def stop_responding(self, server_name: str, challenge: AcmeChallenge, response: str) -> Deferred[None]:  # noqa: ARG002 - as IResponder has it
        """
        Forget it.
        """
        self._answers.pop(challenge.token.encode("ascii"), None)
        return succeed(None)

    def answer(self, token: bytes) -> bytes | None:
        """
        The key authorization of a token, while it is expected.
        """
        return self._answers.get(token)


@implementer(IResponder)
@define(eq=False)
class TlsAlpn01Responder:
    """
    What to serve to a validator on port 443: for each name one challenge at a time, since the validator says no more
    than the name. Whoever comes second is ready once the first has been met.
    """

    challenge_type: ClassVar[str] = "tls-alpn-01"

    _clock: IReactorTime
    _contexts: dict[bytes, SSL.Context] = field(factory=dict, init=False, repr=False)
    _turns: defaultdict[bytes, DeferredLock] = field(factory=lambda: defaultdict(DeferredLock), init=False)

    def start_responding(self, server_name: str, challenge: AcmeChallenge, response: str) -> Deferred[None]:  # noqa: ARG002 - as IResponder has it
        """
        Be ready.
        """
        return Deferred.fromCoroutine(self._start(server_name, response))

    def stop_responding(self, server_name: str, challenge: AcmeChallenge, response: str) -> Deferred[None]:  # noqa: ARG002 - as IResponder has it
        """
        Forget it.
        """
        name = _asked_for(server_name)
        if self._contexts.pop(name, None) is not None:
            self._turns[name].release()
        return succeed(None)

    def context_for(self, name: bytes) -> SSL.Context | None:
        """
        The challenge of a name, while it is expected.
        """
        return self._contexts.get(name)

    async def _start(self, server_name: str, response: str) -> None:
        name, context = (
            _asked_for(server_name),
            context_of(challenge_bundle(server_name, response, self._clock.seconds())),
        )
        await self._turns[name].acquire()
        self._contexts[name] = context


def _asked_for(name: str) -> bytes:
    """
    By what name a validator asks: for an address it is that of its reverse look-up (RFC 8738, section 6).
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

_PROOFS = b"/.well-known/acme-challenge/"


class ChallengeResource(Resource):
    """
    The root of a site that has nothing else. Whoever scans the internet comes by here: a path is compared as the bytes
    that it is, and never decoded or looked up anywhere but in a table.

    :param names: the names that are served. Nobody is sent to another one, whatever a request says.
    :param https_port: where HTTPS is, as the outside sees it.
    """

    isLeaf = True

    def __init__(self, responder: Http01Responder, names: Callable[[], Collection[str]], https_port: int = 443) -> None:
        super().__init__()
        self._responder = responder
        self._names = names
        self._port = "" if https_port == 443 else f":{https_port}"

    def render(self, request: Request) -> bytes:
        """
        Answer one request.
        """
        if not request.path.startswith(_PROOFS):
            return self._lead(request)
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"Allow", b"GET, HEAD")
            return _say(request, http.NOT_ALLOWED)
        answer = self._responder.answer(request.path.removeprefix(_PROOFS))
        return _say(request, http.NOT_FOUND) if answer is None else _say(request, http.OK, answer)

    def _lead(self, request: Request) -> bytes:
        """
        Send somebody to HTTPS, with the method and all.
        """
        # As it was sent: the site does not believe it, but here it is compared with what we know.
        found = _HOST.fullmatch((request.getHeader(b"Host") or b"").decode("latin-1").lower())
        host = "" if found is None else found[1]
        if host.strip("[]") not in self._names() or not request.uri.startswith(b"/"):
            return _say(request, http.NOT_FOUND)
        request.setHeader(b"Location", f"https://{host}{self._port}".encode("ascii") + request.uri)
        return _say(request, http.PERMANENT_REDIRECT)


def _say(request: Request, status: int, body: bytes = b"") -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/octet-stream")
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return b"" if request.method == b"HEAD" else body
