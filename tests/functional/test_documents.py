"""
What is printed in the documents is what happens.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import field, frozen
from twisted.internet.defer import Deferred

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.loopback import free_port
from itsjustintv.simulator.process import environment
from tests.documents import documents
from tests.functional.run import run
from tests.functional.stage import Stage, StageCase
from tests.functional.terminal import Terminal

BIN = Path(sys.executable).parent

#: Commands that are not typed here, and who else does, or why nobody can.
EXCUSED: Mapping[str, str] = {
    r"make \w+.*": "what .ci/run does, or takes an idle machine (bench), or removes where this runs from (clean)",
    r"python3\.11 -m venv .*": "the wheel of .ci/run, in an empty environment",
    r".*/pip install \.": "the wheel of .ci/run",
    r"pip install \./examples/.*": "tests.destinations.test_kind_table installs it",
    r"(ITSJUSTINTV_CRASH_POINTS=\d+ )?\.venv/bin/python -m twisted\.trial .*": "these tests",
    r"(.*/)?itsjustintv run( .*)?": "the daemon of these tests; tests.functional.test_start, test_box",
    r"\.venv/bin/(twistd|python) .*itsjustintv.*": "tests.functional.test_start",
    r"(.*/)?itsjustintv init": "asks: tests.functional.test_init answers",
    r"itsjustintv doctor": "finds fault with a callback on this machine: tests.cli.test_doctor",
    r"itsjustintv restore .*": "takes a daemon that was stopped: tests.cli.test_backup",
    r"itsjustintv certs .*": "takes an authority: tests.functional.test_https",
    r"(docker|kubectl|mkdir|cp|cd|openssl|editor|chmod|echo) .*": "takes Docker or Kubernetes",
    r"curl .*\$control_url/.*": "tests.simulator.test_control",
    r"journalctl .*": "takes a unit of systemd that runs",
    r"# .*": "takes root and a machine of its own",
}

#: What ends when it is told to, and the words after which it is.
LASTING: Mapping[str, str] = {
    "itsjustintv receive ": "Receiving deliveries",
    "itsjustintv simulate ": "show the state:",
}


@frozen
class Command:
    """
    A command, and what the document says that it prints.

    :ivar typed: after the prompt, comments included; that of root stays in front.
    """

    where: str
    typed: str
    shown: Sequence[str] = field(factory=list)

    @property
    def excused(self) -> str | None:
        """
        The pattern that excuses it.
        """
        typed = self.typed.split("  #")[0].strip()
        return next((each for each in EXCUSED if re.fullmatch(each, typed)), None)


def commands() -> Iterator[Command]:
    """
    Everything that can be typed, in the order of the documents.
    """
    for document in documents():
        for block in document.blocks:
            if block.language != "console":
                continue
            last: list[str] = []
            for line in block.lines:
                if line.startswith(("$ ", "# ")):
                    last = []
                    yield Command(str(document), line.removeprefix("$ "), last)
                else:
                    last.append(line)


def general(text: str) -> Sequence[str]:
    """
    Lines without what differs from one time to the next: ids, numbers with their plurals, and the width of columns.
    """
    text = re.sub(r"\b[0-9a-f]{8,}-\d+", "ID", text)
    for one, many in (("delivery", "deliveries"), ("broadcast", "broadcasts")):
        text = re.sub(rf"\b{one}\b", many, text)
    return [" ".join(re.sub(r"\d+", "0", line).split()) for line in text.strip().splitlines()]


class DocumentTests(StageCase):
    """
    A daemon with two streamers, one of whose destinations refuses everything.
    """

    maxDiff = None
    timeout = 300

    def test_every_command_does_what_is_printed(self) -> Deferred[None]:
        """
        Every command in the README and in docs that is not excused ends with 0 as it is printed there, one after the
        other, and prints what is shown.
        """

        async def scenario() -> None:
            stage = self.stage(settings='[retry]\nmax_attempts = 1\ninitial_delay = "1h"\nmax_delay = "1h"\n')
            for login in ("tanuki", "kitsune"):
                stage.add_streamer(login)
            stage.receiver.script.plan("/kitsune", then=Behaviour(status=410))
            await stage.started()
            await stage.subscribed()
            for login in ("tanuki", "kitsune"):
                await stage.twitch.announce(stage.twitch.world.go_live(login))
                await stage.settled(stage.reactor)
            wrong = []
            for command in [each for each in commands() if each.excused is None]:
                problem = await self.typed(stage, command)
                wrong += [f"{command.where}: {command.typed}: {problem}"] if problem else []
            self.assertEqual(wrong, [])

        return Deferred.fromCoroutine(scenario())

    def test_no_excuse_without_a_command(self) -> None:
        """
        Every excuse is needed.
        """
        self.assertEqual(set(EXCUSED) - {each.excused for each in commands()}, set())

    async def typed(self, stage: Stage, command: Command) -> str:
        """
        Type a command: what is wrong with it.
        """
        shown, typed = "\n".join(command.shown), command.typed
        delivery = stage.journal.list()[0].id
        port = str(free_port())
        for printed, real in (
            (".venv/bin/itsjustintv", "itsjustintv"),
            ("/opt/itsjustintv/bin/itsjustintv", "itsjustintv"),
            (" itsjustintv.toml", " written.toml"),
            ("http://127.0.0.1:8080", stage.url),
            (" ID", f" {delivery}"),
            (" STREAMER", " tanuki"),
            ("--destination global_webhook", "--destination streamers.kitsune"),
        ):
            typed = typed.replace(printed, real)
        if "config validate" in typed:
            # What has just been written is an example, whose credentials are none.
            typed = typed.replace("written.toml", "config.toml")
        env = {**environment(os.environ), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        words = next((each for each in LASTING if typed.startswith(each)), None)
        if words is not None:
            return await self.lasting(stage, f"{typed} --port {port}", LASTING[words], shown.replace("8091", port))
        ended = await run(stage.reactor, ["/bin/bash", "-c", typed], stage.folder, env)
        if ended.status:
            return str(ended)
        if shown and general(ended.out) != general(shown):
            return f"printed {ended.out}"
        return ""

    async def lasting(self, stage: Stage, typed: str, words: str, shown: str) -> str:
        """
        Type a command that goes on, and end it.
        """
        terminal = Terminal(stage.reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(terminal.kill()))
        env = {**environment(os.environ), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        terminal.start(["/bin/bash", "-c", f"exec {typed}"], stage.folder, env)
        await terminal.answer(words, "\x03")
        status = await terminal.ended()
        if status or shown not in terminal.seen.replace("\r\n", "\n"):
            return f"status {status}\n{terminal.seen}"
        return ""
