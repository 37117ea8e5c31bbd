"""
``output.json``: the last outcomes as a file for people and scripts.

It has the form of the original program's: a JSON array, oldest first, of ``timestamp``, ``payload``, ``success`` and
``error``, with the id of the ``delivery`` added. It is a view of the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from itsjustintv.errors import JournalUnavailable
from itsjustintv.interfaces import IOutcomeSink
from itsjustintv.model import Attempt, Outcome, rfc3339, sent_form
from itsjustintv.support.file_thread_pool import InThread
from itsjustintv.support.files import replace
from itsjustintv.support.foreign_text import visible_json
from itsjustintv.support.log_throttle import LogOnChange
from itsjustintv.support.regular_files import read

__all__ = ["OutputFile", "Recent"]

#: The last outcomes, so many of them, oldest first.
Recent = Callable[[int], Deferred[Sequence[Outcome]]]

# Seconds between the beginnings of two writes.
_INTERVAL = 1.0

# Bytes; 100,000 outcomes have less.
_LARGEST = 256 * 1024 * 1024


@implementer(IOutcomeSink)
@define(eq=False)
class OutputFile(Service):
    """
    Writes the newest outcomes to a file, one entry per delivery: a later attempt replaces the entry of an earlier one.

    The file is replaced as a whole, mode 0600, at most once a second and never twice at the same time. Reading, JSON
    and writing happen in a thread. A disk that fails is logged once, and tried again at the next outcome.

    What the file lacks after a crash, or after it was disabled or moved, is read from the journal when it is opened.

    :ivar settings: the current ``[output]``.
    :ivar ahead: by how many seconds the clock of the machine is ahead of that of outcomes.
    """

    _settings: Callable[[], Output]
    _clock: IReactorTime
    _run_in_thread: InThread
    _recent: Recent
    _ahead: Callable[[], float] = lambda: 0.0
    _lines: _Lines | None = field(default=None, init=False)
    _fresh: dict[str, _Line] = field(factory=dict, init=False)
    _writing: Deferred[Any] | None = field(default=None, init=False)
    _timer: IDelayedCall | None = field(default=None, init=False)
    _written_at: float = field(default=-_INTERVAL, init=False)
    _logged: LogOnChange = field(factory=LogOnChange, init=False)

    log = Logger()

    def startService(self) -> None:
        """
        Read the file of an earlier run, or of the original program.
        """
        super().startService()
        if self._settings().enabled:
            self._schedule()

    def stopService(self) -> Deferred[None]:
        """
        Write what has not been written.
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
        attempt = outcome.attempt
        if attempt is None:
            return
        if not self._settings().enabled:
            self._lines = None
            return
        self._fresh[outcome.delivery.id] = self._line(outcome, attempt)
        if self.running:
            self._schedule()

    def _line(self, outcome: Outcome, attempt: Attempt) -> _Line:
        at = outcome.at + self._ahead()
        delivery = outcome.delivery
        action = delivery.action.value if delivery.broadcast else None
        error = None if attempt.ok else attempt.detail
        return _Line(at, delivery.body, attempt.ok, error, action, plain=delivery.plain)

    def _schedule(self) -> None:
        if self._writing is None and self._timer is None:
            wait = self._written_at + _INTERVAL - self._clock.seconds()
            self._timer = self._clock.callLater(min(max(0.0, wait), _INTERVAL), self._write)

    def _write(self) -> Deferred[None]:
        self._timer = None
        self._written_at = self._clock.seconds()
        self._writing = Deferred.fromCoroutine(self._update())
        return self._writing.addCallback(self._written)

    async def _update(self) -> bool:
        settings = self._settings()
        lines = self._lines
        known: Mapping[str, _Line] = {}
        if lines is None or lines.path != Path(settings.file_path):
            lines = _Lines(Path(settings.file_path))
            known = await self._read_journal(settings.max_lines)
        taken, self._fresh = {**known, **self._fresh}, {}
        try:
            await self._run_in_thread(lambda: lines.update(taken, settings.max_lines))
        except Exception as error:  # noqa: BLE001 - a view that cannot be written must not stop anything else
            self._fresh = {**taken, **self._fresh}
            self._log_failure(lines.path, error)
            return False
        self._lines = lines
        self._logged.reset()
        if lines.aside is not None:
            self.log.warn(
                "{path} is not a list of outcomes; moved to {aside}, starting a new file",
                path=str(lines.path),
                aside=str(lines.aside),
            )
            lines.aside = None
        return True

    async def _read_journal(self, limit: int) -> Mapping[str, _Line]:
        """
        The outcomes in the journal, oldest first.
        """
        try:
            outcomes = await self._recent(limit)
        except JournalUnavailable as error:
            self.log.warn(
                "cannot read past outcomes from the journal: {reason}; the output file starts without them",
                reason=str(error),
            )
            return {}
        return {each.delivery.id: self._line(each, each.attempt) for each in outcomes if each.attempt is not None}

    def _written(self, done: bool) -> None:
        self._writing = None
        if done and self._fresh and self.running:
            self._schedule()

    def _log_failure(self, path: Path, error: Exception) -> None:
        if not self._logged.is_new():
            return
        if isinstance(error, OSError):
            self.log.warn(
                "cannot write {path}: {reason}; deliveries go on, retrying at the next outcome",
                path=str(path),
                reason=error.strerror or str(error),
            )
        else:
            self.log.failure("cannot write {path}; retrying at the next outcome", path=str(path))

    async def _finish(self) -> None:
        if self._writing is not None:
            await self._writing
        if self._fresh:
            await self._write()


