"""
Synapse, the Matrix server, from PyPI: with SQLite, without federation, ready within seconds.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from attrs import define, field

from itsjustintv.simulator.fakes.service import FakeAnswer
from itsjustintv.simulator.loopback import free_port
from tests.judges.program import Server, ask, judge_python, port_is_open

__all__ = ["Synapse"]

_CONFIGURATION: Mapping[str, Any] = {
    "server_name": "matrix.test",
    "pid_file": "synapse.pid",
    "database": {"name": "sqlite3", "args": {"database": "synapse.db"}},
    "media_store_path": "media",
    "signing_key_path": "signing.key",
    "macaroon_secret_key": "a secret of the tests",
    "form_secret": "another secret of the tests",
    "report_stats": False,
    "trusted_key_servers": [],
    "federation_domain_whitelist": [],
    "enable_registration": True,
    "enable_registration_without_verification": True,
    "bcrypt_rounds": 4,
    "rc_registration": {"per_second": 1000, "burst_count": 1000},
    "rc_joins": {"local": {"per_second": 1000, "burst_count": 1000}},
    "rc_room_creation": {"per_second": 1000, "burst_count": 1000},
}


@define(eq=False)
class Synapse(Server):
    """
    ``with Synapse(folder) as server``: then :meth:`register` gives a token and :meth:`create_room` a room, and an
    adapter sends to :attr:`url`. The server's name is ``matrix.test``.

    :ivar messages: how many messages a user may send at once before M_LIMIT_EXCEEDED; Synapse's own default is 10.
        After that, one in five seconds.
    """

    messages: int = 1000
    port: int = field(factory=free_port, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        python = judge_python("synapse")
        listener = {
            "port": self.port,
            "bind_addresses": ["127.0.0.1"],
            "type": "http",
            "tls": False,
            "resources": [{"names": ["client"]}],
        }
        configuration = {
            **_CONFIGURATION,
            "listeners": [listener],
            "rc_message": {"per_second": 0.2, "burst_count": self.messages},
        }
        # JSON is YAML.
        (self.folder / "homeserver.yaml").write_text(json.dumps(configuration))
        (self.folder / "signing.key").write_text(f"ed25519 a_test {b64encode(bytes(32)).decode().rstrip('=')}\n")
        return [str(python), "-m", "synapse.app.homeserver", "--config-path", "homeserver.yaml"]

    def is_ready(self) -> bool:
        return port_is_open(self.port) and ask("GET", f"{self.url}/health", {}).status == 200

    def ask(self, method: str, path: str, token: str = "", body: object = None) -> FakeAnswer:
        """
        Send a request below ``/_matrix/client/v3/`` and read the answer.

        :param body: bytes as they are, or what is written as JSON.
        """
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        return ask(method, f"{self.url}/_matrix/client/v3/{path}", headers, b"" if method == "GET" else content)

    def register(self, name: str) -> str:
        """
        Make a user ``@NAME:matrix.test``.

        :return: the access token.
        """
        about = {"auth": {"type": "m.login.dummy"}, "username": name, "password": f"the password of {name}"}
        token: str = self.ask("POST", "register", body=about).json["access_token"]
        return token

    def create_room(self, token: str, alias: str = "", *, encrypted: bool = False) -> str:
        """
        Make a public room of the token's user.

        :param alias: the part before the colon.
        :return: the id of the room.
        """
        encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
        about = {
            "preset": "public_chat",
            **({"room_alias_name": alias} if alias else {}),
            "initial_state": [encryption] if encrypted else [],
        }
        room: str = self.ask("POST", "createRoom", token, about).json["room_id"]
        return room

    def event(self, token: str, room: str, event: str) -> Any:
        """
        What a user sees of an event.
        """
        return self.ask("GET", f"rooms/{quote(room, safe='')}/event/{quote(event, safe='')}", token).json
