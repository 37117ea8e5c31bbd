"""
The current configuration, and its reload while the daemon runs: completely or not at all.
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
from itsjustintv.model import DestinationKind, rfc3339
from itsjustintv.support.counts import count
from itsjustintv.support.durations import Seconds
from itsjustintv.support.file_watch import Watcher

__all__ = ["ConfigService", "Decided", "Listener", "Preparer", "ReloadReport", "ReloadStatus"]

#: Called once with whether the new configuration was applied.
Decided = Callable[[bool], None]

#: Prepares for a configuration, from the old one to the new one, while the old one stays usable. If it fails with
#: :class:`~itsjustintv.errors.ConfigError`, the new configuration is rejected for every part.
Preparer = Callable[[Config, Config], Deferred[Decided]]

#: Called after a change with the old configuration and the new one.
Listener = Callable[[Config, Config], object]

_SAME = Changes()


@frozen
class ReloadReport:
    """
    The result of one reload.

    :ivar reason: what triggered it.
    :ivar at: when, in seconds since the epoch.
    :ivar changes: what was changed.
    :ivar problems: why nothing was changed.
    :ivar refused: what cannot change while the daemon runs; the rest was applied.
    """

    reason: str
    at: float
    changes: Changes = _SAME
    problems: tuple[Problem, ...] = ()
    refused: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """
        Whether the configuration on disk is in use, except for what was refused.
        """
        return not self.problems


@frozen
class ReloadStatus:
    """
    The state of the configuration. Times are seconds since the epoch.

    :ivar hash: of the configuration in use, see :func:`~itsjustintv.config.diff.fingerprint`.
    :ivar changed_at: when it came into use.
    :ivar succeeded_at: when the file was last valid.
    :ivar failed_at: when it was last invalid; ``None`` if never.
    :ivar problems: of the last reload; empty if the file was valid.
    :ivar refused: what the last reload could not change.
    :ivar applied: number of reloads that changed something.
    :ivar failed: number of reloads that failed.
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
        The part that may be shown to anyone: times and keys, no file names and no values.
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
class _ReloadRequest:
    """
    A caller that waits for a reload.
    """

    reason: str
    verbose: bool
    answer: Deferred[ReloadReport]


