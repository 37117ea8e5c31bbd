"""
The exceptions of itsjustintv. Each says by its class what to do next.

::

    ItsJustInTVError
    |-- ConfigError          the operator must edit the configuration
    |-- JournalUnavailable   nothing was kept: answer 503, or try the same thing again later
    |-- JournalInUse         another process owns the storage: do not start
    |-- CannotServe          the port cannot be had: do not start
    |-- Refused              an incoming message is not to be believed or cannot be read
    |   |-- Forged           the signature is missing, malformed or wrong: 403
    |   |-- Stale            authentic, but too far from now: 403
    |   `-- Unreadable       authentic, but not what EventSub sends: 400
    `-- TwitchError          a call to Twitch gave no usable answer
        |-- TwitchUnavailable    worth another try later
        `-- TwitchRejected       the same call will be rejected again until somebody changes something
"""

from __future__ import annotations

from attrs import frozen

__all__ = [
    "CannotServe",
    "ConfigError",
    "Forged",
    "ItsJustInTVError",
    "JournalInUse",
    "JournalUnavailable",
    "Problem",
    "Refused",
    "Stale",
    "TwitchError",
    "TwitchRejected",
    "TwitchUnavailable",
    "Unreadable",
]


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
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class ConfigError(ItsJustInTVError):
    """
    The configuration cannot be used; ``problems`` lists everything that is wrong with it, not only the first thing.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class JournalUnavailable(ItsJustInTVError):
    """
    The journal did not commit: disk full, read-only, busy or closed. None of the write took effect.
    """


class JournalInUse(ItsJustInTVError):
    """
    Another process holds the lock of this journal.
    """


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
