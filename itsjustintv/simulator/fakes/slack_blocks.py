"""
The rules of Slack's blocks, and whom the texts of a message notify.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

__all__ = ["BLOCKS", "RENDERED", "check_blocks", "find_images", "find_mentions", "has_link", "measure_blocks"]

#: Blocks of a message.
BLOCKS: Final = 50

#: Characters of all texts of its blocks, about; documented nowhere.
RENDERED: Final = 13_200

Problems = Iterator[tuple[str, str]]


def check_blocks(blocks: Any) -> list[str]:
    """
    List what is wrong with the blocks of a message, in Slack's words, each with its JSON pointer.
    """
    return [f"{problem} [json-pointer:/blocks{path}]" for path, problem in _check_all(blocks)]


def _check_all(blocks: Any) -> Problems:
    if not isinstance(blocks, list):
        yield "", "must be an array"
        return
    if len(blocks) > BLOCKS:
        yield "", f"no more than {BLOCKS} items allowed"
    seen: set[str] = set()
    for number, block in enumerate(blocks):
        path = f"/{number}"
        if not isinstance(block, dict) or block.get("type") not in _BLOCKS:
            yield path, f"unsupported type: {block.get('type') if isinstance(block, dict) else block}"
            continue
        block_id = block.get("block_id")
        if block_id is not None:
            yield from _check_string(block, "block_id", path, 255)
            if block_id in seen:
                yield f"{path}/block_id", "`block_id` already exists"
            seen.add(str(block_id))
        yield from _BLOCKS[block["type"]]({name: value for name, value in block.items() if name != "block_id"}, path)


def _check_keys(block: Mapping[str, Any], path: str, required: str, optional: str = "") -> Problems:
    allowed = {"type", *required.split(), *optional.split()}
    yield from ((path, f"invalid additional property: {name}") for name in block if name not in allowed)
    yield from ((path, f"missing required field: {name}") for name in required.split() if name not in block)


def _check_string(block: Mapping[str, Any], name: str, path: str, most: int) -> Problems:
    value = block.get(name)
    if value is None:
        return
    path = f"{path}/{name}"
    if not isinstance(value, str):
        yield path, "must be a string"
    elif not value:
        yield path, "must be more than 0 characters"
    elif len(value) > most:
        yield path, f"must be less than {most + 1} characters"


def _check_url(block: Mapping[str, Any], name: str, path: str) -> Problems:
    yield from _check_string(block, name, path, 3000)
    if isinstance(value := block.get(name), str) and value and not re.fullmatch(r"https?://[^\s/]+\S*", value):
        yield f"{path}/{name}", "invalid url"


def _check_text(
    block: Mapping[str, Any], name: str, path: str, most: int, kinds: str = "plain_text mrkdwn"
) -> Problems:
    if block.get(name) is not None:
        yield from _check_text_object(block[name], f"{path}/{name}", most, kinds)


def _check_text_object(text: Any, path: str, most: int, kinds: str = "plain_text mrkdwn") -> Problems:
    if not isinstance(text, dict) or text.get("type") not in kinds.split():
        yield path, f"must be an object of type {kinds.replace(' ', ' or ')}"
        return
    yield from _check_keys(text, path, "text", "emoji" if text["type"] == "plain_text" else "verbatim")
    yield from _check_string(text, "text", path, most)
    for flag in ("emoji", "verbatim"):
        if not isinstance(text.get(flag, False), bool):
            yield f"{path}/{flag}", "must be a boolean"


def _check_list(block: Mapping[str, Any], name: str, path: str, most: int, check: Callable[..., Problems]) -> Problems:
    items = block.get(name)
    if items is None:
        return
    path = f"{path}/{name}"
    if not isinstance(items, list) or not items:
        yield path, "must be an array with at least 1 item"
        return
    if len(items) > most:
        yield path, f"no more than {most} items allowed"
    for number, item in enumerate(items):
        if isinstance(item, dict):
            yield from check(item, f"{path}/{number}")
        else:
            yield f"{path}/{number}", "must be an object"


def _check_header(block: Mapping[str, Any], path: str) -> Problems:
    yield from _check_keys(block, path, "text")
    yield from _check_text(block, "text", path, 150, "plain_text")


def _check_section(block: Mapping[str, Any], path: str) -> Problems:
    yield from _check_keys(block, path, "", "text fields accessory expand")
    if "text" not in block and "fields" not in block:
        yield path, "missing required field: text"
    yield from _check_text(block, "text", path, 3000)
    yield from _check_list(block, "fields", path, 10, lambda item, at: _check_text_object(item, at, 2000))
    if "accessory" in block:
        yield from _check_element(block["accessory"], f"{path}/accessory", ("button", "image"))


def _check_image(block: Mapping[str, Any], path: str) -> Problems:
    yield from _check_keys(block, path, "image_url alt_text", "title")
    yield from _check_url(block, "image_url", path)
    yield from _check_string(block, "alt_text", path, 2000)
    yield from _check_text(block, "title", path, 2000, "plain_text")


def _check_button(block: Mapping[str, Any], path: str) -> Problems:
    yield from _check_keys(block, path, "text", "url value action_id style accessibility_label confirm")
    yield from _check_text(block, "text", path, 75, "plain_text")
    yield from _check_url(block, "url", path)
    yield from _check_string(block, "value", path, 2000)
    yield from _check_string(block, "action_id", path, 255)
    yield from _check_string(block, "accessibility_label", path, 75)
    if block.get("style", "primary") not in ("primary", "danger"):
        yield f"{path}/style", "must be a valid enum value"


def _check_element(block: Any, path: str, kinds: tuple[str, ...]) -> Problems:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind not in kinds:
        yield path, f"unsupported type: {kind}"
    elif kind == "button":
        yield from _check_button(block, path)
    elif kind == "image":
        yield from _check_image(block, path)
    else:
        yield from _check_text_object(block, path, 3000)


def _check_context(block: Mapping[str, Any], path: str) -> Problems:
    yield from _check_keys(block, path, "elements")
    kinds = ("image", "plain_text", "mrkdwn")
    yield from _check_list(block, "elements", path, 10, lambda item, at: _check_element(item, at, kinds))


def _check_actions(block: Mapping[str, Any], path: str) -> Problems:
    yield from _check_keys(block, path, "elements")
    yield from _check_list(block, "elements", path, 25, lambda item, at: _check_element(item, at, ("button",)))


def _check_divider(block: Mapping[str, Any], path: str) -> Problems:
    yield from _check_keys(block, path, "")


def _check_rich_text(block: Mapping[str, Any], path: str) -> Problems:
    yield from _check_keys(block, path, "elements")
    yield from _check_list(block, "elements", path, BLOCKS, lambda _item, _at: iter(()))


_BLOCKS: Final[Mapping[str, Callable[[Mapping[str, Any], str], Problems]]] = {
    "header": _check_header,
    "section": _check_section,
    "image": _check_image,
    "context": _check_context,
    "actions": _check_actions,
    "divider": _check_divider,
    "rich_text": _check_rich_text,
}


def measure_blocks(blocks: Any) -> int:
    """
    Count the characters of all texts.
    """
    return sum(len(text) for each in _walk(blocks) if isinstance(text := each.get("text"), str))


def find_images(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """
    Find the addresses of all images, each with its JSON pointer.
    """
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        if name == "image_url":
            yield f"{path}/image_url", item
        else:
            yield from find_images(item, f"{path}/{name}")


def _walk(value: Any) -> Iterator[dict[str, Any]]:
    """
    Every object in a value.
    """
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _walk(each)


_CONTROL = re.compile(r"<(?:!(here|channel|everyone)|@([UW][A-Z0-9]+)|!subteam\^(S[A-Z0-9]+))(?:\|[^<>]*)?>")
_NAME = re.compile(r"(?<![\w<])@(here|channel|everyone|[a-z0-9][a-z0-9._-]*)")
_LINK = re.compile(r"<?https?://", re.IGNORECASE)


def find_mentions(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Find who is notified by a message: ``here``, ``channel``, ``everyone``, ``user:ID``, ``group:ID``. Text and
    ``mrkdwn`` can do that, ``plain_text`` cannot; with ``link_names`` or ``parse`` bare names can too: ``name:NAME``.
    """
    texts = [payload.get("text"), *_marked_texts(payload.get("blocks")), *_attached_texts(payload.get("attachments"))]
    bare = payload.get("link_names") in (True, 1, "1", "true") or payload.get("parse") == "full"
    found: dict[str, None] = {}
    for text in texts:
        if isinstance(text, str):
            found |= dict.fromkeys(_mentions(text, bare))
    return (*found, *_rich_mentions(payload.get("blocks")))


