"""
The exceptions of itsjustintv. Each says by its class what to do next.

::

    ItsJustInTVError
    |-- ConfigError          the operator must edit the configuration
    |-- KindUnavailable      a package that adds a type of destinations cannot be used: the operator must repair it
    |-- JournalUnavailable   nothing was kept: answer 503, or try the same thing again later
    |-- JournalInUse         another process owns the storage: do not start
    |-- OperationRefused     this makes no sense for the delivery in its state; the text says why
    |   `-- DeliveryNotFound     there is no such delivery
    |-- AmbiguousId          several ids begin so: type more of it
    |-- CannotServe          the port cannot be had: do not start
    |-- Refused              an incoming message is not to be believed or cannot be read
    |   |-- Forged           the signature is missing, malformed or wrong: 403
    |   |-- Stale            authentic, but too far from now: 403
    |   `-- Unreadable       authentic, but not what EventSub sends: 400
    |-- CertificateError     a certificate could not be had or cannot be used
    |   |-- AcmeUnavailable      the authority gave no usable answer: worth another try later
    |   |-- AcmeProblem          the authority refused, and said why
    |   |-- CertificateUnusable  it is not for this key, these names or this time, or cannot be read
    |   `-- CertificatesUnsafe   private keys can be read by others, or not kept: do not start
    `-- TwitchError          a call to Twitch gave no usable answer
        |-- TwitchUnavailable    worth another try later
        `-- TwitchRejected       the same call will be rejected again until the configuration changes
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

__all__ = [
    "AcmeProblem",
    "AcmeUnavailable",
    "AmbiguousId",
    "CannotServe",
    "CertificateError",
    "CertificateUnusable",
    "CertificatesUnsafe",
    "ConfigError",
    "DeliveryNotFound",
    "Forged",
    "ItsJustInTVError",
    "JournalInUse",
    "JournalUnavailable",
    "KindUnavailable",
    "OperationRefused",
    "Problem",
    "Refused",
    "Stale",
    "TwitchError",
    "TwitchRejected",
    "TwitchUnavailable",
    "Unreadable",
]

# Candidates that an error lists.
_LISTED = 10


class ItsJustInTVError(Exception):
    """
    Anything that went wrong and that this program has a name for.
    """


@frozen
class Problem:
    """
    One thing that is wrong with a configuration.

    :ivar path: where, as an operator would look for it: ``streamers.foo.login``, or the name of the file.
    :ivar message: what is wrong and what is allowed. Never holds the value of a secret.
    :ivar lines: what to write instead, in TOML; without secrets as well.
    """

    path: str
    message: str
    lines: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class ConfigError(ItsJustInTVError):
    """
    The configuration cannot be used; ``problems`` lists everything that is wrong with it, not only the first thing.

    :ivar warnings: what is allowed and yet seldom meant; it may be why something is missing.
    """

    def __init__(self, problems: tuple[Problem, ...], warnings: tuple[Problem, ...] = ()) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
        self.warnings = warnings

    def lines(self) -> Iterator[str]:
        """
        Everything an operator should read, one line each.
        """
        yield from map(str, self.problems)
        yield from (f"warning: {warning}" for warning in self.warnings)


class KindUnavailable(ItsJustInTVError):
    """
    An installed package says that it adds a type of destinations, but that cannot be loaded; the text names the
    package.
    """


class JournalUnavailable(ItsJustInTVError):
    """
    The journal did not commit: disk full, read-only, busy or closed. None of the write took effect.
    """


class JournalInUse(ItsJustInTVError):
    """
    Another process holds the lock of this journal.
    """


class OperationRefused(ItsJustInTVError):
    """
    What an operator asked for is not possible in the current state; the text says why.
    """


class DeliveryNotFound(OperationRefused):
    """
    There is no such delivery.
    """


class AmbiguousId(ItsJustInTVError):
    """
    Several ids begin with what an operator typed; the text lists them.
    """

    def __init__(self, text: str, ids: Sequence[str]) -> None:
        listed = ", ".join([*ids[:_LISTED], *["..."] * (len(ids) > _LISTED)])
        super().__init__(f"{text} is ambiguous, type more of it: {listed}")


class CannotServe(ItsJustInTVError):
    """
    The daemon cannot listen where it is configured to.
    """


class Refused(ItsJustInTVError):
    """
    An incoming message that is not acted upon; the text says why without quoting it.
    """


class Forged(Refused):
    """
    The signature is missing, malformed or does not belong to this message.
    """


class Stale(Refused):
    """
    The signature holds, but the message was sent too long ago, or claims to come from the future.
    """


class Unreadable(Refused):
    """
    The signature holds, but the body is not a message that EventSub documents.
    """


class CertificateError(ItsJustInTVError):
    """
    A certificate could not be had, or cannot be used.
    """


class AcmeUnavailable(CertificateError):
    """
    The certificate authority gave no usable answer: a timeout, a connection that failed, an answer that cannot be read.
    """


class AcmeProblem(CertificateError):
    """
    The certificate authority refused something, with a problem document (RFC 8555, section 6.7) or a bare status.

    :ivar kind: the last part of its type: ``rateLimited``; empty when there was none.
    :ivar detail: what the authority says, on one line.
    :ivar status: of the HTTP answer; 0 when the problem was part of an order or a challenge.
    :ivar retry_after: seconds to wait at least, or ``None`` when it did not say.
    """

    def __init__(self, message: str, *, kind: str, detail: str, status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.detail = detail
        self.status = status
        self.retry_after = retry_after


class CertificateUnusable(CertificateError):
    """
    A certificate or its key cannot be read, or is not for this key, these names or this time.
    """


class CertificatesUnsafe(CertificateError):
    """
    Where private keys are kept can be read by others, or cannot be written: do not start.
    """


class TwitchError(ItsJustInTVError):
    """
    A call to Twitch gave no usable answer.
    """


class TwitchUnavailable(TwitchError):
    """
    Worth another try: a timeout, a connection that failed, 429 or 5xx.

    :ivar retry_after: seconds to wait at least, or ``None`` when Twitch did not say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TwitchRejected(TwitchError):
    """
    Not worth another try until the operator or the code changes something.

    :ivar status: the HTTP status of the answer.
    :ivar body: the answer as Twitch gave it.
    """

    def __init__(self, message: str, status: int, body: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.body = body
