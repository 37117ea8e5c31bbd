"""
The fake of a Matrix homeserver; ``tests/judges/test_synapse.py`` compares its answers with a real one's.
"""

from __future__ import annotations

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.matrix import FakeMatrix, MatrixRoom
from itsjustintv.simulator.fakes.service import FakeAnswer

NOW = 1_767_326_400.0
ROOM = "!lounge:matrix.test"
OTHER = "!other:matrix.test"
CRYPT = "!crypt:matrix.test"
BOT, ADA, EVE = "@itsjustintv:matrix.test", "@ada:matrix.test", "@eve:matrix.test"
MEMBERS = {BOT: "itsjustintv", ADA: "Ada L.", EVE: "Eve"}


def message(body: str, **more: Any) -> dict[str, Any]:
    """
    A message that mentions no one, unless its ``mentions`` are given; ``None`` for none at all.
    """
    mentions = more.pop("mentions", {})
    return {"msgtype": "m.text", "body": body, **({} if mentions is None else {"m.mentions": mentions}), **more}


def edit(event: str, body: str, **more: Any) -> dict[str, Any]:
    """
    The edit of a message.
    """
    relation = {"rel_type": "m.replace", "event_id": event}
    return {**message(f"* {body}", **more), "m.new_content": message(body), "m.relates_to": relation}


