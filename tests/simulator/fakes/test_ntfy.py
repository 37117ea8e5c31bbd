"""
The fake of ntfy: notes, sequences, sizes, limits and numbered errors.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from email.header import Header
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.ntfy import JSON_LIMIT, MESSAGE_LIMIT, FakeNtfy
from itsjustintv.simulator.fakes.service import FakeAnswer

NOW = 1_780_000_000.0
VIEW = {"action": "view", "label": "Watch", "url": "https://www.twitch.tv/tanuki"}


class NtfyTests(SynchronousTestCase):
    """
    A server.
    """

    def setUp(self) -> None:
        self.fake = FakeNtfy()
        self.now = NOW

    def ask(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] = {}) -> FakeAnswer:
        self.now += 5
        return self.fake.handle(method, url, headers, body, self.now)

    def post(self, **fields: Any) -> FakeAnswer:
        return self.ask("POST", "/", orjson.dumps({"topic": "live", **fields}))

    def done(self, answer: FakeAnswer) -> Any:
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def refused(self, answer: FakeAnswer) -> int:
        body = answer.json
        self.assertEqual((answer.status, body["http"]), (body["code"] // 100,) * 2)
        self.assertTrue(body["error"])
        self.assertEqual(answer.header("retry-after"), "")
        return int(body["code"])

    def test_a_note_as_json(self) -> None:
        """
        A note keeps all that a body of JSON says, and gets an id.
        """
        note = self.done(
            self.post(
                title="タヌキ",
                message="is live 🎉",
                priority=4,
                tags=["red_circle", "art"],
                click="https://www.twitch.tv/tanuki",
                icon="https://e.net/avatar.png",
                attach="https://e.net/preview.jpg",
                actions=[VIEW],
                markdown=True,
            )
        )
        self.assertEqual((note["event"], note["topic"], note["time"]), ("message", "live", int(NOW) + 5))
        self.assertEqual((note["title"], note["message"], note["priority"]), ("タヌキ", "is live 🎉", 4))
        self.assertEqual(note["tags"], ["red_circle", "art"])
        self.assertEqual((note["click"], note["icon"]), ("https://www.twitch.tv/tanuki", "https://e.net/avatar.png"))
        self.assertEqual(note["attachment"], {"name": "preview.jpg", "url": "https://e.net/preview.jpg"})
        self.assertEqual(note["actions"], [{**VIEW, "clear": False}])
        self.assertEqual(note["content_type"], "text/markdown")
        self.assertEqual(self.fake.messages, {f"live/{note['id']}": note})

    def test_a_note_by_headers(self) -> None:
        """
        A note may come by headers, with words of RFC 2047 and its text as the body; without those words a header is
        Latin-1.
        """
        headers = {
            "x-title": Header("タヌキ ist da", "utf-8", maxlinelen=1000).encode(),
            "x-tags": "=?utf-8?q?a,_b?=",
            "priority": "high",
            "actions": 'view, "Watch", https://www.twitch.tv/tanuki',
            "x-click": "é".encode().decode("latin-1"),
        }
        note = self.done(self.ask("PUT", "/live", "is live 🎉".encode(), headers))
        self.assertEqual((note["title"], note["message"]), ("タヌキ ist da", "is live 🎉"))
        self.assertEqual((note["tags"], note["priority"]), (["a", "b"], 4))
        self.assertEqual(note["actions"], [{**VIEW, "clear": False}])
        self.assertEqual(note["click"], "Ã©")

    @given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60))
    def test_any_text_survives_a_header(self, text: str) -> None:
        """
        A text that is encoded whole by RFC 2047 is read as it was, without white space around it.
        """
        fake = FakeNtfy()
        word = f"=?utf-8?b?{b64encode(text.encode()).decode()}?="
        note = fake.handle("POST", "/live", {"x-title": word}, b"x", NOW).json
        self.assertEqual(note.get("title", ""), text.strip())

    def test_an_empty_message(self) -> None:
        """
        A note without a message says ``triggered``.
        """
        self.assertEqual(self.done(self.post())["message"], "triggered")
        self.assertEqual(self.done(self.ask("POST", "/live"))["message"], "triggered")

    def test_a_long_message_becomes_a_file(self) -> None:
        """
        A message of 4095 bytes is shown; one of 4096 becomes a file without a word, or is refused where files are.
        """
        text = "é" * 2047 + "x"
        self.assertEqual(len(text.encode()), MESSAGE_LIMIT - 1)
        self.assertEqual(self.done(self.post(message=text))["message"], text)
        for long in (self.post(message=f"{text}x"), self.ask("POST", "/live", f"{text}x".encode())):
            note = self.done(long)
            self.assertEqual(note["message"], "You received a file: attachment.txt")
            self.assertEqual(note["attachment"]["size"], MESSAGE_LIMIT)
            self.assertEqual(self.fake.files[note["id"]], f"{text}x".encode())
        self.fake.attachments = False
        self.assertEqual(self.refused(self.post(message=f"{text}x")), 40014)

    def test_a_file_is_limited(self) -> None:
        """
        A file of 15 MiB is taken, one byte more is refused; bytes that are not UTF-8 are a file of any size.
        """
        self.done(self.ask("POST", "/live", bytes(15 << 20)))
        self.assertEqual(self.refused(self.ask("POST", "/live", bytes((15 << 20) + 1))), 41301)
        note = self.done(self.ask("POST", "/live", b"\xff", {"x-filename": "x.jpg"}))
        self.assertEqual(note["message"], "You received a file: x.jpg")
        self.assertEqual(self.done(self.ask("POST", "/live", b"\xff"))["attachment"]["name"], "attachment.bin")

    def test_a_long_message_beside_a_picture_is_cut(self) -> None:
        """
        Beside an attached URL a long message is cut at 4096 bytes, and refused if that is inside a character.
        """
        picture = "https://e.net/preview.jpg"
        note = self.done(self.post(message="x" * 5000, attach=picture))
        self.assertEqual(len(note["message"]), MESSAGE_LIMIT)
        self.assertEqual(self.refused(self.post(message="x" + "é" * 2500, attach=picture)), 40011)

    def test_the_json_is_limited(self) -> None:
        """
        A body of JSON has less than 8192 bytes, whatever is in it.
        """
        room = JSON_LIMIT - len(orjson.dumps({"topic": "live", "title": "", "message": "x"}))
        self.done(self.post(title="x" * (room - 1), message="x"))
        self.assertEqual(self.refused(self.post(title="x" * room, message="x")), 41303)

    def test_bad_fields(self) -> None:
        """
        Each bad field has an error of its own.
        """
        codes = {
            40007: [{"priority": 6}, {"priority": -1}],
            40009: [{"topic": "a/b"}, {"topic": ""}, {"topic": "x" * 65}],
            40010: [{"topic": "docs"}],
            40013: [{"attach": "ftp://e.net/x"}],
            40018: [
                {"actions": [VIEW] * 4},
                {"actions": [{**VIEW, "label": ""}]},
                {"actions": [{"action": "view", "label": "x"}]},
                {"actions": [{**VIEW, "action": "dance"}]},
            ],
            40021: [{"icon": "x.png"}],
            40024: [{"title": 1}, {"tags": "a"}, {"priority": "4"}, {"message": ["x"]}, {"tags": [1]}],
        }
        for code, bodies in codes.items():
            for fields in bodies:
                self.assertEqual(self.refused(self.post(**fields)), code, fields)
        for actions in ("[", "[1]"):
            self.assertEqual(self.refused(self.ask("POST", "/live", b"x", {"actions": actions})), 40018)
        for body in (b"", b"{", b"[]"):
            self.assertEqual(self.refused(self.ask("POST", "/", body)), 40024)
        self.done(self.post(topic="x" * 64, priority=5, actions=[VIEW] * 3))
        self.assertEqual(len(self.fake.messages), 1)

    def test_a_sequence_is_one_note(self) -> None:
        """
        A new server shows one note for a sequence, whichever way it is named: path, header, JSON or the first id.
        """
        self.done(self.ask("POST", "/live/b1", b"live"))
        self.done(self.ask("POST", "/live", b"new title", {"x-sequence-id": "b1"}))
        self.assertEqual(self.done(self.post(message="ended", sequence_id="b1"))["sequence_id"], "b1")
        self.assertEqual({key: note["message"] for key, note in self.fake.messages.items()}, {"live/b1": "ended"})
        first = self.done(self.post(message="live"))["id"]
        self.done(self.ask("PUT", f"/live/{first}", b"ended"))
        self.assertEqual(self.fake.messages[f"live/{first}"]["message"], "ended")
        self.assertEqual(len(self.fake.messages), 2)

    def test_an_old_server_knows_no_sequences(self) -> None:
        """
        An old server answers 404 for the path, and shows a second note for header and JSON.
        """
        self.fake.sequences = False
        for method in ("POST", "PUT", "DELETE"):
            self.assertEqual(self.refused(self.ask(method, "/live/b1", b"x")), 40401)
        self.assertEqual(self.fake.messages, {})
        self.done(self.ask("POST", "/live", b"live", {"x-sequence-id": "b1"}))
        self.assertNotIn("sequence_id", self.done(self.post(message="ended", sequence_id="b1")))
        self.assertEqual(len(self.fake.messages), 2)

    def test_a_sequence_is_removed(self) -> None:
        """
        A new server removes a note by its sequence, and does not mind if there is none.
        """
        self.done(self.ask("POST", "/live/b1", b"live"))
        for _ in range(2):
            removed = self.done(self.ask("DELETE", "/live/b1"))
            self.assertEqual((removed["event"], removed["sequence_id"]), ("message_delete", "b1"))
            self.assertEqual(self.fake.messages, {})
        self.done(self.ask("POST", "/live/b1", b"live"))
        self.assertEqual(self.done(self.ask("PUT", "/live/b1/clear"))["event"], "message_clear")
        self.assertEqual(self.fake.messages, {})

    def test_sequences_have_rules(self) -> None:
        """
        The id of a sequence has 1 to 64 letters, digits, hyphens and underscores.
        """
        self.done(self.ask("POST", f"/live/{'x' * 64}", b"x"))
        self.assertEqual(self.refused(self.ask("POST", f"/live/{'x' * 65}", b"x")), 40401)
        self.assertEqual(self.refused(self.post(sequence_id="a b")), 40049)
        self.assertEqual(self.refused(self.ask("GET", "/live/b1")), 40401)

    def test_accounts(self) -> None:
        """
        A protected topic needs a token or a password; wrong ones are refused everywhere.
        """
        self.fake.protected.add("live")
        self.assertEqual(self.refused(self.post()), 40301)
        self.assertEqual(self.refused(self.ask("GET", "/live/auth")), 40301)
        right = (f"Bearer {self.fake.token}", "Basic YW5ub3VuY2VyOmZha2U=")
        for authorization in right:
            self.done(self.ask("POST", "/live", b"x", {"authorization": authorization}))
            self.done(self.ask("GET", "/live/auth", headers={"authorization": authorization}))
        for authorization in ("Bearer tk_wrong", "Basic !"):
            self.assertEqual(self.refused(self.ask("POST", "/open", b"x", {"authorization": authorization})), 40101)

    def test_failures_to_sign_in_are_limited(self) -> None:
        """
        After 30 wrong credentials there is another error.
        """
        codes = []
        for _ in range(31):
            self.now = NOW
            codes.append(self.refused(self.ask("POST", "/live", b"x", {"authorization": "Bearer x"})))
        self.assertEqual(codes, [40101] * 30 + [42909])

    def test_requests_are_limited(self) -> None:
        """
        Sixty requests may come at once, and then one in five seconds; nothing says how long to wait.
        """
        for _ in range(60):
            self.now = NOW
            self.done(self.post())
        self.now = NOW
        self.assertEqual(self.refused(self.post()), 42901)
        self.done(self.post())
        self.now -= 0.1
        self.now -= 5
        self.assertEqual(self.refused(self.post()), 42901)

    def test_a_day_has_its_quota(self) -> None:
        """
        After 250 messages a day is over, until midnight in Greenwich.
        """
        for _ in range(250):
            self.done(self.post())
        self.assertEqual(self.refused(self.post()), 42908)
        midnight = (NOW // 86_400 + 1) * 86_400
        self.now = midnight - 6
        self.assertEqual(self.refused(self.post()), 42908)
        self.now = midnight - 5
        self.done(self.post())

    def test_other_paths(self) -> None:
        """
        The health of a server is public; what is not there is an error.
        """
        self.assertEqual(self.done(self.ask("GET", "/v1/health")), {"healthy": True})
        self.assertEqual(self.refused(self.ask("POST", "/a/b/c")), 40401)
        self.assertEqual(self.refused(self.ask("DELETE", "/live")), 40401)
