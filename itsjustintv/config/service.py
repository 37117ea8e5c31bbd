"""
The current configuration, and how it is replaced while the daemon runs: all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, evolve, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from itsjustintv.config.diff import Changes, fingerprint
from itsjustintv.config.load import Loaded, Reread, reread
from itsjustintv.config.secrets import secret_files
from itsjustintv.config.sections import Config
from itsjustintv.errors import ConfigError, Problem
from itsjustintv.model import rfc3339
from itsjustintv.support.counts import count
from itsjustintv.support.durations import Seconds
from itsjustintv.support.interfaces import Watcher

__all__ = ["ConfigService", "Decided", "ReloadReport", "ReloadStatus", "Step", "Subscriber"]

#: Told once whether the new configuration was taken up.
Decided = Callable[[bool], None]

#: Makes ready for a configuration, from the old one to the new one, without letting go of the old. It fails with
#: :class:`~itsjustintv.errors.ConfigError` when that cannot be done, and then nobody gets the new configuration.
Step = Callable[[Config, Config], Deferred[Decided]]

#: Hears of a change that has happened, from the old configuration to the new one.
Subscriber = Callable[[Config, Config], object]

_SAME = Changes()


@frozen
class ReloadReport:
    """
    What came of one reload.

    :ivar reason: why it was made.
    :ivar at: when, in seconds since the epoch.
    :ivar changes: what is different now.
    :ivar problems: why nothing was changed.
    :ivar refused: what was left as it was, and why, while the rest was applied.
    """

    reason: str
    at: float
    changes: Changes = _SAME
    problems: tuple[Problem, ...] = ()
    refused: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """
        Whether the configuration on disk is the one in use, but for what was refused.
        """
        return not self.problems


@frozen
class ReloadStatus:
    """
    Where the configuration stands. Times are seconds since the epoch.

    :ivar hash: of the configuration in use, see :func:`~itsjustintv.config.diff.fingerprint`.
    :ivar changed_at: when it came into use.
    :ivar succeeded_at: when the file was last found to be usable.
    :ivar failed_at: when it was last found not to be; ``None`` if never.
    :ivar problems: what was wrong with it the last time, nothing if it was usable.
    :ivar refused: what the last reload left as it was.
    :ivar applied: how many reloads have changed something.
    :ivar failed: how many have failed.
    """

    hash: str
    changed_at: float
    succeeded_at: float
    failed_at: float | None = None
    problems: tuple[Problem, ...] = ()
    refused: tuple[Problem, ...] = ()
    applied: int = 0
    failed: int = 0

    def public(self) -> Mapping[str, object]:
        """
        What strangers may hear of it: times, and neither paths of files nor values.
        """
        return {
            "hash": self.hash,
            "changed_at": rfc3339(self.changed_at),
            "succeeded_at": rfc3339(self.succeeded_at),
            "failed_at": None if self.failed_at is None else rfc3339(self.failed_at),
            "problems": len(self.problems),
            "refused": [problem.path for problem in self.refused],
        }


@frozen
class _Request:
    """
    Somebody waits for a reload.
    """

    reason: str
    aloud: bool
    answer: Deferred[ReloadReport]


@define(eq=False)
class ConfigService(Service):
    """
    Holds the current configuration, and replaces it when its files change or somebody asks.

    Everything that can fail happens before anything is changed: reading, checking, and the steps of those who must make
    ready. Then one reference is swapped, and the subscribers hear of it in their order. Reloads never overlap; requests
    made while one is under way are answered by the next one together.

    :ivar path: of the file, absolute, since the current directory may change.
    :ivar base: where relative paths start, absolute as well.
    :ivar environ: wins over the file.
    :ivar loaded: the configuration to begin with.
    :ivar in_thread: runs what may block.
    """

    _path: Path
    _base: Path
    _environ: Mapping[str, str] = field(repr=False)
    _clock: IReactorTime
    _loaded: Loaded = field(repr=False)
    _watch: Watcher
    _in_thread: Callable[..., Deferred[Any]]
    _steps: list[Step] = field(factory=list, init=False)
    _subscribers: list[Subscriber] = field(factory=list, init=False)
    _waiting: list[_Request] = field(factory=list, init=False)
    _busy: bool = field(default=False, init=False)
    _status: ReloadStatus = field(init=False)
    _report: ReloadReport = field(init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        now = self._clock.seconds()
        self._status = ReloadStatus(fingerprint(self.config, self._base), now, now)
        self._report = ReloadReport("start", now)

    @property
    def config(self) -> Config:
        """
        The current configuration. Ask again for each event; never keep it.
        """
        return self._loaded.config

    @property
    def loaded(self) -> Loaded:
        """
        The current configuration with its warnings.
        """
        return self._loaded

    def status(self) -> ReloadStatus:
        """
        Where the configuration stands.
        """
        return self._status

    def problem(self) -> str | None:
        """
        Why the file is not what is in use, or ``None``. The daemon does its work all the same: a supervisor that
        restarted it for this reason would be left without one.
        """
        number = len(self._status.problems)
        if not number:
            return None
        return f"the configuration has {count(number, 'problem')}, the one before it stays in use; see the log"

    def subscribe(self, subscriber: Subscriber) -> None:
        """
        Tell somebody of every change, after those who subscribed before. One that fails is logged and stops nobody.
        """
        self._subscribers.append(subscriber)

    def precede(self, step: Step) -> None:
        """
        Let somebody make ready for every change before it happens, after those who asked before, and refuse it when
        that fails. What the step answers with is called when it is decided.
        """
        self._steps.append(step)

    def startService(self) -> None:
        """
        Begin to look after the files.
        """
        super().startService()
        self._watch.start(self._files, lambda: self.request("the file has changed", aloud=False))

    def stopService(self) -> None:
        """
        Change nothing any more.
        """
        super().stopService()
        self._watch.stop()

    def request(self, reason: str, *, aloud: bool = True) -> Deferred[object]:
        """
        Reload some time soon; the log tells what came of it. See :meth:`reload`.

        :return: fires when it is over, with nothing to tell how it went.
        """
        reload: Deferred[object] = Deferred.fromCoroutine(self.reload(reason, aloud=aloud))
        return reload.addErrback(
            lambda failure: self.log.failure("the configuration could not be reloaded", failure)
        ).addCallback(lambda _: None)

    async def reload(self, reason: str, *, aloud: bool = True) -> ReloadReport:
        """
        Read the configuration, and take it up if it is usable and different. Does nothing once the service has stopped.

        :param reason: for the log.
        :param aloud: whether to say even that nothing is new.
        """
        answer: Deferred[ReloadReport] = Deferred()
        self._waiting.append(_Request(reason, aloud, answer))
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._work())
        return await answer

    async def _work(self) -> None:
        """
        Answer every request, those that came in the meantime together. Never raises.
        """
        while self._waiting:
            requests, self._waiting = self._waiting, []
            # Whoever asks is answered, though a file may have changed as well.
            first = max(requests, key=lambda request: request.aloud)
            try:
                await self._once(first.reason, first.aloud)
            except Exception:  # noqa: BLE001 - the next reload must find the way free
                failure = Failure()
                for request in requests:
                    request.answer.errback(failure)
            else:
                for request in requests:
                    request.answer.callback(self._report)
        self._busy = False

    async def _once(self, reason: str, aloud: bool) -> None:
        before = self._report
        report, found = await self._read(reason)
        decided: list[Decided] = []
        if self.running and report.changes:
            report = await self._prepare(report, found.loaded.config, decided)
        taken = bool(self.running) and report.ok
        old = self._loaded
        if taken:
            self._loaded = found.loaded
        for decide in decided:
            try:
                decide(taken)
            except Exception:  # noqa: BLE001 - the others must hear of it too
                self.log.failure("a part of the daemon has not followed the configuration; restart the daemon")
        if not self.running:
            return
        self._report = report
        self._take_note(report, found.hash)
        self._say(report, before, aloud)
        if taken:
            for warning in self._loaded.warnings:
                if warning not in old.warnings:
                    self.log.warn("{path}: {reason}", path=warning.path, reason=warning.message)
            if report.changes:
                self._tell(old.config)
        self._watch.refresh()

    async def _read(self, reason: str) -> tuple[ReloadReport, Reread]:
        """
        Read what is on disk now, and compare. Never raises.
        """
        nothing = Reread(self._loaded, _SAME, self._status.hash)
        try:
            found: Reread = await self._in_thread(reread, self._path, self._environ, self._base, self.config)
        except ConfigError as error:
            return ReloadReport(reason, self._clock.seconds(), problems=error.problems), nothing
        except Exception:  # noqa: BLE001 - a defect in the reading is no reason to stop
            self.log.failure("the configuration {path} could not be read", path=str(self._path))
            problem = Problem(str(self._path), "could not be read, for a reason that is a defect; see the log")
            return ReloadReport(reason, self._clock.seconds(), problems=(problem,)), nothing
        return ReloadReport(reason, self._clock.seconds(), found.changes, refused=found.refused), found

    async def _prepare(self, report: ReloadReport, new: Config, decided: list[Decided]) -> ReloadReport:
        """
        Let everybody make ready, and collect every reason why not.
        """
        problems: list[Problem] = []
        for step in self._steps:
            try:
                decided.append(await step(self.config, new))
            except ConfigError as error:
                problems += error.problems
            except Exception:  # noqa: BLE001 - a defect in one part must not leave the others half way
                self.log.failure("a part of the daemon could not make ready for the new configuration")
                problems.append(Problem(str(self._path), "could not be taken up, for a reason that is a defect"))
        return evolve(report, changes=_SAME, problems=tuple(problems)) if problems else report

    def _take_note(self, report: ReloadReport, new_hash: str) -> None:
        status = evolve(self._status, problems=report.problems, refused=report.refused)
        if not report.ok:
            status = evolve(status, failed_at=report.at, failed=status.failed + 1)
        else:
            status = evolve(status, succeeded_at=report.at)
            if report.changes:
                status = evolve(status, hash=new_hash, changed_at=report.at, applied=status.applied + 1)
        self._status = status

    def _say(self, report: ReloadReport, before: ReloadReport, aloud: bool) -> None:
        """
        Tell the operator, but not the same thing twice because a file was touched.
        """
        new = aloud or (report.problems, report.refused) != (before.problems, before.refused)
        if not report.ok:
            if new:
                self.log.error(
                    "the configuration {config} cannot be used ({reason}), problems: {count}. Nothing was changed",
                    config=str(self._path),
                    reason=report.reason,
                    count=len(report.problems),
                )
                for problem in report.problems:
                    self.log.error("{path}: {problem}", path=problem.path, problem=problem.message)
            return
        if report.changes:
            self.log.info(
                "the configuration was reloaded ({reason}), changes: {count}; its hash is {hash}",
                reason=report.reason,
                count=report.changes.count,
                hash=self._status.hash,
            )
            for line in report.changes.lines():
                self.log.info("{change}", change=line)
            self._doubt(report.changes)
        elif new:
            self.log.info(
                "the configuration was read again ({reason}), it is usable and has not changed", reason=report.reason
            )
        if new or report.changes:
            for problem in report.refused:
                self.log.warn("{path}: {problem}", path=problem.path, problem=problem.message)

    def _doubt(self, changes: Changes) -> None:
        """
        Warn of a file that may be half of what it should be.
        """
        removed, left = len(changes.removed), len(self.config.streamers) - len(changes.added)
        if removed > 1 and removed >= left:
            self.log.warn(
                "the configuration lacks {removed} of the {before} streamers it had: what waits for them ends in"
                " {grace}, unless they return",
                removed=removed,
                before=removed + left,
                grace=Seconds(self.config.reload.grace),
            )

    def _tell(self, old: Config) -> None:
        for subscriber in self._subscribers:
            try:
                subscriber(old, self.config)
            except Exception:  # noqa: BLE001 - the others must hear of it too
                self.log.failure(
                    "{subscriber} has not followed the configuration; restart the daemon", subscriber=subscriber
                )

    def _files(self) -> Iterable[Path]:
        """
        List everything that the configuration is read from.
        """
        return [self._path, *{self._base / name for name in secret_files(self.config)}]