@frozen
class _Line:
    """
    One outcome, before it is JSON.
    """

    at: float
    body: bytes
    success: bool
    error: str | None
    action: str | None = None
    plain: bool = False

    def render(self, delivery: str) -> bytes:
        """
        Write it as JSON, indented as an item of an array.
        """
        entry = {
            "timestamp": rfc3339(self.at, "milliseconds"),
            "payload": sent_form(_parsed(self.body), plain=self.plain),
            "success": self.success,
            "delivery": delivery,
        }
        if self.action is not None:
            entry["action"] = self.action
        if self.error is not None:
            entry["error"] = self.error
        return _render(entry)


@define(eq=False)
class _Lines:
    """
    The content of the file. Used by one thread at a time.

    :ivar aside: where a file that could not be parsed was moved to.
    """

    path: Path
    aside: Path | None = None
    _entries: dict[str, bytes] | None = None

    def update(self, fresh: Mapping[str, _Line], limit: int) -> None:
        """
        Add or replace entries, and write the file if anything changed.

        :raises OSError: when the file can neither be read nor written.
        """
        if self._entries is None:
            self._entries = self._load()
        entries = {delivery: line.render(delivery) for delivery, line in fresh.items()}
        if all(self._entries.get(delivery) == entry for delivery, entry in entries.items()):
            return
        self._entries.update(entries)
        for oldest in list(self._entries)[: max(0, len(self._entries) - limit)]:
            del self._entries[oldest]
        replace(self.path, b"[\n" + b",\n".join(self._entries.values()) + b"\n]\n")

    def _load(self) -> dict[str, bytes]:
        try:
            text = read(self.path, _LARGEST)
        except FileNotFoundError:
            return {}
        try:
            entries = orjson.loads(text)
            if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
                raise ValueError("not a list of objects")
        except ValueError:
            self.aside = self._free_name()
            self.path.rename(self.aside)
            return {}
        # What the original program wrote has no delivery; a number cannot be taken for one.
        return {str(entry.get("delivery", number)): _render(entry) for number, entry in enumerate(entries)}

    def _free_name(self) -> Path:
        name, number = self.path.with_name(f"{self.path.name}.corrupt"), 1
        while name.exists():
            number += 1
            name = self.path.with_name(f"{self.path.name}.corrupt-{number}")
        return name


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # One entry that cannot be written must not stop the others.
        return None


def _render(entry: dict[str, Any]) -> bytes:
    """
    Write an entry as JSON, without the picture's bytes: a thousand of them would make a large file.
    """
    payload = entry.get("payload")
    image = payload.get("image") if isinstance(payload, dict) else None
    if isinstance(image, dict):
        image.pop("data", None)
    text = visible_json(orjson.dumps(entry, option=orjson.OPT_INDENT_2).decode())
    return b"  " + text.replace("\n", "\n  ").encode()
