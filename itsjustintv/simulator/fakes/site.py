"""
The fakes over HTTP, each below a path of its own name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

import orjson
from attrs import define, field
from klein import Klein
from twisted.internet.interfaces import IReactorTime
from twisted.web import http
from twisted.web.resource import IResource
from twisted.web.server import Request

from itsjustintv.simulator.behaviour import Behaviour, act
from itsjustintv.simulator.fakes.service import FakeService

__all__ = ["FakeSite"]

#: The last segment of the path at which a fake shows its state.
_SHOWN = b"_messages"


def _by_name(fakes: Iterable[FakeService]) -> Mapping[str, FakeService]:
    return {each.name: each for each in fakes}


@define(eq=False)
class FakeSite:
    """
    Serves fakes: ``/NAME/...`` is what the service has at ``/...``, and ``/NAME/_messages`` what it was sent.
    """

    _clock: IReactorTime
    _services: Mapping[str, FakeService] = field(converter=_by_name)

    app: ClassVar[Klein] = Klein()

    def resource(self) -> IResource:
        return cast("IResource", self.app.resource())

    @app.route("/", branch=True)
    async def _serve(self, request: Request) -> bytes:
        name, _, rest = request.uri.removeprefix(b"/").partition(b"/")
        service = self._services.get(name.decode("latin-1"))
        if service is None:
            request.setResponseCode(http.NOT_FOUND)
            return f"The fakes are: {', '.join(self._services)}.\n".encode()
        if rest == _SHOWN:
            request.setHeader("content-type", "application/json; charset=utf-8")
            return orjson.dumps(service.summary(), option=orjson.OPT_INDENT_2)
        return await self._forward(service, b"/" + rest, request)

    async def _forward(self, service: FakeService, url: bytes, request: Request) -> bytes:
        headers = {
            name.decode().lower(): values[0].decode("latin-1")
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        content: Any = request.content
        answer = service.handle(
            request.method.decode(), url.decode("latin-1"), headers, content.read(), self._clock.seconds()
        )
        behaviour = Behaviour(
            status=answer.status,
            body=answer.body,
            headers=dict(answer.headers),
            after=answer.after,
            delay=answer.delay,
            hang=answer.hang,
            drop=answer.drop,
        )
        return await act(behaviour, request, self._clock)