def _mentions(text: str, bare: bool) -> Iterator[str]:
    for all_of_them, user, group in _CONTROL.findall(text):
        yield all_of_them or (f"user:{user}" if user else f"group:{group}")
    for name in _NAME.findall(text) if bare else ():
        yield name if name in ("here", "channel", "everyone") else f"name:{name}"


def _marked_texts(blocks: Any) -> Iterator[Any]:
    return (each.get("text") for each in _walk(blocks) if each.get("type") == "mrkdwn")


def _attached_texts(attachments: Any) -> Iterator[Any]:
    for each in _walk(attachments):
        yield from (each.get(name) for name in ("text", "pretext", "title", "fallback", "value"))


def _rich_mentions(blocks: Any) -> Iterator[str]:
    for each in _walk(blocks):
        if each.get("type") == "broadcast":
            yield str(each.get("range"))
        elif each.get("type") == "user" and "user_id" in each:
            yield f"user:{each['user_id']}"
        elif each.get("type") == "usergroup":
            yield f"group:{each.get('usergroup_id')}"


def has_link(payload: Mapping[str, Any]) -> bool:
    """
    Whether a text of a message has a link that Slack could show as a card.
    """
    texts = [payload.get("text"), *_marked_texts(payload.get("blocks"))]
    return any(_LINK.search(text) for text in texts if isinstance(text, str))