class MatrixTests(SynchronousTestCase):
    """
    The fake treats events as a homeserver and its clients do.
    """

    def setUp(self) -> None:
        self.matrix = FakeMatrix(
            tokens={"bot": BOT, "ada": ADA},
            rooms={
                ROOM: MatrixRoom(id=ROOM, alias="#lounge:matrix.test", members=MEMBERS, moderators=frozenset({BOT})),
                OTHER: MatrixRoom(id=OTHER, members=MEMBERS),
                CRYPT: MatrixRoom(id=CRYPT, members={BOT: ""}, encrypted=True),
            },
            burst=1000,
        )

    def ask(self, method: str, path: str, content: Any = None, now: float = NOW, *, token: str = "bot") -> FakeAnswer:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        body = content if isinstance(content, bytes) else orjson.dumps({} if content is None else content)
        return self.matrix.handle(method, f"https://matrix.test/_matrix/client/v3/{path}", headers, body, now)

    def send(
        self, transaction: str, content: Any, now: float = NOW, *, token: str = "bot", room: str = ROOM
    ) -> FakeAnswer:
        return self.ask("PUT", f"rooms/{room}/send/m.room.message/{transaction}", content, now, token=token)

    def post(self, transaction: str, content: Any, **more: Any) -> str:
        event: str = self.send(transaction, content, **more).json["event_id"]
        return event

    def refused(self, answer: FakeAnswer, status: int, code: str) -> None:
        self.assertEqual((answer.status, answer.json["errcode"]), (status, code))

    def test_a_transaction_happens_once(self) -> None:
        """
        The same transaction of the same token is one event, whatever it says; of another token or room it is another.
        """
        events = [
            self.post("1", message("first")),
            self.post("1", message("second")),
            self.post("1", message("first"), token="ada"),
            self.post("1", message("first"), room=OTHER),
        ]
        self.assertEqual(events[0], events[1])
        self.assertEqual(len(set(events)), 3)
        self.assertEqual([each["content"]["body"] for each in self.matrix.messages.values()], ["first"] * 3)

    def test_a_refused_transaction_can_be_repeated(self) -> None:
        """
        A transaction that was refused is free for a better event.
        """
        self.refused(self.send("1", {"msgtype": "m.text"}), 400, "M_UNKNOWN")
        self.assertEqual(self.send("1", message("x")).status, 200)

    def test_an_edit_is_shown_in_place(self) -> None:
        """
        The newest edit is shown in place of the message, and an edit of an edit is not shown.
        """
        first = self.post("1", message("is live"))
        second = self.post("2", edit(first, "plays chess"))
        self.post("3", edit(first, "was live"))
        self.post("4", edit(second, "lost"))
        (shown,) = self.matrix.messages.values()
        self.assertEqual((shown["content"]["body"], shown["edits"]), ("was live", 2))
        self.assertEqual(list(self.matrix.ignored.values()), ["it edits an edit"])

    def test_edits_that_clients_ignore(self) -> None:
        """
        An edit without new content, and one of another user's message, change nothing.
        """
        first = self.post("1", message("is live"))
        without = {key: value for key, value in edit(first, "x").items() if key != "m.new_content"}
        self.post("2", without)
        self.post("3", edit(first, "x"), token="ada")
        self.assertEqual(self.matrix.messages[first]["content"]["body"], "is live")
        self.assertEqual(len(self.matrix.ignored), 2)

    def test_an_edit_of_what_is_not_there(self) -> None:
        """
        An edit of an unknown event, and of one in another room, is refused; one of a redacted message is not shown.
        """
        first = self.post("1", message("is live"))
        self.refused(self.send("2", edit("$nothing", "x")), 400, "M_UNKNOWN")
        self.refused(self.send("3", edit(first, "x"), room=OTHER), 400, "M_UNKNOWN")
        self.matrix.redact(first)
        self.assertEqual(self.send("4", edit(first, "x")).status, 200)
        self.assertEqual(self.matrix.messages, {})

    def test_a_redaction(self) -> None:
        """
        A message is redacted once by a transaction; another redaction, or one of an unknown event, is no error.
        """
        first = self.post("1", message("is live"))
        paths = [f"rooms/{ROOM}/redact/{first}/a", f"rooms/{ROOM}/redact/{first}/a", f"rooms/{ROOM}/redact/{first}/b"]
        events = [self.ask("PUT", path, {"reason": "over"}).json["event_id"] for path in paths]
        self.assertEqual((events[0], len(set(events))), (events[1], 2))
        self.assertEqual(self.matrix.messages, {})
        self.assertEqual(self.ask("GET", f"rooms/{ROOM}/event/{first}").json["content"], {})
        self.assertEqual(self.ask("PUT", f"rooms/{ROOM}/redact/$nothing/c").status, 200)

    def test_only_moderators_redact_what_others_wrote(self) -> None:
        """
        A member redacts own messages alone, a moderator all.
        """
        first = self.post("1", message("is live"))
        second = self.post("1", message("hello"), token="ada")
        self.refused(self.ask("PUT", f"rooms/{ROOM}/redact/{first}/a", token="ada"), 403, "M_FORBIDDEN")
        self.assertEqual(self.ask("PUT", f"rooms/{ROOM}/redact/{second}/a").status, 200)
        self.assertEqual(list(self.matrix.messages), [first])

    def test_an_event_must_be_a_message(self) -> None:
        """
        A body and a type that are texts, mentions that are an object, and JSON without fractions are required.
        """
        for content, code in (
            (b"{", "M_NOT_JSON"),
            (b"", "M_NOT_JSON"),
            (b"[]", "M_BAD_JSON"),
            ({"msgtype": "m.text"}, "M_UNKNOWN"),
            ({"body": "x"}, "M_UNKNOWN"),
            ({"msgtype": "m.text", "body": 5}, "M_UNKNOWN"),
            (message("x", mentions=[]), "M_BAD_JSON"),
            (message("x", mentions={"room": "yes"}), "M_BAD_JSON"),
            (message("x", more=[1.5]), "M_BAD_JSON"),
            (message("x", more=2**53), "M_BAD_JSON"),
        ):
            self.refused(self.send("1", content), 400, code)
        self.assertEqual(self.send("1", message("x", more=2**53 - 1)).status, 200)

    def test_the_size_of_an_event(self) -> None:
        """
        An event of 65536 bytes, of which Synapse needs about 580 itself, is taken; one byte more is M_TOO_LARGE.
        """
        most = 65_536 - 580 - len(orjson.dumps(message("")))
        self.assertEqual(self.send("1", message("x" * most)).status, 200)
        self.refused(self.send("2", message("x" * (most + 1))), 413, "M_TOO_LARGE")

    def test_rooms(self) -> None:
        """
        A room is found by its alias, and only members send to it.
        """
        self.assertEqual(self.ask("GET", "directory/room/%23lounge:matrix.test", token="").json["room_id"], ROOM)
        self.refused(self.ask("GET", "directory/room/%23none:matrix.test"), 404, "M_NOT_FOUND")
        self.refused(self.ask("GET", "directory/room/lounge"), 400, "M_INVALID_PARAM")
        self.refused(self.send("1", message("x"), token="ada", room=CRYPT), 403, "M_FORBIDDEN")
        self.refused(self.send("1", message("x"), room="!none:matrix.test"), 403, "M_FORBIDDEN")
        self.assertEqual(self.ask("GET", "joined_rooms", token="ada").json, {"joined_rooms": [ROOM, OTHER]})

    def test_encrypted_rooms(self) -> None:
        """
        The state tells whether a room is encrypted; in one that is, clients warn of a plain message.
        """
        path = "rooms/{}/state/m.room.encryption/"
        self.assertEqual(self.ask("GET", path.format(CRYPT)).json["algorithm"], "m.megolm.v1.aes-sha2")
        self.refused(self.ask("GET", path.format(ROOM)), 404, "M_NOT_FOUND")
        self.refused(self.ask("GET", path.format(CRYPT), token="ada"), 403, "M_FORBIDDEN")
        warned = [self.matrix.messages[self.post("1", message("x"), room=room)]["warned"] for room in (ROOM, CRYPT)]
        self.assertEqual(warned, [False, True])

    def test_tokens(self) -> None:
        """
        A missing token and an unknown one are answered 401, a known one with the name of its user.
        """
        self.refused(self.ask("GET", "account/whoami", token=""), 401, "M_MISSING_TOKEN")
        self.refused(self.send("1", message("x"), token="wrong"), 401, "M_UNKNOWN_TOKEN")
        self.assertEqual(self.ask("GET", "account/whoami").json["user_id"], BOT)
        self.refused(self.ask("GET", "nothing"), 404, "M_UNRECOGNIZED")
        self.refused(self.ask("PUT", "nothing"), 404, "M_UNRECOGNIZED")

    def test_the_rate_limit(self) -> None:
        """
        After a burst of ten the next message is M_LIMIT_EXCEEDED and tells the wait, after which one is taken. What
        was taken before is still answered.
        """
        self.matrix.burst = 10
        for number in range(10):
            self.assertEqual(self.send(str(number), message("x")).status, 200)
        over = self.send("10", message("x"))
        self.refused(over, 429, "M_LIMIT_EXCEEDED")
        self.assertEqual((over.json["retry_after_ms"], over.header("Retry-After")), (5000, "5"))
        self.assertEqual(self.send("3", message("x")).status, 200)
        self.assertEqual(self.send("10", message("x"), now=NOW + 4.9).status, 429)
        self.assertEqual(self.send("10", message("x"), now=NOW + 5).status, 200)
        self.assertEqual(len(self.matrix.messages), 11)

    def test_both_forms_of_the_wait(self) -> None:
        """
        Older servers tell the wait in the body alone, newer ones may in the header alone.
        """
        self.matrix.burst = 0
        self.matrix.wait_in_header = False
        old = self.send("1", message("x"))
        self.matrix.wait_in_header, self.matrix.wait_in_body = True, False
        new = self.send("1", message("x"))
        self.assertEqual((old.header("Retry-After"), old.json["retry_after_ms"]), ("", 5000))
        self.assertEqual((new.header("Retry-After"), "retry_after_ms" in new.json), ("5", False))

    def test_mentions_notify(self) -> None:
        """
        Members in ``m.mentions`` are notified, and the room by one who may; the text notifies no one then.
        """
        text = f"@room {ADA} ada Ada L. Eve"
        quiet = self.post("1", message(text))
        loud = self.post("2", message(text, mentions={"user_ids": [ADA, "@none:matrix.test"], "room": True}))
        unable = self.post("3", message(text, mentions={"room": True}), token="ada")
        notice = self.post("4", {**message(text, mentions={"user_ids": [ADA]}), "msgtype": "m.notice"})
        pinged = [self.matrix.pinged(each) for each in (quiet, loud, unable, notice)]
        self.assertEqual(pinged, [[], ["room", f"user:{ADA}"], [], []])

    def test_without_mentions_the_text_notifies(self) -> None:
        """
        Without ``m.mentions`` @room, names of users and display names notify, as whole words in any case.
        """
        for number, (text, whom) in enumerate(
            (
                ("hello @room!", ["room"]),
                ("ADA is live", [f"user:{ADA}"]),
                ("hello ada l.", [f"user:{ADA}"]),
                ("eve", [f"user:{EVE}"]),
                ("Adam and evening at @roomy itsjustintv", []),
            )
        ):
            self.assertEqual(self.matrix.pinged(self.post(str(number), message(text, mentions=None))), whom, text)

    def test_an_edit_can_notify(self) -> None:
        """
        An edit notifies as a message does: by its own mentions, and without them by its text.
        """
        first = self.post("1", message("is live"))
        self.post("2", edit(first, "Eve"))
        self.assertEqual(self.matrix.pinged(first), [])
        self.post("3", edit(first, "Eve", mentions=None))
        self.assertEqual(self.matrix.pinged(first), [f"user:{EVE}"])

    def test_other_events_are_no_messages(self) -> None:
        """
        An event of another type is stored, and neither shown nor checked as a message.
        """
        answer = self.ask("PUT", f"rooms/{ROOM}/send/org.test/1", {"x": 1})
        self.assertEqual((answer.status, self.matrix.messages), (200, {}))
        self.assertEqual(self.ask("GET", f"rooms/{ROOM}/event/{answer.json['event_id']}").json["content"], {"x": 1})
        self.refused(self.ask("GET", f"rooms/{OTHER}/event/{answer.json['event_id']}"), 404, "M_NOT_FOUND")
