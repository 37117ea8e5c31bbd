"""
The fake of Bluesky; ``tests/judges/test_validators.py`` compares its lexicon with the official package's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.bluesky import BlueskyAccount, FakeBluesky
from itsjustintv.simulator.fakes.service import FakeAnswer

NOW = 1_767_326_400.0
DID = "did:plc:abcdefghijklmnopqrstuvwx"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
RKEY = "3mbfzq2s22222"
LINK = "app.bsky.richtext.facet#link"
MENTION = "app.bsky.richtext.facet#mention"


def facet(start: int, end: int, kind: str = LINK, **more: str) -> dict[str, Any]:
    """
    A facet: a link unless its type is given.
    """
    about = more or {"uri": "https://www.twitch.tv/tanuki"}
    return {"index": {"byteStart": start, "byteEnd": end}, "features": [{"$type": kind, **about}]}


def post(text: str = "Tanuki is live", **more: Any) -> dict[str, Any]:
    """
    A record.
    """
    return {"$type": "app.bsky.feed.post", "text": text, "createdAt": "2026-01-02T04:00:00Z", **more}


def card(**more: Any) -> dict[str, Any]:
    """
    A card for a link.
    """
    about = {"uri": "https://www.twitch.tv/tanuki", "title": "", "description": "", **more}
    return {"$type": "app.bsky.embed.external", "external": about}


class BlueskyCase(SynchronousTestCase):
    """
    A server with one account.
    """

    def setUp(self) -> None:
        self.bluesky = FakeBluesky(accounts=[BlueskyAccount(did=DID, handle="tanuki.test", password="app-password")])

    def ask(self, method: str, token: str = "", now: float = NOW, **given: Any) -> FakeAnswer:
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
        return self.bluesky.handle("POST", f"https://pds.test/xrpc/{method}", headers, orjson.dumps(given), now)

    def log_in(self, now: float = NOW, password: str = "app-password", name: str = "tanuki.test") -> FakeAnswer:
        return self.ask("com.atproto.server.createSession", now=now, identifier=name, password=password)

    def put(self, record: Any, rkey: str = RKEY, now: float = NOW, **more: Any) -> FakeAnswer:
        about = {"repo": DID, "collection": "app.bsky.feed.post", "rkey": rkey, "record": record, **more}
        return self.ask("com.atproto.repo.putRecord", self.token, now, **about)

    def refused(self, answer: FakeAnswer, status: int, error: str) -> None:
        self.assertEqual((answer.status, answer.json["error"]), (status, error))


class SessionTests(BlueskyCase):
    """
    Sessions end, and logging in is limited.
    """

    def whoami(self, token: str, now: float = NOW) -> FakeAnswer:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return self.bluesky.handle("GET", "/xrpc/com.atproto.server.getSession", headers, b"", now)

    def refresh(self, token: str, now: float) -> FakeAnswer:
        return self.ask("com.atproto.server.refreshSession", token, now)

    def test_a_session(self) -> None:
        """
        Handle and DID, in any case, with the app password open a session; a wrong password does not.
        """
        for name in ("tanuki.test", "Tanuki.Test", DID):
            self.assertEqual(self.whoami(self.log_in(name=name).json["accessJwt"]).json["did"], DID)
        self.refused(self.log_in(password="wrong"), 401, "AuthenticationRequired")
        self.refused(self.ask("com.atproto.server.createSession", identifier="x"), 400, "InvalidRequest")

    def test_an_access_token_ends_after_two_hours(self) -> None:
        """
        The token works until then, and is ExpiredToken afterwards, which is 400; so does the end that a test makes.
        """
        token = self.log_in().json["accessJwt"]
        self.assertEqual(self.whoami(token, NOW + 7199.9).status, 200)
        self.refused(self.whoami(token, NOW + 7200), 400, "ExpiredToken")
        self.bluesky.expire()
        self.refused(self.whoami(token), 400, "ExpiredToken")

    def test_a_refresh_token_gives_new_tokens(self) -> None:
        """
        A refresh token gives two new tokens; it works two hours more itself, and 90 days if it is not used.
        """
        session = self.log_in().json
        new = self.refresh(session["refreshJwt"], NOW + 86_400).json
        self.assertEqual(self.whoami(new["accessJwt"], NOW + 86_400).status, 200)
        self.assertEqual(self.refresh(session["refreshJwt"], NOW + 86_400 + 7199.9).status, 200)
        self.refused(self.refresh(session["refreshJwt"], NOW + 86_400 + 7200), 400, "ExpiredToken")
        self.assertEqual(self.refresh(new["refreshJwt"], NOW + 91 * 86_400 - 0.1).status, 200)
        unused = self.log_in().json["refreshJwt"]
        self.refused(self.refresh(unused, NOW + 90 * 86_400), 400, "ExpiredToken")

    def test_each_token_has_its_own_use(self) -> None:
        """
        An access token does not refresh, a refresh token does not access, and others do neither.
        """
        session = self.log_in().json
        self.refused(self.refresh(session["accessJwt"], NOW), 400, "InvalidToken")
        self.refused(self.whoami(session["refreshJwt"]), 400, "InvalidToken")
        self.refused(self.whoami("wrong"), 400, "InvalidToken")
        self.refused(self.refresh("wrong", NOW), 400, "InvalidToken")
        self.refused(self.whoami(""), 401, "AuthMissing")

    def test_thirty_logins_in_five_minutes(self) -> None:
        """
        The thirtieth login is answered, the next one is RateLimitExceeded until five minutes after the first.
        """
        answers = [self.log_in(NOW + number) for number in range(31)]
        self.assertEqual((answers[29].status, answers[29].header("RateLimit-Remaining")), (200, "0"))
        self.refused(answers[30], 429, "RateLimitExceeded")
        self.assertEqual(answers[30].header("RateLimit-Reset"), str(int(NOW) + 300))
        self.assertEqual(answers[30].header("RateLimit-Policy"), "30;w=300")
        self.assertEqual([self.log_in(NOW + late).status for late in (299.9, 300)], [429, 200])

    def test_three_hundred_logins_in_a_day(self) -> None:
        """
        The 300th login of a day is answered, the next one is not.
        """
        answers = [self.log_in(NOW + number * 60) for number in range(301)]
        self.assertEqual([each.status for each in answers[299:]], [200, 429])
        self.assertEqual(answers[300].header("RateLimit-Policy"), "300;w=86400")


class PostTests(BlueskyCase):
    """
    Posts are checked, stored by their key, and shown as they were first.
    """

    def setUp(self) -> None:
        super().setUp()
        self.token = self.log_in().json["accessJwt"]

    def invalid(self, record: Any, place: str, **more: Any) -> None:
        answer = self.put(record, **more)
        self.refused(answer, 400, "InvalidRequest")
        self.assertIn(place, answer.json["message"])
        self.assertEqual(self.bluesky.messages, {})

    def test_the_same_key_is_the_same_post(self) -> None:
        """
        A repeated record changes nothing, and a deleted one is gone; deleting it again is no error.
        """
        first, second = self.put(post()), self.put(post())
        self.assertEqual(first.json["uri"], f"at://{DID}/app.bsky.feed.post/{RKEY}")
        self.assertEqual((first.json["uri"], first.json["cid"]), (second.json["uri"], second.json["cid"]))
        self.assertEqual(("commit" in first.json, "commit" in second.json), (True, False))
        self.assertEqual(len(self.bluesky.messages), 1)
        about = {"repo": DID, "collection": "app.bsky.feed.post", "rkey": RKEY}
        for _ in range(2):
            self.assertEqual(self.ask("com.atproto.repo.deleteRecord", self.token, **about).status, 200)
            self.assertEqual(self.bluesky.messages, {})

    def test_an_edit_is_stored_and_not_shown(self) -> None:
        """
        Another record at the same key replaces the first one, and the app goes on showing the first text.
        """
        self.put(post("is live"))
        uri = self.put(post("was live")).json["uri"]
        query = f"repo=tanuki.test&collection=app.bsky.feed.post&rkey={RKEY}"
        stored = self.bluesky.handle("GET", f"/xrpc/com.atproto.repo.getRecord?{query}", {}, b"", NOW)
        self.assertEqual(stored.json["value"]["text"], "was live")
        self.assertEqual(self.bluesky.messages[uri]["text"], "is live")
        nothing = self.bluesky.handle("GET", "/xrpc/com.atproto.repo.getRecord?repo=x", {}, b"", NOW)
        self.refused(nothing, 400, "RecordNotFound")

    def test_the_length_of_a_text(self) -> None:
        """
        300 graphemes and 3000 bytes are taken; one more of either is not.
        """
        for text, limit in (("\u00e9" * 300, "300 graphemes"), (FAMILY * 166 + "x" * 12, "3000 characters")):
            self.invalid(post(text + "x"), limit)
            self.assertEqual(self.put(post(text)).status, 200, limit)
            self.bluesky.messages.clear()

    def test_required_properties(self) -> None:
        """
        A text, a time with a zone, and the type of the collection are required.
        """
        for missing in ("text", "createdAt"):
            self.invalid({key: value for key, value in post().items() if key != missing}, missing)
        self.invalid(post(createdAt="2026-01-02T04:00:00"), "createdAt")
        self.invalid(post(createdAt="2026-13-02T04:00:00Z"), "createdAt")
        self.invalid({**post(), "$type": "app.bsky.feed.like"}, "$type")
        self.invalid("text", "$type")
        self.assertEqual(self.put(post(createdAt="2026-01-02T04:00:00.123+01:00")).status, 200)

    def test_languages(self) -> None:
        """
        Three languages are taken, four are not, nor is what is no tag.
        """
        self.invalid(post(langs=["en", "de", "fr", "it"]), "langs")
        self.invalid(post(langs=["english!"]), "langs/0")
        self.invalid(post(langs="en"), "langs")
        self.assertEqual(self.put(post(langs=["en", "pt-BR", "ja"])).status, 200)

    def test_facets_have_the_form(self) -> None:
        """
        Offsets are integers from 0, features have a type, links an address and mentions a DID.
        """
        for wrong, place in (
            (facet(-1, 2), "facets/0/index/byteStart"),
            ({"index": {"byteStart": 0, "byteEnd": 1.5}, "features": []}, "facets/0/index/byteEnd"),
            ({"index": {"byteStart": 0}, "features": []}, "byteEnd"),
            ({"index": {"byteStart": 0, "byteEnd": 1}}, "features"),
            ({"index": {"byteStart": 0, "byteEnd": 1}, "features": [{}]}, "facets/0/features/0"),
            (facet(0, 1, uri="nowhere"), "uri"),
            (facet(0, 1, MENTION, did="ada"), "did"),
        ):
            self.invalid(post(facets=[wrong]), place)
        self.invalid(post(facets={}), "facets")

    def test_offsets_count_bytes(self) -> None:
        """
        A link underlies the text between two byte offsets. Offsets beyond the text, the wrong way round, or within a
        character are stored, and show no link.
        """
        text = "\u00e9t\u00e9 live"
        uri = self.put(post(text, facets=[facet(6, 10)])).json["uri"]
        self.assertEqual(self.bluesky.messages[uri]["links"], {"live": "https://www.twitch.tv/tanuki"})
        for number, (start, end) in enumerate(((6, 11), (6, 6), (8, 7), (1, 3), (0, 4))):
            uri = self.put(post(text, facets=[facet(start, end)]), rkey=f"3mbfzq2s2222{number + 3}").json["uri"]
            self.assertEqual(self.bluesky.messages[uri]["links"], {}, (start, end))
            self.assertEqual(len(self.bluesky.messages[uri]["broken"]), 1)

    def test_only_facets_of_a_new_post_mention(self) -> None:
        """
        A handle in the text mentions no one; a facet of a new post does, one of an edit does not.
        """
        named = facet(0, 5, MENTION, did="did:plc:ada")
        quiet = self.put(post("@tanuki.test @everyone #tag")).json["uri"]
        self.put(post("@ada", facets=[named]))
        self.assertEqual(self.bluesky.pinged(quiet), [])
        loud = self.put(post("@ada!", facets=[named]), rkey="3mbfzq2s22223").json["uri"]
        self.assertEqual(self.bluesky.pinged(loud), ["user:did:plc:ada"])

    def test_cards(self) -> None:
        """
        A card needs an address, a title and a description, which may be empty.
        """
        for missing in ("uri", "title", "description"):
            broken = card()
            del broken["external"][missing]
            self.invalid(post(embed=broken), missing)
        self.invalid(post(embed=card(uri="twitch")), "uri")
        self.invalid(post(embed={"external": {}}), "$type")
        uri = self.put(post(embed=card(title="Pots"))).json["uri"]
        self.assertEqual(self.bluesky.messages[uri]["card"]["title"], "Pots")

    def upload(self, content: bytes, kind: str = "image/jpeg") -> FakeAnswer:
        headers = {"authorization": f"Bearer {self.token}", "content-type": kind}
        return self.bluesky.handle("POST", "/xrpc/com.atproto.repo.uploadBlob", headers, content, NOW)

    def test_the_picture_of_a_card(self) -> None:
        """
        A picture of a million bytes that was uploaded is taken; one byte more, another type, or one that was not
        uploaded is refused.
        """
        blobs: list[Mapping[str, Any]] = [
            self.upload(content, kind).json["blob"]
            for content, kind in ((bytes(10**6), "image/jpeg"), (bytes(10**6 + 1), "image/jpeg"), (b"x", "text/html"))
        ]
        missing = {**blobs[0], "ref": {"$link": "bafkreinothing"}}
        for blob, error in ((blobs[1], "BlobTooLarge"), (blobs[2], "InvalidMimeType"), (missing, "BlobNotFound")):
            self.refused(self.put(post(embed=card(thumb=blob))), 400, error)
        self.invalid(post(embed=card(thumb="https://x.test/x.jpg")), "thumb")
        self.assertEqual(self.put(post(embed=card(thumb=blobs[0]))).status, 200)
        self.assertEqual(self.upload(bytes(5 * 1024 * 1024)).status, 200)
        self.assertEqual(self.upload(bytes(5 * 1024 * 1024 + 1)).status, 413)

    def test_where_records_go(self) -> None:
        """
        Keys are TIDs, the repository is one's own, and the token is good.
        """
        for rkey in ("self", "2026-01-02", "3mbfzq2s2222", "zmbfzq2s22222", "3mbfzq2s2222A"):
            self.refused(self.put(post(), rkey=rkey), 400, "InvalidRequest")
        self.refused(self.put(post(), repo="did:plc:other"), 401, "AuthenticationRequired")
        self.refused(self.put(post(), collection="app.bsky.feed.like"), 400, "InvalidRequest")
        self.bluesky.expire()
        self.refused(self.put(post()), 400, "ExpiredToken")
        self.assertEqual(self.bluesky.messages, {})

    def test_the_points_of_an_hour(self) -> None:
        """
        Putting a record costs 2 of 5000 points an hour, deleting one 1.
        """
        self.bluesky.points_of_hour.limit = 5
        self.assertEqual([self.put(post()).header("RateLimit-Remaining") for _ in range(2)], ["3", "1"])
        about = {"repo": DID, "collection": "app.bsky.feed.post", "rkey": RKEY}
        self.assertEqual(self.ask("com.atproto.repo.deleteRecord", self.token, **about).status, 200)
        over = self.put(post())
        self.refused(over, 429, "RateLimitExceeded")
        self.assertEqual(over.header("RateLimit-Reset"), str(int(NOW) + 3600))

    def test_the_rate_of_requests(self) -> None:
        """
        3000 requests within five minutes are answered, whatever they are, and the next one is not.
        """
        self.bluesky.requests.take("client", NOW, 3000 - 2)
        answers = [self.ask("com.atproto.server.nothing") for _ in range(2)]
        self.assertEqual([each.status for each in answers], [501, 429])

    def test_what_is_not_json(self) -> None:
        """
        A body that is not JSON, or does not say that it is, is refused.
        """
        headers = {"authorization": f"Bearer {self.token}"}
        path = "/xrpc/com.atproto.repo.putRecord"
        self.refused(self.bluesky.handle("POST", path, headers, b"{}", NOW), 400, "InvalidRequest")
        headers["content-type"] = "application/json"
        for body in (b"{", b"[]", b"{}"):
            self.refused(self.bluesky.handle("POST", path, headers, body, NOW), 400, "InvalidRequest")
