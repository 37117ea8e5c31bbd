"""
What Discord accepts as a message, and the errors with which it refuses the rest.

Limits and names: discord-api-docs, resources/message and resources/webhook, and the lengths of Discord's OpenAPI
document. Codes and texts of errors: answers of Discord as people quote them. A length is in code points,
after trimming.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field, frozen

__all__ = ["CREATE", "EDIT", "IS_COMPONENTS_V2", "DiscordForm", "FormErrors", "is_empty"]

Path = tuple[str, ...]

#: Checks a value that is neither missing nor null, notes errors at its path, and returns it as Discord keeps it.
Check = Callable[["FormErrors", Path, Any], Any]

IS_COMPONENTS_V2 = 1 << 15

_WEB = ("http", "https")
_EMBED_SUM = 6000
_SNOWFLAKE = re.compile(r"0|[1-9][0-9]*")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+\.?|\[[0-9A-Fa-f:.]+\]")
#: A link button, the one component that a webhook without an application may send beside mere layout.
_BUTTON, _LINK, _ROW = 2, 5, 1


@define
class FormErrors:
    """
    The errors of one form, by path.
    """

    found: dict[Path, list[tuple[str, str]]] = field(factory=dict)

    def add(self, path: Path, code: str, message: str) -> None:
        self.found.setdefault(path, []).append((code, message))

    def __bool__(self) -> bool:
        return bool(self.found)

    def tree(self) -> dict[str, Any]:
        """
        As API versions from 8 on write them.
        """
        root: dict[str, Any] = {}
        for path, errors in self.found.items():
            node = root
            for step in path:
                node = node.setdefault(step, {})
            node["_errors"] = [{"code": code, "message": message} for code, message in errors]
        return root

    def flat(self) -> dict[str, Any]:
        """
        As API versions before 8 write them: texts of the first level, but only the keys of the one below.
        """
        flat: dict[str, list[str]] = {}
        for path, errors in self.found.items():
            said = [path[1]] if len(path) > 1 else [message for _, message in errors]
            known = flat.setdefault(path[0] if path else "_misc", [])
            known += [each for each in said if each not in known]
        return flat


def _text(longest: int, shortest: int = 0) -> Check:
    def check(errors: FormErrors, path: Path, value: Any) -> Any:
        if not isinstance(value, str):
            errors.add(path, "STRING_TYPE_CONVERT", f'Could not interpret "{value}" as string.')
            return None
        text = value.strip()
        if shortest and not shortest <= len(text) <= longest:
            errors.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {shortest} and {longest} in length.")
        elif len(text) > longest:
            errors.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {longest} or fewer in length.")
        return text

    return check


def _url(*schemes: str, longest: int = 2048) -> Check:
    def check(errors: FormErrors, path: Path, value: Any) -> Any:
        text = _text(longest)(errors, path, value)
        if text is None:
            return None
        scheme, colon, _ = text.partition(":")
        scheme = scheme.lower() if colon else ""
        if scheme not in schemes:
            named = ", ".join(f"'{each}'" for each in schemes)
            message = f'Scheme "{scheme}" is not supported. Scheme must be one of ({named}).'
            errors.add(path, "URL_TYPE_INVALID_SCHEME", message)
        elif scheme in _WEB and not _well_formed(text):
            errors.add(path, "URL_TYPE_INVALID_URL", "Not a well formed URL.")
        return text

    return check


def _well_formed(url: str) -> bool:
    """
    Whether the URL has a host as Discord wants it: a name with a dot and no underscore, or an address.
    """
    try:
        parts = urlsplit(url)
        number = parts.port
    except ValueError:
        return False
    host = parts.netloc.rpartition("@")[2].removesuffix("" if number is None else f":{number}")
    return bool(_HOST.fullmatch(host)) and not re.search(r"\s", url)


def _boolean(errors: FormErrors, path: Path, value: Any) -> Any:
    if not isinstance(value, bool):
        errors.add(path, "BOOLEAN_TYPE_CONVERT", "Must be either true or false.")
    return value


def _number(least: int, most: int) -> Check:
    def check(errors: FormErrors, path: Path, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            errors.add(path, "NUMBER_TYPE_COERCE", f'Value "{value}" is not int.')
            return None
        if value > most:
            errors.add(path, "NUMBER_TYPE_MAX", f"int value should be less than or equal to {most}.")
        elif value < least:
            errors.add(path, "NUMBER_TYPE_MIN", f"int value should be greater than or equal to {least}.")
        return value

    return check


def _snowflake(errors: FormErrors, path: Path, value: Any) -> Any:
    if not isinstance(value, str) or not _SNOWFLAKE.fullmatch(value) or int(value) >= 1 << 63:
        errors.add(path, "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.')
    return value


def _choice(*choices: str) -> Check:
    def check(errors: FormErrors, path: Path, value: Any) -> Any:
        if value not in choices:
            errors.add(path, "BASE_TYPE_CHOICES", f"Value must be one of {choices}.")
        return value

    return check


def _moment(errors: FormErrors, path: Path, value: Any) -> Any:
    try:
        if not isinstance(value, str) or "T" not in value.upper():
            raise ValueError(value)
        datetime.fromisoformat(value)
    except ValueError:
        errors.add(path, "DATETIME_TYPE_PARSE", f"Could not parse {value}. Should be ISO8601.")
    return value


def _list(check: Check, longest: int, *, unique: bool = False) -> Check:
    def check_list(errors: FormErrors, path: Path, value: Any) -> Any:
        if not isinstance(value, list):
            errors.add(path, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
            return None
        if len(value) > longest:
            errors.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {longest} or fewer in length.")
            return None
        for number, each in enumerate(value):
            if unique and each in value[:number]:
                errors.add(
                    (*path, str(number)), "SET_TYPE_ALREADY_CONTAINS_VALUE", "The set already contains this value"
                )
        return [check(errors, (*path, str(number)), each) for number, each in enumerate(value)]

    return check_list


def _anything(_errors: FormErrors, _path: Path, value: Any) -> Any:
    return value


@frozen
class _Model:
    """
    An object with known fields. Others are dropped without a word, as is a field that is null and not required.
    """

    checks: Mapping[str, Check]
    required: Sequence[str] = ()

    def __call__(self, errors: FormErrors, path: Path, value: Any) -> Any:
        if not isinstance(value, dict):
            errors.add(path, "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
            return None
        kept: dict[str, Any] = {}
        for name, check in self.checks.items():
            if (given := value.get(name)) is not None:
                kept[name] = check(errors, (*path, name), given)
            if name in self.required and (given is None or kept[name] == ""):
                errors.add((*path, name), "BASE_TYPE_REQUIRED", "This field is required")
        return kept


def _username(errors: FormErrors, path: Path, value: Any) -> Any:
    name = _text(80, 1)(errors, path, value)
    if name is None:
        return None
    for word in ("clyde", "discord"):
        if word in name.lower():
            errors.add(path, "USERNAME_INVALID_CONTAINS", f'Username cannot contain "{word}"')
    if name.lower() in ("everyone", "here"):
        errors.add(path, "USERNAME_INVALID", f'Username cannot be "{name.lower()}"')
    return name


_MENTIONS = _Model(
    {
        "parse": _list(_choice("roles", "users", "everyone"), 100, unique=True),
        "roles": _list(_snowflake, 100, unique=True),
        "users": _list(_snowflake, 100, unique=True),
        "replied_user": _boolean,
    }
)


def _allowed_mentions(errors: FormErrors, path: Path, value: Any) -> Any:
    kept = _MENTIONS(errors, path, value)
    for kind in ("users", "roles"):
        if kept and kind in (kept.get("parse") or ()) and kept.get(kind):
            message = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            errors.add(path, "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message)
    return kept


_PICTURE = _Model({"url": _url(*_WEB, "attachment")}, required=["url"])

_EMBED = _Model(
    {
        "title": _text(256),
        "description": _text(4096),
        "url": _url(*_WEB),
        "timestamp": _moment,
        "color": _number(0, 0xFFFFFF),
        "footer": _Model({"text": _text(2048), "icon_url": _url(*_WEB, "attachment")}),
        "image": _PICTURE,
        "thumbnail": _PICTURE,
        "author": _Model({"name": _text(256), "url": _url(*_WEB), "icon_url": _url(*_WEB, "attachment")}),
        "fields": _list(
            _Model({"name": _text(256), "value": _text(1024), "inline": _boolean}, required=["name", "value"]), 25
        ),
    }
)


def _embed(errors: FormErrors, path: Path, value: Any) -> Any:
    """
    An author without a name and a footer without a text are not shown.
    """
    kept = _EMBED(errors, path, value)
    if kept is None:
        return None
    for part, text in (("author", "name"), ("footer", "text")):
        if not (kept.get(part) or {}).get(text):
            kept.pop(part, None)
    return {"type": "rich"} | {name: each for name, each in kept.items() if each not in ("", [], None)}


def _embeds(errors: FormErrors, path: Path, value: Any) -> Any:
    embeds = _list(_embed, 10)(errors, path, value)
    if embeds and sum(_length(embed) for embed in embeds if embed) > _EMBED_SUM:
        errors.add(path, "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {_EMBED_SUM}")
    return embeds


def _length(embed: Mapping[str, Any]) -> int:
    fields = [each for each in embed.get("fields") or () if each]
    texts = [
        embed.get("title"),
        embed.get("description"),
        (embed.get("author") or {}).get("name"),
        (embed.get("footer") or {}).get("text"),
        *(each.get("name") for each in fields),
        *(each.get("value") for each in fields),
    ]
    return sum(len(text) for text in texts if text)


_LINK_BUTTON = _Model(
    {
        "type": _anything,
        "style": _anything,
        "label": _text(80),
        "url": _url(*_WEB, "discord", longest=512),
        "disabled": _boolean,
        "emoji": _anything,
    },
    required=["url"],
)


def _button(errors: FormErrors, path: Path, value: Any) -> Any:
    if isinstance(value, dict) and (value.get("type"), value.get("style")) != (_BUTTON, _LINK):
        errors.add(path, "COMPONENT_NOT_ALLOWED", "Only non-interactive components can be sent by this webhook.")
        return None
    return _LINK_BUTTON(errors, path, value)


def _component(errors: FormErrors, path: Path, value: Any) -> Any:
    if isinstance(value, dict) and value.get("type") == _ROW:
        return _Model({"type": _anything, "components": _list(_button, 5)}, required=["components"])(
            errors, path, value
        )
    return _Model({"type": _anything, "content": _text(4000), "components": _list(_anything, 40)})(errors, path, value)


_ATTACHMENT = _Model(
    {
        "id": lambda e, p, v: str(v) if isinstance(v, int) else _snowflake(e, p, v),
        "filename": _text(1024, 1),
        "description": _text(1024),
    },
    required=["id"],
)


@frozen
class DiscordForm:
    """
    The fields that one request may have.
    """

    _checks: Mapping[str, Check]

    def check(self, body: Any) -> tuple[dict[str, Any], FormErrors]:
        """
        Check a body. Fields that are missing stay missing, and null stays ``None``.
        """
        errors = FormErrors()
        kept = _Model(self._checks)(errors, (), body) or {}
        if isinstance(body, dict):
            kept |= {name: None for name in self._checks if name in body and body[name] is None}
        if (kept.get("flags") or 0) & IS_COMPONENTS_V2:
            for name in ("content", "embeds"):
                if kept.get(name):
                    message = f"The '{name}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
                    errors.add((name,), "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", message)
        return kept, errors


_SHARED: Mapping[str, Check] = {
    "content": _text(2000),
    "embeds": _embeds,
    "allowed_mentions": _allowed_mentions,
    "components": _list(_component, 40),
    "attachments": _list(_ATTACHMENT, 10),
    "flags": _number(0, (1 << 31) - 1),
}

EDIT = DiscordForm(_SHARED)
CREATE = DiscordForm(
    {
        **_SHARED,
        "username": _username,
        "avatar_url": _url(*_WEB),
        "tts": _boolean,
        "thread_name": _text(100),
        "applied_tags": _list(_snowflake, 5),
    }
)


def is_empty(message: Mapping[str, Any]) -> bool:
    """
    Whether nothing of a message would be seen.
    """
    embeds = [
        embed for embed in message.get("embeds") or () if set(embed or ()) - {"type", "color", "url", "timestamp"}
    ]
    return not (message.get("content") or embeds or message.get("components") or message.get("attachments"))
