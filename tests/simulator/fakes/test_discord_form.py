"""
What the imitated Discord accepts as a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.discord_form import CREATE, EDIT, is_empty

FIELD = {"name": "n", "value": "v"}
LONG_URL = "https://example.test/"


def embed(**fields: Any) -> dict[str, Any]:
    """
    A body with one embed.
    """
    return {"embeds": [fields]}


def problems(body: Any) -> dict[str, str]:
    """
    The code of the first error at each path.
    """
    _, errors = CREATE.check(body)
    return {".".join(path): found[0][0] for path, found in errors.found.items()}


def url(length: int) -> str:
    """
    A URL of that many characters.
    """
    return LONG_URL.ljust(length, "x")


#: By name: what makes a body from a number, the last number that is accepted, and path and code of the error after it.
LIMITS: Mapping[str, tuple[Any, int, str, str]] = {
    "content": (lambda n: {"content": "x" * n}, 2000, "content", "BASE_TYPE_MAX_LENGTH"),
    "username": (lambda n: {"username": "x" * n}, 80, "username", "BASE_TYPE_BAD_LENGTH"),
    "avatar": (lambda n: {"avatar_url": url(n)}, 2048, "avatar_url", "BASE_TYPE_MAX_LENGTH"),
    "thread": (lambda n: {"thread_name": "x" * n}, 100, "thread_name", "BASE_TYPE_MAX_LENGTH"),
    "tags": (lambda n: {"applied_tags": ["1"] * n}, 5, "applied_tags", "BASE_TYPE_MAX_LENGTH"),
    "embeds": (lambda n: {"embeds": [{"title": "t"}] * n}, 10, "embeds", "BASE_TYPE_MAX_LENGTH"),
    "title": (lambda n: embed(title="x" * n), 256, "embeds.0.title", "BASE_TYPE_MAX_LENGTH"),
    "description": (lambda n: embed(description="x" * n), 4096, "embeds.0.description", "BASE_TYPE_MAX_LENGTH"),
    "url": (lambda n: embed(url=url(n)), 2048, "embeds.0.url", "BASE_TYPE_MAX_LENGTH"),
    "colour": (lambda n: embed(color=n), 0xFFFFFF, "embeds.0.color", "NUMBER_TYPE_MAX"),
    "fields": (lambda n: embed(fields=[FIELD] * n), 25, "embeds.0.fields", "BASE_TYPE_MAX_LENGTH"),
    "field name": (
        lambda n: embed(fields=[FIELD, {**FIELD, "name": "x" * n}]),
        256, "embeds.0.fields.1.name", "BASE_TYPE_MAX_LENGTH"
    ),
    "field value": (
        lambda n: embed(fields=[{**FIELD, "value": "x" * n}]), 1024, "embeds.0.fields.0.value", "BASE_TYPE_MAX_LENGTH"
    ),
    "footer": (lambda n: embed(footer={"text": "x" * n}), 2048, "embeds.0.footer.text", "BASE_TYPE_MAX_LENGTH"),
    "author": (lambda n: embed(author={"name": "x" * n}), 256, "embeds.0.author.name", "BASE_TYPE_MAX_LENGTH"),
    "picture": (lambda n: embed(image={"url": url(n)}), 2048, "embeds.0.image.url", "BASE_TYPE_MAX_LENGTH"),
    "sum": (
        lambda n: {"embeds": [{"description": "x" * 4096}, {"footer": {"text": "x" * (n - 4096)}}]},
        6000, "embeds", "MAX_EMBED_SIZE_EXCEEDED"
    ),
    "roles": (
        lambda n: {"allowed_mentions": {"roles": [str(each) for each in range(n)]}},
        100, "allowed_mentions.roles", "BASE_TYPE_MAX_LENGTH"
    ),
    "users": (
        lambda n: {"allowed_mentions": {"users": [str(each) for each in range(n)]}},
        100, "allowed_mentions.users", "BASE_TYPE_MAX_LENGTH"
    ),
}  # fmt: skip

#: By what is wrong: a body, and the path and code of the error.
WRONG: Mapping[str, tuple[Any, str, str]] = {
    "no object": ([], "", "MODEL_TYPE_CONVERT"),
    "content is a number": ({"content": 1}, "content", "STRING_TYPE_CONVERT"),
    "embeds is an object": ({"embeds": {}}, "embeds", "LIST_TYPE_CONVERT"),
    "an embed is text": ({"embeds": ["x"]}, "embeds.0", "MODEL_TYPE_CONVERT"),
    "empty name": (embed(fields=[{"name": "", "value": "v"}]), "embeds.0.fields.0.name", "BASE_TYPE_REQUIRED"),
    "blank value": (embed(fields=[{"name": "n", "value": " \n"}]), "embeds.0.fields.0.value", "BASE_TYPE_REQUIRED"),
    "no value": (embed(fields=[{"name": "n"}]), "embeds.0.fields.0.value", "BASE_TYPE_REQUIRED"),
    "null name": (embed(fields=[{"name": None, "value": "v"}]), "embeds.0.fields.0.name", "BASE_TYPE_REQUIRED"),
    "inline is text": (embed(fields=[{**FIELD, "inline": "yes"}]), "embeds.0.fields.0.inline", "BOOLEAN_TYPE_CONVERT"),
    "no picture URL": (embed(thumbnail={}), "embeds.0.thumbnail.url", "BASE_TYPE_REQUIRED"),
    "empty icon": (embed(author={"name": "n", "icon_url": ""}), "embeds.0.author.icon_url", "URL_TYPE_INVALID_SCHEME"),
    "ftp": (embed(url="ftp://example.test/"), "embeds.0.url", "URL_TYPE_INVALID_SCHEME"),
    "no scheme": (embed(url="example.test"), "embeds.0.url", "URL_TYPE_INVALID_SCHEME"),
    "a file as link": (embed(url="attachment://x.png"), "embeds.0.url", "URL_TYPE_INVALID_SCHEME"),
    "no host": (embed(image={"url": "https:///x.png"}), "embeds.0.image.url", "URL_TYPE_INVALID_URL"),
    "a bare host": (embed(image={"url": "http://localhost:80/x"}), "embeds.0.image.url", "URL_TYPE_INVALID_URL"),
    "a bad port": (embed(image={"url": "http://a.test:x/"}), "embeds.0.image.url", "URL_TYPE_INVALID_URL"),
    "underscore": (embed(image={"url": "https://a_b.test/"}), "embeds.0.image.url", "URL_TYPE_INVALID_URL"),
    "space": (embed(url="https://example.test/a b"), "embeds.0.url", "URL_TYPE_INVALID_URL"),
    "colour below 0": (embed(color=-1), "embeds.0.color", "NUMBER_TYPE_MIN"),
    "colour as text": (embed(color="#ff0000"), "embeds.0.color", "NUMBER_TYPE_COERCE"),
    "colour as truth": (embed(color=True), "embeds.0.color", "NUMBER_TYPE_COERCE"),
    "flags as text": ({"flags": "4096"}, "flags", "NUMBER_TYPE_COERCE"),
    "timestamp": (embed(timestamp="yesterday"), "embeds.0.timestamp", "DATETIME_TYPE_PARSE"),
    "timestamp as number": (embed(timestamp=1767326400), "embeds.0.timestamp", "DATETIME_TYPE_PARSE"),
    "role as number": ({"allowed_mentions": {"roles": [1]}}, "allowed_mentions.roles.0", "NUMBER_TYPE_COERCE"),
    "role as word": ({"allowed_mentions": {"roles": ["x"]}}, "allowed_mentions.roles.0", "NUMBER_TYPE_COERCE"),
    "unknown kind": ({"allowed_mentions": {"parse": ["here"]}}, "allowed_mentions.parse.0", "BASE_TYPE_CHOICES"),
    "twice": (
        {"allowed_mentions": {"users": ["1", "1"]}}, "allowed_mentions.users.1", "SET_TYPE_ALREADY_CONTAINS_VALUE"
    ),
    "parse and roles": (
        {"allowed_mentions": {"parse": ["roles"], "roles": ["1"]}},
        "allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE"
    ),
    "parse and users": (
        {"allowed_mentions": {"parse": ["users", "roles"], "users": ["1"]}},
        "allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE"
    ),
    "clyde": ({"username": "MacClyde"}, "username", "USERNAME_INVALID_CONTAINS"),
    "discord": ({"username": "Discordia"}, "username", "USERNAME_INVALID_CONTAINS"),
    "everyone": ({"username": "Everyone"}, "username", "USERNAME_INVALID"),
    "blank name": ({"username": "  "}, "username", "BASE_TYPE_BAD_LENGTH"),
    "interactive": (
        {"components": [{"type": 1, "components": [{"type": 2, "style": 1, "custom_id": "x"}]}]},
        "components.0.components.0", "COMPONENT_NOT_ALLOWED"
    ),
    "button without URL": (
        {"components": [{"type": 1, "components": [{"type": 2, "style": 5, "label": "x"}]}]},
        "components.0.components.0.url", "BASE_TYPE_REQUIRED"
    ),
    "content beside components": (
        {"flags": 1 << 15, "content": "x"}, "content", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
    ),
}  # fmt: skip

#: A card as a daemon would send it, and others that are accepted.
CARD: dict[str, Any] = {
    "content": "<@&99> **tanuki** is live",
    "username": "Live",
    "avatar_url": "https://example.test/bot.png",
    "allowed_mentions": {"parse": [], "roles": ["99"]},
    "flags": 4096,
    "tts": False,
    "embeds": [
        {
            "title": "Pots & pans 🏺",
            "url": "https://www.twitch.tv/tanuki",
            "description": "Making a teapot",
            "color": 0x9146FF,
            "timestamp": "2026-01-02T04:00:00Z",
            "author": {"name": "tanuki", "url": "https://www.twitch.tv/tanuki", "icon_url": "https://example.test/a.png"},
            "fields": [{"name": "Category", "value": "Art", "inline": True}, {"name": "Tags", "value": "english"}],
            "image": {"url": "https://static-cdn.example.test/live_user_tanuki-1280x720.jpg?t=1767326400"},
            "thumbnail": {"url": "https://example.test/t.png"},
            "footer": {"text": "Twitch", "icon_url": "https://example.test/f.png"},
        }
    ],
}  # fmt: skip
ACCEPTED: Mapping[str, dict[str, Any]] = {
    "card": CARD,
    "text": {"content": "x"},
    "nulls": {"content": "x", "embeds": None, "allowed_mentions": None, "username": None},
    "empty ids": {"content": "x", "allowed_mentions": {"parse": ["users", "roles"], "users": []}},
    "no mentions": {"content": "@everyone", "allowed_mentions": {"parse": []}},
    "address": {"embeds": [{"title": "x", "url": "http://192.0.2.1:8080/x", "image": {"url": "http://[2001:db8::1]/x"}}]},
    "forum": {"content": "x", "thread_name": "tanuki is live", "applied_tags": ["1", "2"]},
    "most": {"content": "x" * 2000, "embeds": [{"title": "x" * 256, "description": "x" * 4096}]},
    "button": {
        "content": "x",
        "components": [
            {"type": 1, "components": [{"type": 2, "style": 5, "label": "Watch", "url": "https://www.twitch.tv/tanuki"}]}
        ],
    },
}  # fmt: skip

#: Names of fields, for bodies of any shape.
NAMES = [
    *("content", "embeds", "title", "fields", "name", "author", "image", "url", "allowed_mentions", "parse", "roles"),
    *("components", "type", "flags", "attachments", "id", "footer", "text"),
]


class LimitTests(SynchronousTestCase):
    """
    Each limit holds exactly.
    """

    def test_each_limit_is_accepted_and_one_more_is_not(self) -> None:
        """
        The largest value passes, and the next is an error at its own path.
        """
        for name, (make, limit, path, code) in LIMITS.items():
            with self.subTest(name):
                self.assertEqual(problems(make(limit)), {})
                self.assertEqual(problems(make(limit + 1)), {path: code})

    def test_lengths_are_those_of_the_trimmed_text(self) -> None:
        """
        White space around a text does not count, in the sum neither, and is not kept.
        """
        padded = embed(title=f" {'x' * 256}\n", description="x" * 4096, footer={"text": " " * 2000 + "x" * 1648})
        kept, errors = CREATE.check({"content": f"\t{'x' * 2000} ", **padded})
        self.assertFalse(errors)
        self.assertEqual((len(kept["content"]), len(kept["embeds"][0]["title"])), (2000, 256))

    def test_a_character_outside_the_first_plane_counts_once(self) -> None:
        """
        256 emoji are a title.
        """
        self.assertEqual(problems(embed(title="🏺" * 256)), {})
        self.assertEqual(problems(embed(title="🏺" * 257)), {"embeds.0.title": "BASE_TYPE_MAX_LENGTH"})

    def test_the_sum_covers_all_embeds_and_all_texts(self) -> None:
        """
        Title, description, author, footer, names and values of every embed add up; URLs do not.
        """
        one = {
            "title": "x" * 100,
            "description": "x" * 100,
            "author": {"name": "x" * 100, "url": url(2000)},
            "footer": {"text": "x" * 100},
            "fields": [{"name": "x" * 100, "value": "x" * 100}],
        }
        self.assertEqual(problems({"embeds": [one] * 10}), {})
        more = {**one, "title": "x" * 101}
        self.assertEqual(problems({"embeds": [*[one] * 9, more]}), {"embeds": "MAX_EMBED_SIZE_EXCEEDED"})


class FormTests(SynchronousTestCase):
    """
    What is wrong is named, and the rest is kept as Discord keeps it.
    """

    def test_each_mistake_is_named_at_its_path(self) -> None:
        """
        Wrong types, missing fields, URLs and ids are errors at their own path.
        """
        for name, (body, path, code) in WRONG.items():
            with self.subTest(name):
                self.assertEqual(problems(body), {path: code})

    def test_what_is_right_is_accepted(self) -> None:
        """
        Cards, texts, nulls and link buttons have no error.
        """
        for name, body in ACCEPTED.items():
            with self.subTest(name):
                self.assertEqual(problems(body), {})

    def test_unknown_fields_and_those_of_discord_are_dropped(self) -> None:
        """
        What the form does not know is ignored, and an embed is always ``rich``.
        """
        kept, errors = CREATE.check(
            {"content": "x", "event": "stream.online", **embed(title="t", type="video", video={})}
        )
        self.assertFalse(errors)
        self.assertEqual(kept, {"content": "x", "embeds": [{"type": "rich", "title": "t"}]})

    def test_an_author_without_a_name_is_not_shown(self) -> None:
        """
        An author without a name and a footer without a text are dropped, and no error.
        """
        kept, errors = CREATE.check(embed(title="t", author={"url": "https://a.test/"}, footer={"text": ""}))
        self.assertFalse(errors)
        self.assertEqual(kept["embeds"], [{"type": "rich", "title": "t"}])

    def test_an_edit_keeps_null_apart_from_missing(self) -> None:
        """
        A field that is null empties something; one that is missing does not.
        """
        self.assertEqual(EDIT.check({"content": None})[0], {"content": None})
        self.assertEqual(EDIT.check({})[0], {})
        self.assertEqual(EDIT.check({"username": "discord"})[0], {})

    def test_what_would_not_be_seen_is_empty(self) -> None:
        """
        A colour, a link or a time alone is no message; a picture is.
        """
        for body, empty in (
            ({}, True),
            ({"content": " "}, True),
            (embed(), True),
            (embed(color=1, url="https://a.test/", timestamp="2026-01-02T04:00:00Z"), True),
            (embed(title=" "), True),
            (embed(image={"url": "https://a.test/"}), False),
            (embed(fields=[FIELD]), False),
            ({"content": "x"}, False),
        ):
            with self.subTest(body):
                kept, errors = CREATE.check(body)
                self.assertFalse(errors)
                self.assertEqual(is_empty(kept), empty)

    def test_errors_are_a_tree_since_version_8(self) -> None:
        """
        The tree leads to each error by its path.
        """
        _, errors = CREATE.check({"content": "x" * 2001, "embeds": [{"title": "t"}, {"title": 1}]})
        tree = errors.tree()
        self.assertEqual(
            tree["content"],
            {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 2000 or fewer in length."}]},
        )
        self.assertEqual([each["code"] for each in tree["embeds"]["1"]["title"]["_errors"]], ["STRING_TYPE_CONVERT"])

    def test_errors_are_flat_before_version_8(self) -> None:
        """
        A text for a field of the first level, the bare key for what is deeper.
        """
        _, errors = CREATE.check({"content": "x" * 2001, "embeds": [{"title": 1, "color": -1}]})
        self.assertEqual(errors.flat(), {"content": ["Must be 2000 or fewer in length."], "embeds": ["0"]})
        self.assertEqual(CREATE.check(1)[1].flat(), {"_misc": ["Only dictionaries may be used in a ModelType"]})

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(NAMES),
                    inner,
                    max_size=4,
                )
            ),
        )
    )
    def test_any_json_gets_an_answer(self, body: Any) -> None:
        """
        No body whatever makes the check fail by itself.
        """
        kept, errors = CREATE.check(body)
        if not errors:
            is_empty(kept)
        errors.tree()
        errors.flat()
