"""
How a request authenticates itself to a receiver that an operator runs: signatures, a bearer token, headers of its own.
Shared by the kinds ``webhook`` and ``cloudevents``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import field, frozen

from itsjustintv import __version__
from itsjustintv.config.lint import describe
from itsjustintv.config.urls import receiver_url
from itsjustintv.config.values import hashing, header, one_of, visible
from itsjustintv.support.signatures import HASHINGS, SIGNERS, Signable

__all__ = ["ReceiverSettings", "check_receiver", "receiver_place"]


@frozen(kw_only=True)
class ReceiverSettings:
    """
    The keys that a receiver has in ``[destinations.NAME]``.

    :ivar secret: signs; empty for no ``hub`` signature.
    :ivar old_secret: the secret before that, for as long as some receiver still verifies with it.
    :ivar header: of the ``hub`` signature.
    :ivar hashing: of the ``hub`` signature: ``SHA-256``, or hashlib's name for it.
    :ivar signature: a key of :data:`~itsjustintv.support.signatures.SIGNERS`.
    :ivar bearer_token: for the header ``Authorization``; empty for none.
    :ivar headers: more headers, each as ``Name: value``.
    """

    url: str = field(repr=False)
    secret: str = field(default="", repr=False)
    old_secret: str = field(default="", repr=False)
    header: str = "X-Hub-Signature-256"
    hashing: str = "SHA-256"
    signature: str = "hub"
    bearer_token: str = field(default="", repr=False)
    headers: tuple[str, ...] = field(default=(), repr=False)

    def request_headers(self, message_id: str, now: float, body: bytes) -> Iterator[tuple[str, str]]:
        """
        List the headers of a request, apart from the type of its body. The exact bytes are signed, anew for each
        attempt: a verifier rejects a timestamp that is minutes old.

        :param message_id: the same in every attempt.
        :param now: by the wall clock.
        :raises ValueError: it cannot be signed.
        """
        signable = Signable(
            secret=self.secret,
            old_secret=self.old_secret,
            header=self.header,
            hashing=HASHINGS.get(self.hashing.upper(), self.hashing),
            message_id=message_id,
            timestamp=int(now),
            body=body,
        )
        yield "User-Agent", f"itsjustintv/{__version__}"
        for signer in SIGNERS[self.signature]:
            if self.secret or not signer.optional:
                yield from signer.headers(signable)
        if self.bearer_token:
            yield "Authorization", f"Bearer {self.bearer_token}"
        for each in self.headers:
            name, _, value = each.partition(":")
            yield name.strip(), value.strip()


def receiver_place(settings: ReceiverSettings) -> Sequence[str]:
    """
    What makes two receivers the same.
    """
    return (settings.url,)


_AUTHORIZATION = "authorization"

# Beside those that config.values reserves: a delivery has them, or they are about the connection, or would make the
# receiver wait, compress its answer or take the request for another one.
_RESERVED = frozenset(
    {
        "accept-encoding",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "traceparent",
        "tracestate",
        "upgrade",
    }
)

_EXAMPLE = 'must be a list of texts like "X-Team: red"'


def check_receiver(settings: ReceiverSettings) -> Iterator[tuple[str, str]]:
    """
    Find the mistakes: the key, and what is wrong. Nothing of a secret is quoted but single characters.
    """
    if settings.url:
        yield from (("url", sentence) for sentence in receiver_url(settings.url))
    yield from (("header", sentence) for sentence in header(settings.header))
    yield from (("hashing", sentence) for sentence in hashing(settings.hashing))
    yield from (("signature", sentence) for sentence in one_of(*SIGNERS)(settings.signature))
    yield from _secrets(settings)
    if settings.bearer_token:
        yield from (("bearer_token", sentence) for sentence in visible(settings.bearer_token))
    yield from (("headers", sentence) for sentence in _headers(settings))


def _secrets(settings: ReceiverSettings) -> Iterator[tuple[str, str]]:
    for signer in SIGNERS.get(settings.signature, ()):
        given = [("secret", settings.secret), *([("old_secret", settings.old_secret)] if settings.old_secret else [])]
        for key, secret in given:
            try:
                signer.check(secret)
            except ValueError as error:
                yield key, f'{error}, since signature is "{settings.signature}"'
    if settings.old_secret and not settings.secret:
        yield "old_secret", "must not be given without secret"
    elif settings.old_secret and settings.old_secret == settings.secret:
        yield "old_secret", "must be another secret than secret: remove it once every receiver knows the new one"
    elif settings.old_secret and settings.signature == "hub":
        yield "old_secret", 'must not be given with signature "hub", which is made with secret alone'


def _headers(settings: ReceiverSettings) -> Iterator[str]:
    taken = {settings.header.lower(): "the signature has it already"}
    if settings.bearer_token:
        taken[_AUTHORIZATION] = "bearer_token sets it already"
    for number, each in enumerate(settings.headers, 1):
        name, colon, value = (part.strip(" ") for part in each.partition(":"))
        lower = name.lower()
        if not colon or not name:
            yield f"{_EXAMPLE}: number {number} has no {'name before the colon' if colon else 'colon'}"
            continue
        yield from (f"{sentence} (number {number})" for sentence in header(name))
        if lower in _RESERVED or lower.startswith("ce-"):
            yield f"must be other headers: {name.title()} (number {number}) is reserved"
        if lower in taken:
            yield f"must be other headers: {taken[lower]} (number {number})"
        taken.setdefault(lower, "another entry has it already")
        if odd := [c for c in dict.fromkeys(value) if not c.isascii() or not c.isprintable()]:
            yield f"must have values of printable ASCII, and number {number} holds {describe(odd)}"
        elif not value:
            yield f"must have values: number {number} has nothing after the colon"
