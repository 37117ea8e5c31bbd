"""
What a service answered, read once, and the results that an adapter makes of it. Knows no service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

import orjson
from attrs import evolve, frozen
from twisted.web import http

from itsjustintv.destinations.response import classify_status
from itsjustintv.model import Destination, Result, Verdict
from itsjustintv.support.http_response import Response, header_values, retry_after

__all__ = ["ServiceAnswer", "number", "shown_word"]

# What is shown of a path or a code that a service names; anything else in it could be a foreign text.
_WORD = re.compile(r"[A-Za-z0-9_.\[\]-]{1,80}")

# No service may make its destinations wait for longer at once, in seconds.
_LONGEST_WAIT = 86400.0


@frozen
class ServiceAnswer:
    """
    An answer, its JSON and the waits it asks for. Each method makes a result whose detail is one sentence without a
    foreign text.

    :ivar json: the object in the body; empty when there is none.
    :ivar retry_after: seconds of the header ``Retry-After``.
    """

    destination: Destination
    response: Response
    json: Mapping[str, Any]
    retry_after: float | None

    @classmethod
    def read(cls, destination: Destination, response: Response, now: float) -> ServiceAnswer:
        """
        :param now: by the wall clock, for a ``Retry-After`` that is a date.
        """
        try:
            found = orjson.loads(response.body)
        except orjson.JSONDecodeError:
            found = None
        wait = retry_after(header_values(response.headers, b"Retry-After"), now)
        return cls(destination, response, found if isinstance(found, dict) else {}, wait)

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def is_success(self) -> bool:
        return self.status // 100 == 2

    def text(self) -> str:
        """
        The body as text, for services that answer in words.
        """
        return self.response.body.decode("utf-8", "replace").strip()

    def header_number(self, name: str) -> float | None:
        """
        A header as a number that is not negative, if it is one.
        """
        values = header_values(self.response.headers, name.encode("ascii"))
        return number(values[0]) if values else None

    def by_status(self) -> Result:
        """
        What the status means to any destination: 2xx is success, anything else is tried again.
        """
        if self.status >= http.INTERNAL_SERVER_ERROR:
            return self.retry("has a fault of its own")
        return evolve(classify_status(self.status, self.destination.name, self.retry_after), final=False)

    def delivered(self, remote: str = "", pause: float | None = None) -> Result:
        """
        :param pause: seconds until the service takes the next request, if it says so.
        """
        return Result(
            "delivered",
            f"{self.destination.name} answered {self.status}.",
            verdict=Verdict.OK,
            remote=remote,
            pause=_bounded(pause),
        )

    def retry(self, why: str, wait: float | None = None) -> Result:
        """
        Try again, after ``wait`` seconds at the earliest.

        :param why: a clause about the service, such as ``is overloaded``.
        """
        return self._make(Verdict.RETRY, why, wait=self.retry_after if wait is None else wait)

    def pause(self, why: str, wait: float | None = None, *, host: bool = False, pace: float = 0.0) -> Result:
        """
        Send nothing to the place, or to the whole host, for ``wait`` seconds: by default what the service says, or a
        minute; and then one request in ``pace`` seconds.
        """
        seconds = next((each for each in (wait, self.retry_after) if each is not None), 60.0)
        return evolve(self._make(Verdict.PAUSE, why, wait=seconds), pause=_bounded(seconds), pause_host=host, pace=pace)

    def rejected(self, why: str) -> Result:
        """
        This content will never be taken.

        :param why: a clause about the service; :func:`shown_word` makes its words fit.
        """
        return self._make(Verdict.REJECTED, why)

    def skipped(self, why: str) -> Result:
        """
        The post cannot be changed any more, and that does no harm.
        """
        return self._make(Verdict.SKIPPED, why)

    def message_gone(self) -> Result:
        """
        The post does not exist any more.
        """
        return self._make(Verdict.MESSAGE_GONE, "has no such post any more: it was deleted there")

    def gone(self, why: str) -> Result:
        """
        Nothing will ever be taken at this place.
        """
        return self._make(Verdict.DESTINATION_GONE, why)

    def unauthorized(self, why: str) -> Result:
        """
        Nothing will be taken with this token.
        """
        return self._make(Verdict.UNAUTHORIZED, why)

    def moved(self, why: str, moved_to: str) -> Result:
        """
        The place has another address now.
        """
        return evolve(self._make(Verdict.MOVED, why), moved_to=moved_to)

    def _make(self, verdict: Verdict, why: str, wait: float | None = None) -> Result:
        reason = verdict.value if verdict not in (Verdict.RETRY, Verdict.PAUSE) else f"http_{self.status}"
        final = verdict not in (Verdict.RETRY, Verdict.PAUSE, Verdict.MOVED)
        detail = f"{self.destination.name} answered {self.status}: it {why}."
        return Result(reason, detail, wait, final, verdict=verdict)


def shown_word(value: object) -> str:
    """
    A code or a path that a service names, if it can be shown; else empty.
    """
    text = str(value) if isinstance(value, str | int) else ""
    return text if _WORD.fullmatch(text) else ""


def number(value: object) -> float | None:
    """
    A number of a service that is not negative and not a bool; a text counts if it is one.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if isfinite(found) and found >= 0 else None


def _bounded(seconds: float | None) -> float:
    """
    A wait that a service asks for, within reason.
    """
    return min(max(0.0, seconds or 0.0), _LONGEST_WAIT)
