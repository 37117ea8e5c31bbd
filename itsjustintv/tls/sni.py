"""
Which certificate a connection gets, by the name that the client sends (SNI). Knows no files: replacing a context is all
there is to a renewal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from attrs import define, field
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolNegotiationFactory
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.logger import Logger
from zope.interface import implementer

from itsjustintv.errors import CertificateUnusable
from itsjustintv.tls.certificate import Bundle

__all__ = ["ACME_TLS", "ContextMap", "make_context"]

#: The protocol of a validator (RFC 8737, section 4).
ACME_TLS = b"acme-tls/1"

#: Returns the challenge context of a name in lower case, if there is one.
ChallengeFor = Callable[[bytes], SSL.Context | None]


class _NoChallenge(SSL.Error):
    """
    Ends a handshake with an alert. Twisted expects errors of OpenSSL, so this is one.
    """


def make_context(bundle: Bundle) -> SSL.Context:
    """
    Make a context that serves a certificate: TLS 1.2 and 1.3, without sessions, so that no returning client gets an old
    certificate.

    :raises CertificateUnusable: OpenSSL would not serve it, because its key is too weak for instance.
    """
    # Twisted's annotations name the types of pyOpenSSL, which deprecates them in favour of these.
    certificates: list[Any] = [bundle.leaf, *bundle.chain]
    options = CertificateOptions(
        privateKey=cast("Any", bundle.key),
        certificate=certificates[0],
        extraCertChain=certificates[1:],
        raiseMinimumTo=TLSVersion.TLSv1_2,
    )
    try:
        return options.getContext()
    except SSL.Error as error:
        reasons = ", ".join(reason for _, _, reason in error.args[0]) if error.args else ""
        raise CertificateUnusable(f"OpenSSL refuses it ({reasons or 'without a reason'})") from None


@implementer(IOpenSSLServerConnectionCreator)
@define(eq=False)
class ContextMap:
    """
    The TLS contexts by name.

    An open connection keeps its context; the next one gets the current one. A context must not be changed after its
    first connection, so each certificate gets a new one.

    :ivar challenge_for: returns the challenge context of tls-alpn-01 for a name, if there is one.
    """

    _challenge_for: ChallengeFor = lambda _: None
    _contexts: dict[bytes, SSL.Context] = field(factory=dict, init=False)
    _default: bytes = field(default=b"", init=False)
    _initial: CertificateOptions = field(init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        # Every connection starts with a context without a certificate, so a name that is not served fails there.
        self._initial = CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_2, contextForServerName=self._context_for)
        self._initial.getContext().set_alpn_select_callback(self._select)

    def put(self, name: str, bundle: Bundle) -> None:
        """
        Serve a name with a certificate from now on.

        :param name: in lower case; ``*.example.org`` stands for every name with one more label.
        """
        context = make_context(bundle)
        # After the switch to this context OpenSSL calls its callback.
        context.set_alpn_select_callback(self._select)
        self._contexts[name.encode("ascii")] = context

    def drop(self, name: str) -> None:
        self._contexts.pop(name.encode("ascii"), None)

    def inherit(self, other: ContextMap, names: Iterable[str]) -> None:
        """
        Serve names without a certificate as another map serves them. Both must share the challenge responders.
        """
        for name in names:
            key = name.encode("ascii")
            found = other._find(key)
            if found is not None and self._find(key) is None:
                self._contexts[key] = found

    def set_default(self, name: str) -> None:
        """
        Choose the name for clients that send none.
        """
        self._default = name.encode("ascii")

    @property
    def names(self) -> frozenset[str]:
        """
        The names with a certificate.
        """
        return frozenset(name.decode("ascii") for name in self._contexts)

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        connection: SSL.Connection = self._initial.serverConnectionForTLS(protocol)
        return connection

    def _context_for(self, name: bytes | None) -> SSL.Context | None:
        """
        Called by OpenSSL with the name that the client sends. Only looks into a table.
        """
        wanted = _normalise(name) if name else self._default
        found = self._find(wanted)
        if found is None:
            self.log.debug("no certificate for {name}", name=repr(wanted))
        return found

    def _find(self, name: bytes) -> SSL.Context | None:
        return self._contexts.get(name) or self._contexts.get(b"*." + name.partition(b".")[2])

    def _select(self, connection: SSL.Connection, offered: Sequence[bytes]) -> Any:
        """
        Choose the protocol (ALPN).

        :raises _NoChallenge: a validator found no challenge, or came with TLS 1.2: there OpenSSL has chosen the
            certificate already, and to take it away then is a use of freed memory.
        """
        if list(offered) == [ACME_TLS]:
            challenge = self._challenge_for(_normalise(connection.get_servername() or b""))
            if challenge is None or connection.get_protocol_version() < SSL.TLS1_3_VERSION:
                raise _NoChallenge([("itsjustintv", "", "no challenge to be met here")])
            connection.set_context(challenge)
            return ACME_TLS
        for each in _protocols_behind(connection):
            if each in offered:
                return each
        return SSL.NO_OVERLAPPING_PROTOCOLS


def _normalise(name: bytes) -> bytes:
    """
    A name as it is in the table (RFC 6066, section 3: no trailing dot, any case).
    """
    return name.lower().removesuffix(b".")


def _protocols_behind(connection: SSL.Connection) -> Sequence[bytes]:
    """
    What the protocol within TLS can speak, the preferred first.
    """
    factory = connection.get_app_data().factory
    speaking = IProtocolNegotiationFactory(factory.wrappedFactory, None)
    return () if speaking is None else tuple(speaking.acceptableProtocols())
