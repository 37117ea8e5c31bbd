"""
The lexicon of posts on Bluesky, ``app.bsky.feed.post``, and its check: what a server demands of a record.

Written after https://atproto.com/specs/lexicon and the published lexicons. Errors read like those of the npm package
``@atproto/lexicon``, which lets a time without a zone pass; the specification does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from itsjustintv.simulator.fakes.graphemes import graphemes

__all__ = ["COLLECTION", "problem_of_post"]

COLLECTION = "app.bsky.feed.post"

_Schema = Mapping[str, Any]


def _string(**limits: Any) -> _Schema:
    return {"type": "string", **limits}


def _array(items: _Schema, **limits: int) -> _Schema:
    return {"type": "array", "items": items, **limits}


def _object(required: tuple[str, ...], **properties: _Schema) -> _Schema:
    return {"type": "object", "required": required, "properties": properties}


def _union(**refs: _Schema) -> _Schema:
    return {"type": "union", "refs": {name.replace("__", "#").replace("_", "."): each for name, each in refs.items()}}


_POSITION: _Schema = {"type": "integer", "minimum": 0}
_TAG = _string(maxLength=640, maxGraphemes=64)
_STRONG_REF = _object(("uri", "cid"), uri=_string(), cid=_string())
_EXTERNAL = _object(
    ("uri", "title", "description"),
    uri=_string(format="uri"),
    title=_string(),
    description=_string(),
    thumb={"type": "blob"},
)
_FACET = _object(
    ("index", "features"),
    index=_object(("byteStart", "byteEnd"), byteStart=_POSITION, byteEnd=_POSITION),
    features=_array(
        _union(
            app_bsky_richtext_facet__link=_object(("uri",), uri=_string(format="uri")),
            app_bsky_richtext_facet__mention=_object(("did",), did=_string(format="did")),
            app_bsky_richtext_facet__tag=_object(("tag",), tag=_TAG),
        )
    ),
)
_POST = _object(
    ("text", "createdAt"),
    text=_string(maxLength=3000, maxGraphemes=300),
    facets=_array(_FACET),
    reply=_object(("root", "parent"), root=_STRONG_REF, parent=_STRONG_REF),
    embed=_union(
        app_bsky_embed_external=_object(("external",), external=_EXTERNAL),
        app_bsky_embed_record=_object(("record",), record=_STRONG_REF),
    ),
    langs=_array(_string(format="language"), maxLength=3),
    tags=_array(_TAG, maxLength=8),
    createdAt=_string(format="datetime"),
)


def problem_of_post(record: object) -> str:
    """
    Why a record is refused; empty for one that is not.
    """
    if not isinstance(record, dict) or record.get("$type") != COLLECTION:
        return f'Must be an object with "{COLLECTION}" $type property'
    return next(_problems("Record", record, _POST), "")


def _problems(path: str, value: Any, schema: _Schema) -> Iterator[str]:
    yield from _CHECKS[schema["type"]](path, value, schema)


def _string_problems(path: str, value: Any, schema: _Schema) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{path} must be a string"
        return
    if len(value.encode("utf-8", "surrogatepass")) > schema.get("maxLength", float("inf")):
        yield f"{path} must not be longer than {schema['maxLength']} characters"
    if len(graphemes(value)) > schema.get("maxGraphemes", float("inf")):
        yield f"{path} must not be longer than {schema['maxGraphemes']} graphemes"
    if "format" in schema:
        valid, error = _FORMATS[schema["format"]]
        if not valid(value):
            yield f"{path} must be {error}"


def _integer_problems(path: str, value: Any, schema: _Schema) -> Iterator[str]:
    if not isinstance(value, int) or isinstance(value, bool):
        yield f"{path} must be an integer"
    elif value < schema["minimum"]:
        yield f"{path} can not be less than {schema['minimum']}"


def _array_problems(path: str, value: Any, schema: _Schema) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path} must be an array"
        return
    if len(value) > schema.get("maxLength", float("inf")):
        yield f"{path} must not have more than {schema['maxLength']} elements"
    for number, each in enumerate(value):
        yield from _problems(f"{path}/{number}", each, schema["items"])


def _object_problems(path: str, value: Any, schema: _Schema) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} must be an object"
        return
    for name in schema["required"]:
        if name not in value:
            yield f'{path} must have the property "{name}"'
    for name, each in schema["properties"].items():
        if name in value:
            yield from _problems(f"{path}/{name}", value[name], each)


def _union_problems(path: str, value: Any, schema: _Schema) -> Iterator[str]:
    """
    Unions are open: what has a type that is not known is let pass.
    """
    if not isinstance(value, dict) or not isinstance(value.get("$type"), str):
        yield f'{path} must be an object which includes the "$type" property'
    elif value["$type"] in schema["refs"]:
        yield from _problems(path, value, schema["refs"][value["$type"]])


def _blob_problems(path: str, value: Any, _schema: _Schema) -> Iterator[str]:
    good = (
        isinstance(value, dict)
        and value.get("$type") == "blob"
        and isinstance(value.get("ref"), dict)
        and isinstance(value["ref"].get("$link"), str)
        and isinstance(value.get("mimeType"), str)
        and isinstance(value.get("size"), int)
    )
    if not good:
        yield f"{path} should be a blob ref"


_CHECKS: Mapping[str, Callable[[str, Any, _Schema], Iterator[str]]] = {
    "string": _string_problems,
    "integer": _integer_problems,
    "array": _array_problems,
    "object": _object_problems,
    "union": _union_problems,
    "blob": _blob_problems,
}

#: https://atproto.com/specs/lexicon#datetime: both RFC 3339 and ISO 8601, with seconds and a zone, which is not -00:00.
_DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,20})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def _is_datetime(value: str) -> bool:
    if not _DATETIME.fullmatch(value) or value.endswith("-00:00"):
        return False
    try:
        datetime.fromisoformat(re.sub(r"\.\d+", "", value))
    except ValueError:
        return False
    return True


_FORMATS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "datetime": (_is_datetime, "an valid atproto datetime (both RFC-3339 and ISO-8601)"),
    "uri": (re.compile(r"\w+:(?://)?[^\s/][^\s]*").fullmatch, "a uri"),
    "did": (re.compile(r"did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]").fullmatch, "a valid did"),
    "language": (
        re.compile(r"(?:[A-Za-z]{2,3}|[A-Za-z]{5,8})(?:-[A-Za-z0-9]{1,8})*|i-[A-Za-z]+").fullmatch,
        "a well-formed BCP 47 language tag",
    ),
}
