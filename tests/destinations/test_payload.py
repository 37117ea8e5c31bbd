"""
Tests of :mod:`itsjustintv.destinations.payload`.
"""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Any

import orjson
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import itsjustintv
from itsjustintv.destinations.payload import build_payload, embed_picture
from itsjustintv.model import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    Enrichment,
    Event,
    Notice,
    Picture,
    StreamDetails,
    Streamer,
)

DOCUMENT = Path(itsjustintv.__file__).parent.parent / "docs" / "payload.md"

EVENT = Event(
    id="5f0c6a3e9d7b4c1c8a52",
    message_id="m-1",
    stream_id="7000000001",
    broadcaster_id="42",
    broadcaster_login="tanuki",
    broadcaster_name="Tanuki",
    type="live",
    started_at="2026-01-02T04:00:00Z",
    received_at=1767326400.5,
)
PICTURE = Picture(
    url="https://static-cdn.jtvnw.net/jtv_user_pictures/0b5a-profile_image-300x300.png",
    mime_type="image/png",
    data=b"\x89PNG\r\n\x1a\n",
)

FULL = Notice(
    event=EVENT,
    streamer=Streamer(key="tanuki", additional_tags=("vip",)),
    enrichment=Enrichment(
        stream=StreamDetails(
            listed=True,
            title="Pottery night",
            game_id="509660",
            game_name="Art",
            viewer_count=7,
            language="de",
            thumbnail_url="https://static-cdn.jtvnw.net/previews-ttv/live_user_tanuki-{width}x{height}.jpg",
        ),
        tags=("Deutsch", "Keramik"),
        followers_count=12345,
        description="Pots and pans.",
        picture=PICTURE,
    ),
    built_at=1767326401.25,
)
BARE = Notice(event=EVENT, streamer=Streamer(key="tanuki"), enrichment=Enrichment(), built_at=1767326401.0)

#: Any text at all, halves of surrogate pairs included.
TEXT = st.text(st.characters(exclude_categories=()), max_size=6)


def content(notice: Notice) -> Any:
    """
    What a receiver reads.
    """
    return orjson.loads(build_payload(notice))


def order(value: Any) -> Any:
    """
    The names of an object's fields, in order, at every level.
    """
    return [(name, order(each)) for name, each in value.items()] if isinstance(value, dict) else None


def tagged(*tags: str, additional: tuple[str, ...] = (), language: str = "") -> Any:
    """
    A payload of a broadcast with these tags.
    """
    return content(
        evolve(
            BARE,
            streamer=Streamer(key="foo", additional_tags=additional),
            enrichment=Enrichment(tags=tags, stream=StreamDetails(language=language)),
        )
    )


