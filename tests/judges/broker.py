"""
Mosquitto, the MQTT broker, from the distribution; its clients publish and listen.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from attrs import define, field, frozen

from itsjustintv.simulator.loopback import free_port
from tests.functional.stage import tool
from tests.judges.program import Server, judge_wait, port_is_open

__all__ = ["Broker", "Published"]


@frozen(kw_only=True)
class Published:
    """
    A message as the broker passed it on.
    """

    topic: str
    payload: bytes
    quality: int
    retained: bool


@define(eq=False)
class Broker(Server):
    """
    ``with Broker(folder) as broker``: then a client connects to :attr:`port`, and :attr:`messages` has what came, a
    last will too. Leaving the block and entering it again is a restart at the same port, which forgets what was
    retained.

    :ivar users: passwords by name; without any, everyone may connect.
    """

    users: Mapping[str, str] = field(factory=dict)
    port: int = field(factory=free_port, init=False)
    _listener: subprocess.Popen[bytes] = field(init=False)

    def command(self) -> Sequence[str]:
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", "log_dest stderr", "log_type all"]
        if self.users:
            file = self.folder / "passwords"
            file.write_text("".join(f"{name}:{password}\n" for name, password in self.users.items()))
            file.chmod(0o600)
            subprocess.run([tool("mosquitto_passwd"), "-U", str(file)], check=True, capture_output=True)
            lines.append(f"password_file {file}")
        if os.geteuid() == 0:
            # Otherwise it becomes another user, which ends the kernel's promise to end it with us (prctl(2)).
            lines.append("user root")
        lines.append(f"allow_anonymous {str(not self.users).lower()}")
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        return [tool("mosquitto"), "-c", "mosquitto.conf"]

    def is_ready(self) -> bool:
        return port_is_open(self.port)

    def __enter__(self) -> Self:
        tool("mosquitto_sub")
        super().__enter__()
        # MQTT 5 lets a subscriber see which messages are to be retained.
        arguments = ["-V", "mqttv5", "--retain-as-published", "-q", "2", "-t", "#", "-F", "%t %q %r %x"]
        self._listener = self.guarded([*self._client("mosquitto_sub"), *arguments], self.folder / "messages")
        try:
            judge_wait(lambda: "Sending SUBACK" in self.output, f"the listener did not subscribe:\n{self.output}")
        except AssertionError:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.terminate()
        self._listener.wait()
        super().__exit__(kind, error, trace)

    @property
    def messages(self) -> list[Published]:
        """
        Everything that was published since the broker started, oldest first.
        """
        # A topic may have spaces. The last line may be incomplete.
        lines = (line.split("\n")[0].rsplit(" ", 3) for line in self._heard().splitlines(keepends=True) if "\n" in line)
        return [
            Published(topic=line[0], quality=int(line[1]), retained=line[2] == "1", payload=bytes.fromhex(line[3]))
            for line in lines
        ]

    @property
    def state(self) -> dict[str, bytes]:
        """
        What is retained by topic: an empty message removes.
        """
        kept: dict[str, bytes] = {}
        for message in self.messages:
            if message.retained:
                kept[message.topic] = message.payload
        return {topic: payload for topic, payload in kept.items() if payload}

    def wait_for(self, count: int) -> list[Published]:
        """
        Wait until so many messages have come, and return all.
        """
        judge_wait(lambda: len(self.messages) >= count, f"{count} messages did not come")
        return self.messages

    def publish(self, topic: str, payload: bytes, *arguments: str) -> None:
        """
        Publish, with more arguments of ``mosquitto_pub``.
        """
        command = [*self._client("mosquitto_pub"), "-t", topic, "-s" if payload else "-n", *arguments]
        subprocess.run(command, input=payload, check=True, capture_output=True, timeout=30)

    def _client(self, name: str) -> list[str]:
        credentials = [part for user in list(self.users)[:1] for part in ("-u", user, "-P", self.users[user])]
        return [tool(name), "-h", "127.0.0.1", "-p", str(self.port), *credentials]

    def _heard(self) -> str:
        return (self.folder / "messages").read_text(errors="replace")
