"""
A real Matrix server, and that the fake answers like it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.model import OutgoingRequest
from itsjustintv.simulator.fakes.matrix import FakeMatrix, MatrixRoom
from itsjustintv.simulator.fakes.service import FakeAnswer
from tests.judges.program import perform
from tests.judges.synapse import Synapse

#: Method, path below ``/_matrix/client/v3/``, token, content.
_Ask = Callable[[str, str, str, object], FakeAnswer]

_NAMES = {"bot": "@bot:matrix.test", "ada": "@ada:matrix.test"}


def _message(body: str, **more: Any) -> dict[str, Any]:
    return {"msgtype": "m.text", "body": body, "m.mentions": {}, **more}


def _edit(event: str, body: str) -> dict[str, Any]:
    relation = {"rel_type": "m.replace", "event_id": event}
    return _message(f"* {body}", **{"m.new_content": _message(body), "m.relates_to": relation})


class _Transcript:
    """
    What a server answers to the same requests: status, code, error, the keys of the body and whether a header tells the
    wait. Ids and times differ between servers and are left out; equal ids become equal numbers.
    """

    def __init__(self, ask: _Ask, tokens: dict[str, str], rooms: dict[str, str]) -> None:
        self._ask = ask
        self._tokens = tokens
        self._rooms = rooms
        self._events: list[str] = []
        self.lines: list[tuple[object, ...]] = []

    def ask(self, method: str, path: str, who: str = "bot", content: object = None) -> FakeAnswer:
        answer = self._ask(method, path, self._tokens[who], content)
        said = answer.json
        event = said.get("event_id", "") if method == "PUT" else ""
        if event and event not in self._events:
            self._events.append(event)
        number = self._events.index(event) + 1 if event else 0
        error = re.sub(r"![\w-]+(:matrix\.test)?", "ROOM", said.get("error", ""))
        waits = bool(answer.header("retry-after"))
        known = sorted(set(said) - {"user_id", "age", "unsigned", "membership"}) if "/event/" in path else sorted(said)
        self.lines.append((len(self.lines), answer.status, said.get("errcode"), error, known, number, waits))
        return answer

    def send(self, transaction: str, content: object, who: str = "bot", room: str = "lounge") -> str:
        path = f"rooms/{self.room(room)}/send/m.room.message/{transaction}"
        event: str = self.ask("PUT", path, who, content).json.get("event_id", "")
        return event

    def redact(self, event: str, transaction: str, who: str = "bot") -> None:
        path = f"rooms/{self.room('lounge')}/redact/{quote(event, safe='')}/{transaction}"
        self.ask("PUT", path, who, {"reason": "over"})

    def room(self, name: str) -> str:
        return quote(self._rooms[name], safe="")

    def shown(self, event: str) -> object:
        """
        The text that clients show for an event.
        """
        answer = self._ask("GET", f"rooms/{self.room('lounge')}/event/{quote(event)}", self._tokens["bot"], None).json
        newest = answer.get("unsigned", {}).get("m.relations", {}).get("m.replace", {}).get("content", {})
        return newest.get("m.new_content", answer["content"]).get("body")


def _play(server: _Transcript) -> list[str]:
    """
    Create, repeat, edit, redact, and do wrong in every way that the fake knows.

    :return: the events of two messages that stay, one edited.
    """
    first = server.send("1", _message("is live"))
    server.send("1", _message("is live"))
    server.send("1", _message("something else"))
    server.send("1", _message("is live"), "ada")
    second = server.send("2", _message("kept"))
    third = server.send("3", _message("of ada"), "ada")
    edit = server.send("4", _edit(first, "plays chess"))
    server.send("4", _edit(first, "plays chess"))
    server.send("5", _edit(first, "was live"))
    server.send("6", _edit(edit, "an edit of an edit"))
    server.send("7", _edit(third, "of another user"))
    server.send("8", _edit("$nothing", "of nothing"))
    server.send("9", _edit(first, "elsewhere"), room="secret")
    server.send("10", {key: value for key, value in _edit(second, "x").items() if key != "m.new_content"})
    for number, content in enumerate(
        (
            b"{",
            b"",
            b"[]",
            {"msgtype": "m.text"},
            {"body": "x"},
            {"msgtype": "m.text", "body": 5},
            _message("x", **{"m.mentions": []}),
            _message("x", **{"m.mentions": {"room": "yes"}}),
            _message("x", **{"m.mentions": {"user_ids": ["@ada:matrix.test"], "room": True}}),
            _message("x", more=1.5),
            _message("x", more=2**60),
            _message("x" * 66_000),
        )
    ):
        server.send(f"wrong{number}", content)
    server.send("11", _message("x"), "ada", "secret")
    server.send("12", _message("x"), room="none")
    server.send("13", _message("x"), "wrong")
    gone = server.send("14", _message("redacted"))
    server.redact(gone, "a")
    server.redact(gone, "a")
    server.redact(gone, "b")
    server.redact("$nothing", "c")
    server.redact(second, "d", "ada")
    server.redact(third, "e")
    server.send("15", _edit(gone, "after its end"))
    for path in (
        "account/whoami",
        "joined_rooms",
        "directory/room/%23lounge:matrix.test",
        "directory/room/%23none:matrix.test",
        "directory/room/lounge",
        f"rooms/{server.room('secret')}/state/m.room.encryption/",
        f"rooms/{server.room('lounge')}/state/m.room.encryption/",
        f"rooms/{server.room('lounge')}/event/{quote(third)}",
        f"rooms/{server.room('lounge')}/event/$nothing",
        "nothing",
    ):
        for who in ("bot", "ada"):
            server.ask("GET", path, who)
    for who in ("missing", "wrong"):
        server.ask("GET", "account/whoami", who)
    return [first, second]


class SynapseTests(SynchronousTestCase):
    """
    Synapse starts within seconds, and the fake answers as it does.
    """

    maxDiff = None

    def synapse(self, messages: int = 1000) -> _Transcript:
        """
        A Synapse with two users and two rooms, of which the first user has moved into both.
        """
        server = self.enterContext(Synapse(Path(self.mktemp()), messages=messages))
        tokens = {name: server.register(name) for name in _NAMES}
        rooms = {
            "lounge": server.create_room(tokens["bot"], "lounge"),
            "secret": server.create_room(tokens["bot"], encrypted=True),
            "none": "!none:matrix.test",
        }
        server.ask("POST", f"join/{quote(rooms['lounge'])}", tokens["ada"])
        return _Transcript(server.ask, {**tokens, "missing": "", "wrong": "wrong"}, rooms)

    def fake(self, messages: int = 1000) -> _Transcript:
        """
        The same as a fake.
        """
        users = {_NAMES["bot"]: "bot", _NAMES["ada"]: "ada"}
        lounge = MatrixRoom(
            id="!lounge:matrix.test",
            alias="#lounge:matrix.test",
            members=users,
            moderators=frozenset({_NAMES["bot"]}),
        )
        secret = MatrixRoom(id="!secret:matrix.test", members={_NAMES["bot"]: "bot"}, encrypted=True)
        self.matrix = FakeMatrix(
            tokens=dict(_NAMES),
            rooms={lounge.id: lounge, secret.id: secret},
            burst=messages,
        )

        def ask(method: str, path: str, token: str, content: object) -> FakeAnswer:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            body = content if isinstance(content, bytes) else orjson.dumps({} if content is None else content)
            return self.matrix.handle(method, f"/_matrix/client/v3/{path}", headers, body, 1_767_326_400.0)

        tokens = {"bot": "bot", "ada": "ada", "missing": "", "wrong": "wrong"}
        return _Transcript(ask, tokens, {"lounge": lounge.id, "secret": secret.id, "none": "!none:matrix.test"})

    def test_the_fake_answers_like_synapse(self) -> None:
        """
        Creating, repeating, editing, redacting and every refusal have the same answers, and the same texts are shown.
        """
        real, fake = self.synapse(), self.fake()
        events, faked = _play(real), _play(fake)
        self.assertEqual(real.lines, fake.lines)
        shown = [self.matrix.messages[each]["content"]["body"] for each in faked]
        self.assertEqual([real.shown(each) for each in events], shown)

    def test_what_an_adapter_makes_is_performed(self) -> None:
        """
        A request of an adapter reaches the real server and the fake, and the answer of each is a response.
        """
        server = self.enterContext(Synapse(Path(self.mktemp())))
        token = server.register("bot")
        request = OutgoingRequest(
            method="GET",
            url=f"{server.url}/_matrix/client/v3/account/whoami",
            headers=[("Authorization", f"Bearer {token}")],
            body=b"",
        )
        responses = [perform(request), perform(request, FakeMatrix(tokens={token: "@bot:matrix.test"}), 5.0)]
        for response in responses:
            self.assertEqual(response.status, 200)
            self.assertEqual(response.headers.getRawHeaders("content-type"), ["application/json"])
            self.assertEqual(orjson.loads(response.body)["user_id"], "@bot:matrix.test")

    def test_the_fake_limits_like_synapse(self) -> None:
        """
        The message after the burst is M_LIMIT_EXCEEDED with both forms of the wait; repeating an earlier transaction is
        not limited, and a redaction counts too.
        """
        # Making two rooms is two events that Synapse counts.
        transcripts = [self.synapse(5), self.fake(3)]
        for server in transcripts:
            event = server.send("1", _message("x"))
            server.send("2", _message("x"))
            server.redact(event, "a")
            server.send("3", _message("x"))
            server.send("1", _message("x"))
            server.redact(event, "b")
        self.assertEqual(transcripts[0].lines, transcripts[1].lines)
        self.assertEqual([line[1] for line in transcripts[0].lines], [200, 200, 200, 429, 200, 429])