class BuildTests(SynchronousTestCase):
    """
    Which fields there are, and what is in them.
    """

    def test_the_documented_sample_is_what_is_sent(self) -> None:
        """
        The sample of docs/payload.md is a payload to the letter, in its order of fields.
        """
        sample = orjson.loads(DOCUMENT.read_text(encoding="utf-8").split("```json\n")[1].split("```")[0])
        sent = orjson.loads(embed_picture(build_payload(FULL), PICTURE.data or b""))
        self.assertEqual(sent, sample)
        self.assertEqual(order(sent), order(sample))

    def test_every_field_is_documented(self) -> None:
        """
        The table of docs/payload.md has each of them.
        """
        table = "\n".join(line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("|"))
        event = evolve(EVENT, recovered=True, occurred_at=1.0)
        notice = evolve(FULL, event=event, enrichment=evolve(FULL.enrichment, vods=("https://www.twitch.tv/videos/1",)))
        sent = orjson.loads(embed_picture(build_payload(notice), b""))
        names = [*sent, *(f"{outer}.{inner}" for outer in ("image", "stream") for inner in sent[outer])]
        self.assertEqual([name for name in names if f"`{name}`" not in table and name != "stream"], [])

    def test_the_picture_is_not_in_it_yet(self) -> None:
        """
        The body that is stored has the picture's address and kind, not its bytes.
        """
        self.assertEqual(list(content(FULL)["image"]), ["url", "width", "height", "mime_type"])

    def test_what_is_unknown_is_left_out(self) -> None:
        """
        As the original leaves it out; the stream, which it did not have, is always complete.
        """
        self.assertEqual(
            content(BARE),
            {
                "streamer_login": "tanuki",
                "streamer_name": "Tanuki",
                "streamer_id": "42",
                "url": "https://twitch.tv/tanuki",
                "language": "en",
                "timestamp": "2026-01-02T04:00:01.000000Z",
                "event": "stream.online",
                "id": "5f0c6a3e9d7b4c1c8a52",
                "stream": {
                    "id": "7000000001",
                    "type": "live",
                    "started_at": "2026-01-02T04:00:00Z",
                    "title": "",
                    "game_id": "",
                    "game_name": "",
                    "viewer_count": None,
                    "language": "",
                    "tags": None,
                    "thumbnail_url": "",
                },
            },
        )

    def test_only_a_test_says_so(self) -> None:
        """
        A test is marked as one; nothing else has the field.
        """
        self.assertIs(content(evolve(BARE, test=True))["test"], True)
        self.assertNotIn("test", content(BARE))

    def test_only_a_recovered_broadcast_says_so(self) -> None:
        """
        What was found by asking is marked, right after its id; everything else looks as it always did.
        """
        recovered = content(evolve(BARE, event=evolve(EVENT, recovered=True)))
        self.assertIs(recovered["recovered"], True)
        names = list(recovered)
        self.assertEqual(names[names.index("recovered") - 1], "id")
        self.assertEqual({**recovered, "recovered": None}, {**content(BARE), "recovered": None})
        self.assertNotIn("recovered", content(BARE))

    def test_zero_is_left_out_where_the_original_did(self) -> None:
        """
        Nobody watching yet is no view_count, but a viewer_count of 0.
        """
        sent = content(
            evolve(BARE, enrichment=Enrichment(stream=StreamDetails(viewer_count=0), followers_count=0, tags=()))
        )
        self.assertEqual({"view_count", "followers_count", "tags"} & set(sent), set())
        self.assertEqual((sent["stream"]["viewer_count"], sent["stream"]["tags"]), (0, []))

    def test_a_login_that_twitch_did_not_send_is_the_configured_one(self) -> None:
        """
        And the name is the login.
        """
        event = evolve(EVENT, broadcaster_login="", broadcaster_name="")
        sent = content(evolve(BARE, event=event, streamer=Streamer(key="foo", login="tanuki")))
        self.assertEqual((sent["streamer_login"], sent["streamer_name"]), ("tanuki", "tanuki"))

    def test_tags_are_merged_without_doubles(self) -> None:
        """
        Twitch's come first, and the first spelling wins.
        """
        sent = tagged("English", "vip", additional=("VIP", "english", "Extra", "extra"))
        self.assertEqual(sent["tags"], ["English", "vip", "Extra"])
        self.assertEqual(sent["additional_tags"], ["VIP", "english", "Extra", "extra"])
        self.assertEqual(sent["stream"]["tags"], ["English", "vip"])

    def test_additional_tags_alone_do_not_pass_for_the_broadcasts(self) -> None:
        """
        When Twitch's tags are unknown there are no tags, as in the original.
        """
        sent = content(evolve(BARE, streamer=Streamer(key="foo", additional_tags=("vip",))))
        self.assertNotIn("tags", sent)
        self.assertEqual(sent["additional_tags"], ["vip"])

    def test_the_first_tag_that_names_a_language_tells_it(self) -> None:
        """
        In its own or in English, in whatever case; else it is the channel's, else English.
        """
        for tags, language, expected in (
            (("Art", "DEUTSCH", "English"), "fr", "de"),
            (("ESPAÑOL",), "", "es"),
            (("русский",), "", "ru"),
            (("日本語",), "en", "ja"),
            (("Art",), "fr", "fr"),
            (("Art",), "", "en"),
            ((), "other", "other"),
        ):
            self.assertEqual(tagged(*tags, language=language)["language"], expected)

    def test_additional_tags_tell_no_language(self) -> None:
        """
        They are the operator's, not the broadcast's.
        """
        self.assertEqual(tagged("Art", additional=("German",), language="fr")["language"], "fr")

    def test_a_moment_of_any_kind_is_rfc_3339(self) -> None:
        """
        UTC, with microseconds even when they are none.
        """
        self.assertEqual(content(evolve(BARE, built_at=0.0))["timestamp"], "1970-01-01T00:00:00.000000Z")

    def test_half_a_surrogate_pair_is_replaced(self) -> None:
        """
        A text that has no UTF-8 form does not keep the news from being told, and two halves are a whole.
        """
        sent = tagged("ok", "\ud83d", "\ud83d\ude00", additional=("\udc00x",))
        self.assertEqual(sent["tags"], ["ok", "\ufffd", "\U0001f600", "\ufffdx"])

    @given(
        st.lists(TEXT, max_size=4),
        st.lists(TEXT, max_size=4),
        st.tuples(TEXT, TEXT, TEXT, TEXT),
        st.none() | st.integers(0, (1 << 63) - 1),
        st.booleans(),
    )
    def test_no_text_breaks_it(
        self,
        tags: list[str],
        additional: list[str],
        texts: tuple[str, str, str, str],
        number: int | None,
        pictured: bool,
    ) -> None:
        """
        Whatever Twitch or the operator wrote comes back from the JSON, except for halves of surrogate pairs; and the
        same notice gives the same bytes.
        """
        title, name, description, url = texts
        notice = Notice(
            event=evolve(EVENT, broadcaster_name=name),
            streamer=Streamer(key="foo", additional_tags=tuple(additional)),
            enrichment=Enrichment(
                stream=StreamDetails(title=title, viewer_count=number),
                tags=tuple(tags),
                followers_count=number,
                description=description,
                picture=Picture(url=url) if pictured else None,
            ),
            built_at=1767326401.25,
        )
        body = build_payload(notice)
        self.assertEqual(body, build_payload(notice))
        sent = orjson.loads(body)
        self.assertEqual(sent["stream"]["title"], title.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
        self.assertEqual(len(sent["stream"]["tags"]), len(tags))
        merged = sent.get("tags", [])
        self.assertEqual(len(merged), len({tag.casefold() for tag in (*tags, *additional)}))
        self.assertEqual(sent["stream"]["viewer_count"], number)


class OtherEventTests(SynchronousTestCase):
    """
    What the payload says of an end, and of a change.
    """

    def test_end(self) -> None:
        """
        The end of a broadcast names no stream; it says when it was, and links the recordings that there are.
        """
        event = evolve(EVENT, event_type=STREAM_OFFLINE, stream_id="", type="", started_at="", occurred_at=1767333600.5)
        sent = content(evolve(BARE, event=event, enrichment=Enrichment(vods=("https://www.twitch.tv/videos/1",))))
        self.assertEqual((sent["event"], sent["occurred_at"]), ("stream.offline", "2026-01-02T06:00:00.500Z"))
        self.assertEqual(sent["vods"], ["https://www.twitch.tv/videos/1"])
        self.assertEqual([sent["stream"][each] for each in ("id", "type", "started_at")], ["", "", ""])
        self.assertNotIn("vods", content(evolve(BARE, event=event)))

    def test_change(self) -> None:
        """
        What Twitch said of a change goes before what it answered when it was asked, which may be older.
        """
        event = evolve(
            EVENT,
            event_type=CHANNEL_UPDATE,
            stream_id="",
            type="",
            started_at="",
            occurred_at=1767333600.0,
            title="",
            category_id="2",
            category="Music",
            language="fr",
        )
        sent = content(evolve(FULL, event=event, enrichment=evolve(FULL.enrichment, tags=("Keramik",))))
        told = [sent["stream"][each] for each in ("title", "game_id", "game_name", "language")]
        self.assertEqual((sent["event"], sent["language"], told), ("channel.update", "fr", ["", "2", "Music", "fr"]))
        self.assertEqual(sent["stream"]["viewer_count"], 7)

    def test_start(self) -> None:
        """
        A start has neither of the two fields, as ever.
        """
        self.assertEqual({"occurred_at", "vods"} & {*content(FULL)}, set())


class EmbedTests(SynchronousTestCase):
    """
    The picture in the payload.
    """

    @given(st.binary(max_size=100))
    def test_the_bytes_come_back(self, picture: bytes) -> None:
        """
        In base64, and nothing else is changed.
        """
        body = build_payload(FULL)
        sent = orjson.loads(embed_picture(body, picture))
        self.assertEqual(b64decode(sent["image"].pop("data"), validate=True), picture)
        self.assertEqual(orjson.dumps(sent), body)

    def test_every_attempt_sends_the_same_bytes(self) -> None:
        """
        Embedding is repeatable, also into what has been embedded.
        """
        once = embed_picture(build_payload(FULL), b"picture")
        self.assertEqual(embed_picture(build_payload(FULL), b"picture"), once)
        self.assertEqual(embed_picture(once, b"picture"), once)

    def test_without_an_image_there_is_no_place_for_it(self) -> None:
        """
        Such a body stays as it is.
        """
        self.assertEqual(embed_picture(build_payload(BARE), b"picture"), build_payload(BARE))
