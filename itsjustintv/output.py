"""
``output.json``: the last outcomes as a file that people and scripts can read.

It has the form of the original program's: a JSON array, oldest first, of ``timestamp``, ``payload``, ``success`` and
``error``, here with the ``delivery`` each is about. It is a view on the journal, not the truth.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from itsjustintv.config.sections import Output
from itsjustintv.interfaces import IOutcomeSink
from itsjustintv.model import Outcome

__all__ = ["OutputFile", "RunInThread"]

#: Runs something that may block, away from the reactor.
RunInThread = Callable[[Callable[[], None]], Deferred[None]]

# Seconds between the beginnings of two writes.
_INTERVAL = 1.0


@implementer(IOutcomeSink)
@define(eq=False)
class OutputFile(Service):
    """
    Keeps the newest outcomes in a file, one entry a delivery: a later attempt corrects the entry of an earlier one.

    The file is replaced as a whole, mode 0600, at most once a second and never twice at the same time. Reading, JSON
    and writing happen in a thread. A disk that fails is told of once, and tried again at the next outcome.

    :ivar path: of the file.
    :ivar settings: the current ``[output]``.
    :ivar run_in_thread: runs something that may block.
    """

    _path: Path
    _settings: Callable[[], Output]
    _clock: IReactorTime
    _run_in_thread: RunInThread
    _lines: _Lines = field(init=False)
    _fresh: dict[str, _Line] = field(factory=dict, init=False)
    _writing: Deferred[Any] | None = field(default=None, init=False)
    _timer: IDelayedCall | None = field(default=None, init=False)
    _begun: float = field(default=-_INTERVAL, init=False)
    _complained: bool = field(default=False, init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        self._lines = _Lines(self._path)

    def startService(self) -> None:
        """
        Read what an earlier run, or the original program, has left.
        """
        super().startService()
        if self._settings().enabled:
            self._soon()

    def stopService(self) -> Deferred[None]:
        """
        Write what is not written yet.
        """
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return Deferred.fromCoroutine(self._finish())

    def record(self, outcome: Outcome) -> None:
        """
        Write an attempt that has ended, soon.
        """
        self.catch_up((outcome,))

    def catch_up(self, outcomes: Iterable[Outcome]) -> None:
        """
        Write outcomes of which the file may not know, as after a crash; those it knows are corrected. They come before
        any outcome that is recorded afterwards.

        :param outcomes: oldest first.
        """
        if not self._settings().enabled:
            return
        for outcome in outcomes:
            if outcome.attempt is not None:
                attempt = outcome.attempt
                error = None if attempt.ok else attempt.detail
                self._fresh[outcome.delivery.id] = _Line(outcome.at, outcome.delivery.body, attempt.ok, error)
        if self._fresh and self.running:
            self._soon()

    def _soon(self) -> None:
        if self._writing is None and self._timer is None:
            wait = self._begun + _INTERVAL - self._clock.seconds()
            self._timer = self._clock.callLater(min(max(0.0, wait), _INTERVAL), self._write)

    def _write(self) -> Deferred[None]:
        self._timer = None
        self._begun = self._clock.seconds()
        self._writing = Deferred.fromCoroutine(self._update())
        return self._writing.addCallback(self._written)

    async def _update(self) -> bool:
        taken, self._fresh = self._fresh, {}
        keep = self._settings().max_lines
        try:
            await self._run_in_thread(lambda: self._lines.update(taken, keep))
        except Exception as error:  # noqa: BLE001 - a view that cannot be written must not stop anything else
            self._fresh = {**taken, **self._fresh}
            self._complain(error)
            return False
        self._complained = False
        if self._lines.aside is not None:
            self.log.warn(
                "{path} is not a list of outcomes; it was moved to {aside} and a new one is begun",
                path=str(self._path),
                aside=str(self._lines.aside),
            )
            self._lines.aside = None
        return True

    def _written(self, done: bool) -> None:
        self._writing = None
        if done and self._fresh and self.running:
            self._soon()

    def _complain(self, error: Exception) -> None:
        if self._complained:
            return
        self._complained = True
        if isinstance(error, OSError):
            self.log.warn(
                "cannot write {path}: {reason}; deliveries go on, and it is tried again at the next outcome",
                path=str(self._path),
                reason=error.strerror or str(error),
            )
        else:
            self.log.failure("cannot write {path}, will try again at the next outcome", path=str(self._path))

    async def _finish(self) -> None:
        if self._writing is not None:
            await self._writing
        if self._fresh:
            await self._write()


@frozen
class _Line:
    """
    An outcome as the file tells it, before it is JSON.
    """

    at: float
    body: bytes
    success: bool
    error: str | None

    def render(self, delivery: str) -> bytes:
        """
        Make it JSON, indented as an item of an array.
        """
        entry = {
            "timestamp": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "payload": _parsed(self.body),
            "success": self.success,
            "delivery": delivery,
        }
        if self.error is not None:
            entry["error"] = self.error
        return _render(entry)


@define(eq=False)
class _Lines:
    """
    What is in the file. Used by one thread at a time.

    :ivar aside: where a file that could not be understood was moved to.
    """

    _path: Path
    aside: Path | None = None
    _entries: dict[str, bytes] | None = None

    def update(self, fresh: Mapping[str, _Line], keep: int) -> None:
        """
        Add or correct entries and write the file, if there are any.

        :raises OSError: when the file can neither be read nor written.
        """
        if self._entries is None:
            self._entries = self._load()
        if not fresh:
            return
        for delivery, line in fresh.items():
            self._entries[delivery] = line.render(delivery)
        for oldest in list(self._entries)[: max(0, len(self._entries) - keep)]:
            del self._entries[oldest]
        self._save(b"[\n" + b",\n".join(self._entries.values()) + b"\n]\n")

    def _load(self) -> dict[str, bytes]:
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            entries = orjson.loads(text)
            if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
                raise ValueError("not a list of objects")
        except ValueError:
            self.aside = self._free_name()
            self._path.rename(self.aside)
            return {}
        # What the original program wrote has no delivery; a number cannot be taken for one.
        return {str(entry.get("delivery", number)): _render(entry) for number, entry in enumerate(entries)}

    def _free_name(self) -> Path:
        name, number = self._path.with_name(f"{self._path.name}.corrupt"), 1
        while name.exists():
            number += 1
            name = self._path.with_name(f"{self._path.name}.corrupt-{number}")
        return name

    def _save(self, text: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # One entry that cannot be shown must not keep the others from being written.
        return None


def _render(entry: dict[str, Any]) -> bytes:
    """
    Make an entry JSON, without the picture's bytes: a thousand of them would be a large file.
    """
    payload = entry.get("payload")
    image = payload.get("image") if isinstance(payload, dict) else None
    if isinstance(image, dict):
        image.pop("data", None)
    return b"  " + orjson.dumps(entry, option=orjson.OPT_INDENT_2).replace(b"\n", b"\n  ")