@define(eq=False)
class ConfigService(Service):
    """
    Holds the current configuration, and replaces it when its files change or on request.

    Everything that can fail happens before anything changes: reading, checking, and the preparers. Then one reference
    is swapped, and the listeners are called in their order. Reloads never overlap: requests made during one are
    answered together by the next.

    :ivar path: of the file, absolute, since the current directory may change.
    :ivar base: where relative paths start, absolute as well.
    :ivar environ: wins over the file.
    :ivar loaded: the first configuration.
    :ivar in_thread: runs functions that block.
    :ivar kinds: the kinds of destinations, by their types.
    """

    _path: Path
    _base: Path
    _environ: Mapping[str, str] = field(repr=False)
    _clock: IReactorTime
    _loaded: Loaded = field(repr=False)
    _watch: Watcher
    _in_thread: Callable[..., Deferred[Any]]
    _kinds: Mapping[str, DestinationKind] = field(factory=dict)
    _preparers: list[Preparer] = field(factory=list, init=False)
    _listeners: list[Listener] = field(factory=list, init=False)
    _waiting: list[_ReloadRequest] = field(factory=list, init=False)
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
        The current configuration. Read this property for each event; never store the value.
        """
        return self._loaded.config

    @property
    def loaded(self) -> Loaded:
        """
        The current configuration with its warnings.
        """
        return self._loaded

    def status(self) -> ReloadStatus:
        return self._status

    def problem(self) -> str | None:
        """
        Why the configuration on disk is not in use, or ``None``. The daemon works on: if a supervisor restarted it for
        this reason, it could not start.
        """
        number = len(self._status.problems)
        if not number:
            return None
        return f"the configuration has {count(number, 'problem')}; the previous one stays in use; see the log"

    def add_preparer(self, preparer: Preparer) -> None:
        """
        Call a preparer before every change, after those added before; its failure rejects the change. The function that
        it returns is called with the decision.
        """
        self._preparers.append(preparer)

    def add_listener(self, listener: Listener) -> None:
        """
        Call a listener after every change, after those added before. An exception is logged and stops no other.
        """
        self._listeners.append(listener)

    def startService(self) -> None:
        super().startService()
        self._watch.start(self._files, lambda: self.request("the file has changed", verbose=False))

    def stopService(self) -> None:
        super().stopService()
        self._watch.stop()

    def request(self, reason: str, *, verbose: bool = True) -> Deferred[object]:
        """
        Reload soon and log the result. See :meth:`reload`.

        :return: fires at the end, with ``None`` whatever the result.
        """
        reload: Deferred[object] = Deferred.fromCoroutine(self.reload(reason, verbose=verbose))
        return reload.addErrback(
            lambda failure: self.log.failure("cannot reload the configuration", failure)
        ).addCallback(lambda _: None)

    async def reload(self, reason: str, *, verbose: bool = True) -> ReloadReport:
        """
        Read the configuration, and apply it if it is valid and different. Does nothing once the service has stopped.

        :param reason: for the log.
        :param verbose: whether to log that nothing has changed.
        """
        answer: Deferred[ReloadReport] = Deferred()
        self._waiting.append(_ReloadRequest(reason, verbose, answer))
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._work())
        return await answer

    async def _work(self) -> None:
        """
        Answer all requests, those that arrive during a reload together. Never raises.
        """
        while self._waiting:
            requests, self._waiting = self._waiting, []
            # An explicit request gets its log line, even if a file has changed as well.
            first = max(requests, key=lambda request: request.verbose)
            try:
                await self._once(first.reason, first.verbose)
            except Exception:  # noqa: BLE001 - must not block the next reload
                failure = Failure()
                for request in requests:
                    request.answer.errback(failure)
            else:
                for request in requests:
                    request.answer.callback(self._report)
        self._busy = False

    async def _once(self, reason: str, verbose: bool) -> None:
        before = self._report
        report, found = await self._read(reason)
        decided: list[Decided] = []
        if self.running and report.changes:
            report = await self._prepare(report, found.loaded.config, decided)
        applied = bool(self.running) and report.ok
        old = self._loaded
        if applied:
            self._loaded = found.loaded
        for decide in decided:
            try:
                decide(applied)
            except Exception:  # noqa: BLE001 - the others must be called too
                self.log.failure("configuration reload was only partly applied; restart the daemon")
        if not self.running:
            return
        self._report = report
        self._update_status(report, found.hash)
        self._log_report(report, before, verbose)
        if applied:
            for warning in self._loaded.warnings:
                if warning not in old.warnings:
                    self.log.warn("{path}: {reason}", path=warning.path, reason=warning.message)
            if report.changes:
                self._call_listeners(old.config)
        self._watch.refresh()

    async def _read(self, reason: str) -> tuple[ReloadReport, Reread]:
        """
        Read the configuration on disk, and compare. Never raises.
        """
        nothing = Reread(self._loaded, _SAME, self._status.hash)
        try:
            found: Reread = await self._in_thread(
                reread, self._path, self._environ, self._base, self.config, self._kinds
            )
        except ConfigError as error:
            return ReloadReport(reason, self._clock.seconds(), problems=error.problems), nothing
        except Exception:  # noqa: BLE001 - a bug in the reading must not stop the daemon
            self.log.failure("cannot read the configuration {path}; the current one stays in use", path=str(self._path))
            problem = Problem(str(self._path), "could not be read because of a defect; see the log")
            return ReloadReport(reason, self._clock.seconds(), problems=(problem,)), nothing
        return ReloadReport(reason, self._clock.seconds(), found.changes, refused=found.refused), found

    async def _prepare(self, report: ReloadReport, new: Config, decided: list[Decided]) -> ReloadReport:
        """
        Call all preparers, and collect their problems.
        """
        problems: list[Problem] = []
        for prepare in self._preparers:
            try:
                decided.append(await prepare(self.config, new))
            except ConfigError as error:
                problems += error.problems
            except Exception:  # noqa: BLE001 - a bug in one part must not leave the others half prepared
                self.log.failure("cannot prepare the new configuration; the current one stays in use")
                problems.append(Problem(str(self._path), "could not be applied because of a defect; see the log"))
        return evolve(report, changes=_SAME, problems=tuple(problems)) if problems else report

    def _update_status(self, report: ReloadReport, new_hash: str) -> None:
        status = evolve(self._status, problems=report.problems, refused=report.refused)
        if not report.ok:
            status = evolve(status, failed_at=report.at, failed=status.failed + 1)
        else:
            status = evolve(status, succeeded_at=report.at)
            if report.changes:
                status = evolve(status, hash=new_hash, changed_at=report.at, applied=status.applied + 1)
        self._status = status

    def _log_report(self, report: ReloadReport, before: ReloadReport, verbose: bool) -> None:
        """
        Log the result, but not the same problems twice because a file was touched.
        """
        new = verbose or (report.problems, report.refused) != (before.problems, before.refused)
        if not report.ok:
            if new:
                self.log.error(
                    "cannot use the configuration {config} ({reason}), problems: {count}; nothing was changed",
                    config=str(self._path),
                    reason=report.reason,
                    count=len(report.problems),
                )
                for problem in report.problems:
                    self.log.error("{path}: {problem}", path=problem.path, problem=problem.message)
            return
        if report.changes:
            self.log.info(
                "configuration reloaded ({reason}), changes: {count}, hash: {hash}",
                reason=report.reason,
                count=report.changes.count,
                hash=self._status.hash,
            )
            for line in report.changes.lines():
                self.log.info("{change}", change=line)
            self._warn_of_removals(report.changes)
        elif new:
            self.log.info("configuration read again ({reason}): valid and unchanged", reason=report.reason)
        if new or report.changes:
            for problem in report.refused:
                self.log.warn("{path}: {problem}", path=problem.path, problem=problem.message)

    def _warn_of_removals(self, changes: Changes) -> None:
        """
        Warn if so many streamers are gone that the file may be incomplete.
        """
        removed, left = len(changes.removed), len(self.config.streamers) - len(changes.added)
        if removed > 1 and removed >= left:
            self.log.warn(
                "{removed} of {before} streamers were removed from the configuration; their pending deliveries are"
                " cancelled in {grace}, unless they return",
                removed=removed,
                before=removed + left,
                grace=Seconds(self.config.reload.grace),
            )

    def _call_listeners(self, old: Config) -> None:
        for listener in self._listeners:
            try:
                listener(old, self.config)
            except Exception:  # noqa: BLE001 - the others must be called too
                self.log.failure(
                    "{listener} did not apply the configuration change; restart the daemon", listener=listener
                )

    def _files(self) -> Iterable[Path]:
        """
        List the files that the configuration is read from.
        """
        return [self._path, *{self._base / name for name in secret_files(self.config)}]
