"""
The validators of others, and that the fake of Bluesky has the same lexicon.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.lexicon import problem_of_post
from tests.judges.validators import bluesky_problems, read_cloudevent

_LINK = "app.bsky.richtext.facet#link"
_FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
_THUMB = {
    "$type": "blob",
    "ref": {"$link": "bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy"},
    "mimeType": "image/jpeg",
    "size": 1000,
}


def _post(**more: Any) -> dict[str, Any]:
    return {"$type": "app.bsky.feed.post", "text": "x", "createdAt": "2026-01-02T04:00:00Z", **more}


def _facet(start: Any = 0, end: Any = 1, **feature: Any) -> list[Any]:
    about = {"$type": _LINK, "uri": "https://x.test", **feature}
    return [{"index": {"byteStart": start, "byteEnd": end}, "features": [about]}]


def _card(**more: Any) -> dict[str, Any]:
    about = {"uri": "https://x.test", "title": "", "description": "", **more}
    return {"$type": "app.bsky.embed.external", "external": about}


RECORDS: list[Any] = [
    _post(),
    {"$type": "app.bsky.feed.post"},
    {"text": "x", "createdAt": "2026-01-02T04:00:00Z"},
    _post(**{"$type": "app.bsky.feed.like"}),
    _post(text=5),
    _post(nonsense=1),
    *(_post(text=text) for text in ("", "x" * 300, "x" * 301, _FAMILY * 120, _FAMILY * 121)),
    *(
        _post(text=("e\u0301" + each) * 100)
        for each in ("\U0001f1e9\U0001f1ea", "\u1112\u1161\u11ab", "\r\n", "\u200b")
    ),
    *(
        _post(createdAt=when)
        for when in (
            "2026-01-02T04:00:00.123456+01:00",
            "2026-01-02T04:00:00-00:00",
            "2026-01-02 04:00:00Z",
            "2026-01-02t04:00:00z",
            "2026-13-02T04:00:00Z",
            "2026-01-02",
            "yesterday",
        )
    ),
    *(_post(langs=langs) for langs in (["en"], ["pt-BR", "de", "ja"], ["en"] * 4, ["english!"], [""], ["e"], "en")),
    *(_post(tags=tags) for tags in (["x"] * 8, ["x"] * 9, ["x" * 64], ["x" * 65])),
    *(_post(facets=_facet(*offsets)) for offsets in ((0, 1), (-1, 1), (0, 900), (1.5, 2), (0, "1"), (5, 2))),
    *(_post(facets=_facet(uri=uri)) for uri in ("https://x.test/\u00e9", "x", "", "x:", "https://", "mailto:a@b", 5)),
    _post(facets=_facet(**{"$type": "app.bsky.richtext.facet#mention"})),
    *(
        _post(facets=_facet(**{"$type": "app.bsky.richtext.facet#mention", "did": did}))
        for did in ("did:plc:ewvi7nxzyoun6zhxrhs64oiz", "did:web:x.test", "ada", "did:", "did:plc:")
    ),
    *(_post(facets=_facet(**{"$type": "app.bsky.richtext.facet#tag", "tag": "x" * size})) for size in (64, 65, 641)),
    _post(facets=_facet(**{"$type": "org.test.other"})),
    _post(facets=[{"index": {"byteStart": 0, "byteEnd": 1}, "features": [{"uri": "https://x.test"}]}]),
    _post(facets=[{"index": {"byteStart": 0}, "features": []}]),
    _post(facets=[{"index": {"byteStart": 0, "byteEnd": 1}}]),
    _post(facets={}),
    *(
        _post(embed=_card(**more))
        for more in ({}, {"uri": "x"}, {"title": 5}, {"thumb": _THUMB}, {"thumb": "https://x"})
    ),
    *(
        _post(embed=embed)
        for embed in ("x", {}, {"external": {}}, {"$type": "app.bsky.embed.external"}, {"$type": "x"})
    ),
    *(
        _post(embed={"$type": "app.bsky.embed.external", "external": {"uri": "https://x.test", other: ""}})
        for other in ("title", "description")
    ),
]


class BlueskyTests(SynchronousTestCase):
    """
    ``@atproto/api`` and the fake agree about records.
    """

    def test_the_fake_refuses_what_the_official_package_refuses(self) -> None:
        """
        Both give the same reason for each record.
        """
        for record, theirs in zip(RECORDS, bluesky_problems(RECORDS), strict=True):
            self.assertEqual(problem_of_post(record), theirs, str(record)[:200])

    def test_both_count_the_same_characters(self) -> None:
        """
        Texts of emoji, accents, jamo and joiners are too long for both at the same length.
        """
        pieces = (
            "a",
            "e\u0301",
            "\u200d",
            "\ufe0f",
            "\U0001f468",
            "\U0001f1e9",
            "\U0001f3fd",
            "\u1112",
            "\u1161",
            "\uac00",
        )
        texts = [a + b + c for a in pieces for b in pieces for c in pieces]
        # As many as 300 clusters may have, so that one more or less decides.
        records = [_post(text=text + "\n" + "x" * (299 - extra)) for text in texts for extra in (1, 2, 3)]
        theirs = bluesky_problems(records)
        wrong = [
            ascii(record["text"][:9])
            for record, said in zip(records, theirs, strict=True)
            if problem_of_post(record) != said
        ]
        self.assertEqual(wrong, [])

    def test_a_time_without_a_zone(self) -> None:
        """
        The specification demands a zone; the package does not, and the fake does.
        """
        record = _post(createdAt="2026-01-02T04:00:00")
        self.assertEqual(bluesky_problems([record]), [""])
        self.assertIn("createdAt", problem_of_post(record))


class CloudEventTests(SynchronousTestCase):
    """
    ``cloudevents`` reads both content modes, and refuses what the specification refuses.
    """

    ATTRIBUTES: ClassVar = {
        "specversion": "1.0",
        "id": "7f3c",
        "source": "/twitch/channels/1",
        "type": "tv.itsjustintv.stream.online",
        "time": "2026-01-02T04:00:00Z",
        "subject": "tanuki",
    }

    def structured(self, **more: object) -> tuple[dict[str, Any], str]:
        event = {**self.ATTRIBUTES, "datacontenttype": "application/json", "data": {"title": "Pots"}, **more}
        content = {name: value for name, value in event.items() if value is not None}
        return read_cloudevent(
            {"Content-Type": "application/cloudevents+json; charset=utf-8"}, json.dumps(content).encode()
        )

    def test_structured(self) -> None:
        """
        A JSON document has the attributes and the data.
        """
        event, problem = self.structured()
        self.assertEqual((problem, event["subject"], event["data"]), ("", "tanuki", {"title": "Pots"}))

    def test_binary(self) -> None:
        """
        Headers have the attributes, percent-encoded, and the body is the data.
        """
        headers = {f"ce-{name}": value for name, value in self.ATTRIBUTES.items()}
        headers |= {"Content-Type": "application/json", "ce-subject": "tanuki%20%C3%A9"}
        event, problem = read_cloudevent(headers, b'{"title": "Pots"}')
        self.assertEqual((problem, event["subject"], event["data"]), ("", "tanuki \u00e9", {"title": "Pots"}))

    def test_refusals(self) -> None:
        """
        A missing source, an empty id, and an extension with a hyphen are refused.
        """
        for more, word in (({"source": None}, "source"), ({"id": ""}, "id"), ({"bad-ext": "x"}, "bad-ext")):
            event, problem = self.structured(**more)
            self.assertEqual(event, {})
            self.assertIn(word, problem)
