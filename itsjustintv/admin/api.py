"""
``/api/v1``: routes requests to :mod:`itsjustintv.admin.endpoints`, and describes them as OpenAPI.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl, unquote_to_bytes

import attrs
import orjson
from attrs import define, field
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request

from itsjustintv import __version__
from itsjustintv.admin.endpoints import OPERATIONS, BadRequest, Operation, Parameter, summary
from itsjustintv.admin.responses import PROBLEM, respond_later, send_not_allowed, send_problem, send_response
from itsjustintv.admin.sources import REFUSALS, Sources, status_of
from itsjustintv.admin.views import ProblemView
from itsjustintv.support.foreign_text import visible_json

__all__ = ["ROOT", "ApiResource", "Schemas", "dumps", "openapi"]

ROOT = "/api/v1"

_DOCUMENT = "/openapi.json"
_DESCRIPTIONS = {
    400: "Invalid parameter.",
    401: "The token is missing or wrong.",
    403: "The Host header is not allowed, or the request comes from another site's page.",
    404: "Not found.",
    409: "Not possible in the current state.",
    429: "Too many wrong tokens; Retry-After has the seconds to wait.",
    503: "The journal is unavailable.",
}


def dumps(content: object) -> bytes:
    """
    Write JSON in which characters that steer a terminal or hide text are escaped.
    """
    return visible_json(orjson.dumps(content, default=_plain).decode()).encode()


def openapi() -> Mapping[str, object]:
    """
    Build the OpenAPI 3.1 document from the operations, their parameters and the fields of the views.
    """
    schemas = Schemas()
    problem = {"content": {PROBLEM.decode("ascii"): {"schema": schemas.of(ProblemView)}}}
    paths: dict[str, dict[str, object]] = {}
    for each in OPERATIONS:
        parameters = each.parameters.values()
        errors = {401, 403, 429, 503, *({400} if parameters else ())}.union(*(one.errors for one in parameters))
        paths.setdefault(each.path, {})[each.method.lower()] = {
            "operationId": each.name,
            "summary": each.summary,
            "parameters": [_parameter(one) for one in parameters],
            "responses": {
                "200": {
                    "description": "Success.",
                    "content": {"application/json": {"schema": schemas.of(each.answer)}},
                },
                **{str(status): {"description": _DESCRIPTIONS[status], **problem} for status in sorted(errors)},
            },
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "itsjustintv", "version": __version__, "summary": "Status and control of the daemon."},
        "servers": [{"url": ROOT}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "admin.token"}},
        },
    }


class ApiResource(Resource):
    """
    Everything below ``/api/v1/``. Access was checked before.
    """

    isLeaf = True

    def __init__(self, sources: Sources) -> None:
        super().__init__()
        self._sources = sources
        self._document = orjson.dumps(openapi())

    def render(self, request: Request) -> int:
        path = request.path.decode("latin-1").removeprefix(ROOT)
        if path == _DOCUMENT:
            return self._describe(request)
        found = [(each, given) for each in OPERATIONS if (given := _match(each.path, path)) is not None]
        if not found:
            return send_problem(request, http.NOT_FOUND, f"no such path: the API is described at {ROOT}{_DOCUMENT}")
        wanted = "GET" if request.method == b"HEAD" else request.method.decode("latin-1")
        for operation, given in found:
            if operation.method == wanted:
                return respond_later(request, self._answer(request, operation, given))
        return send_not_allowed(request, ", ".join(_methods(each.method) for each, _ in found).encode("ascii"))

    def _describe(self, request: Request) -> int:
        if request.method not in (b"GET", b"HEAD"):
            return send_not_allowed(request, b"GET, HEAD")
        return send_response(request, self._document, b"application/json")

    async def _answer(self, request: Request, operation: Operation, given: Mapping[str, str]) -> None:
        try:
            values = _values(operation, given, request.uri)
            answer = await operation.act(self._sources, **values)
        except BadRequest as error:
            send_problem(request, http.BAD_REQUEST, str(error))
        except REFUSALS as error:
            send_problem(request, status_of(error), str(error))
        else:
            send_response(request, dumps(answer), b"application/json")


def _match(pattern: str, path: str) -> Mapping[str, str] | None:
    """
    The parameters in a path, still encoded; ``None`` when the path does not match.
    """
    names, parts = pattern.split("/"), path.split("/")
    if len(names) != len(parts):
        return None
    given = {}
    for name, part in zip(names, parts, strict=True):
        if name.startswith("{"):
            given[name[1:-1]] = part
        elif name != part:
            return None
    return given


def _values(operation: Operation, given: Mapping[str, str], uri: bytes) -> Mapping[str, Any]:
    """
    Read every parameter.

    :raises BadRequest: one of them is invalid.
    """
    asked: dict[str, str] = {}
    known = {each.name for each in operation.parameters.values() if each.where == "query"}
    try:
        for name, text in parse_qsl(
            uri.partition(b"?")[2].decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50
        ):
            if name not in known:
                raise BadRequest(f"{name[:50]}: no such parameter")
            if name in asked:
                raise BadRequest(f"{name}: must be given once")
            asked[name] = text
        asked |= {name: unquote_to_bytes(text).decode("utf-8") for name, text in given.items()}
    except ValueError:
        raise BadRequest("the URL: must be UTF-8, percent-encoded") from None
    return {name: _value(each, asked.get(each.name)) for name, each in operation.parameters.items()}


def _value(parameter: Parameter, text: str | None) -> Any:
    if text is None:
        return parameter.default
    try:
        return parameter.read(text)
    except ValueError:
        allowed = ", ".join(f"{name} {value}" for name, value in parameter.schema.items() if name != "default")
        raise BadRequest(f"{parameter.name}: must be {allowed}") from None


def _parameter(parameter: Parameter) -> dict[str, object]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "required": parameter.where == "path",
        "schema": dict(parameter.schema),
    }


def _methods(method: str) -> str:
    return "GET, HEAD" if method == "GET" else method


def _plain(value: Any) -> object:
    return {each.name: getattr(value, each.name) for each in attrs.fields(type(value))}


_SIMPLE: dict[object, dict[str, object]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
}

_IVAR = re.compile(r":ivar (\w+): ((?:.|\n(?!\s*(?::|$)))+)")


@define(eq=False)
class Schemas:
    """
    Makes a schema for each class of a view.

    :ivar components: schemas by name.
    """

    components: dict[str, dict[str, object]] = field(factory=dict)

    def of(self, kind: Any) -> dict[str, object]:
        """
        The schema of a type: for a class a reference to its component.
        """
        origin, arguments = get_origin(kind), get_args(kind)
        if kind in _SIMPLE:
            return dict(_SIMPLE[kind])
        if origin in (Union, types.UnionType):
            return self._either([self.of(each) for each in arguments])
        if origin is Literal:
            return {"type": "string", "enum": list(arguments)}
        if origin is Sequence:
            return {"type": "array", "items": self.of(arguments[0])}
        if isinstance(kind, type) and issubclass(kind, Enum):
            return {"type": "string", "enum": [each.value for each in kind]}
        return self._component(
            kind, origin or kind, dict(zip(getattr(origin, "__parameters__", ()), arguments, strict=True))
        )

    def _component(self, kind: Any, cls: Any, filled: dict[Any, Any]) -> dict[str, object]:
        name = "".join(each.__name__ for each in (*get_args(kind), cls)).replace("View", "")
        if name not in self.components:
            self.components[name] = {}  # ends the recursion of a class that contains itself
            hints, words = get_type_hints(cls), dict(_IVAR.findall(cls.__doc__ or ""))
            properties = {
                attribute.name: self._described(_fill(hints[attribute.name], filled), words.get(attribute.name, ""))
                for attribute in attrs.fields(cls)
            }
            self.components[name] = {
                "type": "object",
                "description": summary(cls),
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }
        return {"$ref": f"#/components/schemas/{name}"}

    def _described(self, kind: Any, words: str) -> dict[str, object]:
        schema = self.of(kind)
        return {**schema, "description": " ".join(words.split())} if words else schema

    @staticmethod
    def _either(schemas: Sequence[dict[str, object]]) -> dict[str, object]:
        plain = [each["type"] for each in schemas if each.keys() == {"type"}]
        return {"type": plain} if len(plain) == len(schemas) else {"anyOf": list(schemas)}


def _fill(hint: Any, filled: dict[Any, Any]) -> Any:
    """
    Replace the type variables of a generic class.
    """
    parameters = getattr(hint, "__parameters__", ())
    if not parameters:
        return filled.get(hint, hint)
    return hint[tuple(filled.get(each, each) for each in parameters)]
