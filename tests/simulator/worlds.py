"""
A simulated Twitch in memory, for the tests of its parts.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

from attrs import define, field
from treq.testing import RequestTraversalAgent, StubTreq
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IAgent
from twisted.web.resource import IResource, Resource

from itsjustintv.simulator.twitch import SimulatedTwitch

__all__ = ["NOW", "SECRET", "Answer", "InMemory", "twitch"]

NOW = 1_767_326_400.5
SECRET = "a-secret-for-tests"


@define
class Answer:
    """
    A whole answer.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """
        The body, parsed.
        """
        return json.loads(self.body)


@define(eq=False)
class InMemory:
    """
    Asks a resource without a network.
    """

    _test: SynchronousTestCase
    _treq: StubTreq = field(converter=StubTreq)

    def __call__(self, method: str, path: str, **kwargs: Any) -> Answer:
        """
        Ask, and have the answer at once.
        """
        requesting = self._treq.request(method, f"http://twitch.test{path}", **kwargs)
        self._treq.flush()
        response = self._test.successResultOf(requesting)
        headers = {k.decode().lower(): v[0].decode() for k, v in response.headers.getAllRawHeaders()}
        return Answer(response.code, headers, self._test.successResultOf(response.content()))


def twitch(
    clock: Clock, callback: IResource | None = None, agent: IAgent | None = None, **more: Any
) -> SimulatedTwitch:
    """
    A Twitch whose EventSub reaches one resource, at whatever address.
    """
    return SimulatedTwitch(clock, agent or RequestTraversalAgent(callback or Resource()), Random(1), **more)
