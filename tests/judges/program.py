"""
Where the judges are installed, and a server of theirs in a process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from attrs import define, field
from twisted.web.http_headers import Headers

from itsjustintv.model import OutgoingRequest
from itsjustintv.simulator.fakes.service import FakeAnswer, FakeService
from itsjustintv.support.http_response import Response
from tests.functional.stage import lacking

__all__ = ["FOLDER", "Server", "ask", "judge_imports", "judge_python", "judge_wait", "perform", "port_is_open"]

#: The environment of the judges.
FOLDER = Path(os.environ.get("ITSJUSTINTV_JUDGES") or Path(__file__).parents[2] / ".venv" / "judges").absolute()

_PATIENCE = 30.0

# Notified of every line that a server prints. What servers do without a line is looked at so often, in seconds.
_NEWS = Condition()
_GLANCE = 1.0


def judge_python(package: str) -> Path:
    """
    The Python that has a package of the judges, which nothing of ours is installed for.

    :raises SkipTest: it is not there, and not required.
    """
    python = FOLDER / "bin" / "python"
    if not any((FOLDER / "lib").glob(f"python3*/site-packages/{package}")):
        lacking(package, f"{package} is not installed in {FOLDER}")
    return python


def judge_imports(package: str) -> str:
    """
    The folder from which this Python can import a package of the judges. It belongs at the end of ``sys.path``.

    :raises SkipTest: it is not there for this version of Python, and not required.
    """
    place = FOLDER / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    if not (place / package).exists():
        lacking(package, f"{package} is not installed in {place}")
    return str(place)


def port_is_open(port: int) -> bool:
    """
    Whether a server of this machine accepts connections there.
    """
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def judge_wait(until: Callable[[], bool], problem: str, seconds: float = _PATIENCE) -> None:
    """
    Wait for what another process does: look again after each line of a server.

    :raises AssertionError: it did not do it in time; the text is the problem.
    """
    end = time.monotonic() + seconds
    with _NEWS:
        while not until():
            if time.monotonic() > end:
                raise AssertionError(problem)
            _NEWS.wait(_GLANCE)


@define(eq=False)
class Server:
    """
    A server that runs as long as a ``with`` block, and no longer than the process of the test.

    :ivar folder: where it runs; its output is in ``output`` there. Made if it is not there.
    """

    folder: Path
    _process: subprocess.Popen[bytes] = field(init=False)

    def command(self) -> Sequence[str]:
        """
        Prepare the folder, and say what to run.

        :raises SkipTest: it is not installed, and not required.
        """
        raise NotImplementedError

    def is_ready(self) -> bool:
        """
        Whether it serves.
        """
        raise NotImplementedError

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        """
        What it printed so far.
        """
        return (self.folder / "output").read_text(errors="replace")

    def __enter__(self) -> Self:
        self.folder = self.folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self.command()
        self._process = self.guarded(command, self.folder / "output")
        try:
            judge_wait(lambda: self._process.poll() is not None or self.is_ready(), "it took too long")
            if self._process.poll() is not None:
                raise AssertionError("it ended")
        except AssertionError as error:
            self._end()
            raise AssertionError(f"{type(self).__name__} did not start, {error}:\n{self.output[-4000:]}") from None
        return self

    def guarded(self, command: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
        """
        Start a process in the folder that the kernel ends with ours.

        :param output: the file of what it prints.
        """
        guard = [sys.executable, "-m", "itsjustintv.simulator.die_with_parent", str(os.getpid())]
        process = subprocess.Popen(
            [*guard, *command],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"},
        )
        output.write_bytes(b"")
        Thread(target=_copy, args=(process, output), daemon=True).start()
        return process

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _copy(process: subprocess.Popen[bytes], output: Path) -> None:
    """
    Write what a process prints to a file, and say that there is news.
    """
    assert process.stdout is not None
    with process.stdout, output.open("ab", buffering=0) as file:
        for line in process.stdout:
            file.write(line)
            with _NEWS:
                _NEWS.notify_all()
    process.wait()
    with _NEWS:
        _NEWS.notify_all()


def perform(request: OutgoingRequest, fake: FakeService | None = None, now: float = 0.0) -> Response:
    """
    Send what an adapter made to a server of this machine, or to a fake at a moment, and return what it can interpret.
    """
    headers = {name.lower(): value for name, value in request.headers}
    if fake is None:
        answer = ask(request.method, request.url, headers, request.body)
    else:
        answer = fake.handle(request.method, request.url, headers, request.body, now)
    received = Headers()
    for name, value in answer.headers:
        received.addRawHeader(name, value)
    return Response(answer.status, received, answer.body)


def ask(method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> FakeAnswer:
    """
    Send a request to a server of this machine over HTTP. The answer has the form of the fakes' answers.
    """
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=30)
    try:
        connection.request(method, url[len(f"{parts.scheme}://{parts.netloc}") :], body or None, dict(headers))
        response = connection.getresponse()
        return FakeAnswer(response.status, tuple(response.getheaders()), response.read())
    finally:
        connection.close()
