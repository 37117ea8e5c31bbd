"""
What is remembered of one certificate beside itself, so that a restart neither hammers an authority nor forgets why
there is no certificate.
"""

from __future__ import annotations

from typing import Any

import cattrs
import orjson
from attrs import asdict, frozen

__all__ = ["Record"]


@frozen(kw_only=True)
class Record:
    """
    A sidecar of a certificate. Moments are in seconds since the epoch; 0 is "never".

    :ivar serial: of the certificate that ``profile``, ``account`` and the renewal information are about.
    :ivar account: URL of the account that ordered it.
    :ivar window_start: of the authority's renewal window.
    :ivar renew_at: the moment that was drawn from that window.
    :ivar ask_at: when to ask for renewal information again.
    :ivar failures: how often in a row it could not be had.
    :ivar next_attempt: not to be tried before.
    :ivar problem: why the last attempt failed; empty when it did not.
    :ivar blocked_by: fingerprint of the settings with which it is of no use to try again; empty when there are none.
    :ivar alarmed_at: when the alarm was last raised.
    :ivar recent_failures: moments of the failures of the last hour, for the authority's limit.
    """

    names: tuple[str, ...] = ()
    serial: str = ""
    not_before: float = 0.0
    not_after: float = 0.0
    issuer: str = ""
    profile: str = ""
    account: str = ""
    window_start: float = 0.0
    window_end: float = 0.0
    renew_at: float = 0.0
    ask_at: float = 0.0
    explanation: str = ""
    failures: int = 0
    last_attempt: float = 0.0
    next_attempt: float = 0.0
    problem: str = ""
    blocked_by: str = ""
    alarmed_at: float = 0.0
    recent_failures: tuple[float, ...] = ()

    def dump(self) -> bytes:
        """
        Write it.
        """
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def load(cls, text: bytes) -> Record:
        """
        Read what :meth:`dump` wrote, now or in another version: what is not known is passed over.

        :raises ValueError: it is not that.
        """
        try:
            content: Any = orjson.loads(text)
            return _CONVERTER.structure(content, cls)
        except Exception as error:
            raise ValueError("it is not a record of a certificate") from error


_CONVERTER = cattrs.Converter(detailed_validation=False)
