"""
The simulated Twitch in a process of its own, and client libraries of Twitch that know nothing of ours.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define

from tests.judges.program import Server, ask, judge_python, judge_wait

__all__ = ["EventSubClient", "Simulator"]


class _Talking(Server):
    """
    Its output is lines of JSON, among others.
    """

    @property
    def lines(self) -> Sequence[Any]:
        """
        What it said so far.
        """
        # The last line may not be whole yet.
        return [json.loads(each) for each in self.output.split("\n")[:-1] if each.startswith("{")]

    def said(self, name: str) -> Sequence[Any]:
        """
        The values of one name in its lines.
        """
        return [each[name] for each in self.lines if name in each]

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """
        Wait for what this process does.

        :raises AssertionError: it did not do it; the text has its output.
        """
        try:
            judge_wait(lambda: bool(condition()), what)
        except AssertionError as error:
            raise AssertionError(f"{error}; the output:\n{self.output[-6000:]}") from None


@define(eq=False)
class Simulator(_Talking):
    """
    ``python -m itsjustintv.simulator``.
    """

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "itsjustintv.simulator"]

    def is_ready(self) -> bool:
        return bool(self.lines)

    @property
    def settings(self) -> Mapping[str, str]:
        """
        Its addresses, and the credentials.
        """
        found: Mapping[str, str] = self.lines[0]
        return found

    def control(self, command: str, /, **asked: object) -> Any:
        """
        Send a command of the control API.
        """
        answer = ask("POST", f"{self.settings['control_url']}/{command}", {}, json.dumps(asked).encode())
        if answer.status != 200:
            raise AssertionError(f"{command} was answered {answer.status}: {answer.body.decode()}")
        return json.loads(answer.body)

    @property
    def state(self) -> Any:
        """
        What the control API shows.
        """
        return json.loads(ask("GET", f"{self.settings['control_url']}/state", {}).body)


@define(eq=False)
class EventSubClient(_Talking):
    """
    A client of the simulator.

    :ivar package: the library.
    :ivar script: beside this module; gets the settings of the simulator and more as a JSON object.
    :ivar ready: is in the line with which it is ready.
    """

    package: str
    script: str
    settings: Mapping[str, object]
    ready: str

    def command(self) -> Sequence[str]:
        script = Path(__file__).with_name(self.script)
        return [str(judge_python(self.package)), str(script), json.dumps(self.settings)]

    def is_ready(self) -> bool:
        return bool(self.said(self.ready))
