"""
The composition root: what ``twistd itsjustintv`` runs.

Besides the commands, only this module reaches for the reactor and the environment. :mod:`itsjustintv.app.daemon` puts
the parts together.

Klein installs the reactor when it is imported, so what needs it is imported when a service is made, not before.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from getopt import GetoptError, getopt
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import IO, Any

from twisted.application.service import IService
from twisted.logger import ILogObserver, Logger
from twisted.python import usage

from itsjustintv.app.context import Context, EventIds
from itsjustintv.config.load import Loaded, load
from itsjustintv.config.locations import SEARCH_ORDER, find_config
from itsjustintv.config.reload import ConfigService
from itsjustintv.config.secrets import secrets
from itsjustintv.config.sections import Config
from itsjustintv.destinations.kinds import KINDS
from itsjustintv.errors import CertificateUnusable, ConfigError
from itsjustintv.journal.legacy_files import LegacyFiles
from itsjustintv.journal.storage import open_storage
from itsjustintv.logs import LOG_SETTINGS, REDACTOR, logger
from itsjustintv.logs.observer import log_through
from itsjustintv.routing import Routing
from itsjustintv.support.clock_jumps import ClockJumps
from itsjustintv.support.clocks import SteadyClock, WallClock, boot_id, uptime
from itsjustintv.support.file_thread_pool import FileThreadPool
from itsjustintv.support.file_watch import FileWatch
from itsjustintv.support.foreign_text import visible
from itsjustintv.support.services import RootService
from itsjustintv.support.systemd import SystemdNotifier, find_systemd, watchdog_interval
from itsjustintv.telemetry.event_spans import EventSpans
from itsjustintv.telemetry.metrics import Metrics
from itsjustintv.telemetry.tracing import Tracer

__all__ = ["Options", "config_path", "log_observer", "makeService"]

_log = Logger()

#: Threads of the reactor for name resolution. A name server that does not answer blocks one for half a minute.
_NAME_THREADS = 64

#: New objects after which the garbage collector runs; the default is 700. They hardly ever form cycles.
_OBJECTS = 20_000

#: Seconds for which a thread that encodes spans, say, may keep the interpreter from the reactor. With Python's 5 ms, an
#: acknowledgement in a hundred takes three times as long while telemetry is sent.
_TURN = 0.0005


def config_path(given: str | None) -> Path:
    """
    Find the configuration, see :func:`~itsjustintv.config.locations.find_config`, and name it on standard error if that
    is not obvious.
    """
    place = find_config(given, os.environ)
    if place.note:
        sys.stderr.write(f"{place.note}\n")
    return place.path


class Options(usage.Options):
    """
    The only option is the configuration file; all else is in that or in the environment.
    """

    synopsis = "[--config FILE]"
    longdesc = "Announce where you want that a Twitch streamer is live, once, and again until it is received."
    optParameters = [  # noqa: RUF012 - the form usage.Options reads
        ["config", "c", None, SEARCH_ORDER],
    ]

    loaded: Loaded
    path: Path
    log: Callable[[], ILogObserver] | None = None

    def postOptions(self) -> None:
        """
        Load and check the configuration.

        :raises SystemExit: listing every problem. A ``UsageError`` would print twistd's whole usage before it, and one
            raised later, in :func:`makeService`, would be a traceback.
        """
        # What the start imports and makes stays: to look through it again and again takes a sixth of the start.
        gc.set_threshold(_OBJECTS)
        self.path = path = config_path(self["config"])
        # twistd changes to this directory later.
        here = Path(_rundir(sys.argv[1:]) if self.parent is None else self.parent.get("rundir") or ".").absolute()
        try:
            self.loaded = load(path, os.environ, here=here, kinds=KINDS)
        except ConfigError as error:
            problems = "\n".join(f"  {visible(line)}" for line in error.lines())
            raise SystemExit(f"itsjustintv: the configuration {path} cannot be used:\n{problems}") from None
        # What is logged from here on is buffered until the log opens.
        _apply_to_log(self.loaded.config)
        sys.excepthook = _uncaught
        if self.parent is not None:
            self.log = log_through(log_observer, self.parent, _later)


def _rundir(arguments: Sequence[str]) -> str:
    """
    Find twistd's ``--rundir`` in its arguments: a file loaded with ``-y`` does not get its options.
    """
    from twisted.scripts._twistd_unix import ServerOptions  # noqa: PLC0415 - seldom needed

    twistd = ServerOptions()
    try:
        given, _ = getopt(arguments, twistd.shortOpt, twistd.longOpt)
    except GetoptError:  # arguments of another program
        return "."
    return next((value for name, value in reversed(given) if name in ("-d", "--rundir")), ".")


def log_observer(out: IO[bytes] | None = None) -> ILogObserver:
    """
    Make the log as ``[logging]`` is configured now: in colour on a terminal, unless ``NO_COLOR`` is set (no-color.org).

    :param out: where to write; otherwise the current standard output.
    """
    out = sys.stdout.buffer if out is None else out
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    terminal = hasattr(out, "isatty") and out.isatty()
    return logger(out, colour=not plain and terminal, terminal=terminal)


def _uncaught(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """
    Print the exception that ends the process to standard error, without secrets.
    """
    text = REDACTOR.redact("".join(format_exception(kind, error, where)))
    print(*map(visible, text.splitlines()), sep="\n", file=sys.__stderr__)


def _later(work: Callable[[], Any]) -> None:
    from twisted.internet import reactor  # noqa: PLC0415 - as in makeService

    running: Any = reactor
    running.callFromThread(work)


def makeService(options: Options, reactor: Any = None) -> IService:
    """
    Put the daemon together.

    :param reactor: the global one, unless given.
    """
    if reactor is None:
        from twisted.internet import reactor  # noqa: PLC0415 - the one place that may choose it
    from itsjustintv.app.daemon import Daemon  # noqa: PLC0415 - imports Klein

    steady = SteadyClock(time.time, uptime, boot_id())
    # Timers must not depend on the machine's clock, which can be set.
    reactor.seconds = steady.seconds
    try:
        daemon = Daemon.of(_make_context(options, reactor, steady), os.environ)
    except CertificateUnusable as error:
        raise SystemExit(f"itsjustintv: cannot serve HTTPS: {error}") from None
    daemon.follow_configuration(_apply_to_log)
    systemd = SystemdNotifier(
        find_systemd(os.environ),
        watchdog_interval(os.environ, os.getpid()),
        daemon.liveness_checks(),
        reactor,
        time.monotonic_ns,
    )
    root = RootService(reactor, options.log)
    for name, service in daemon.services(systemd).items():
        service.setName(name)
        service.setServiceParent(root)
    reactor.callWhenRunning(_tune_interpreter)
    return root


def _tune_interpreter() -> None:
    """
    Exclude all objects that exist after the start from garbage collection: nearly all of them stay until the end, and
    scanning them takes a fifteenth of a busy daemon's time. And let no other thread hold up the reactor for long.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_TURN)


def _make_context(options: Options, reactor: Any, steady: SteadyClock) -> Context:
    threads = FileThreadPool(reactor)
    config_service = ConfigService(
        options.path,
        options.loaded.base,
        os.environ,
        reactor,
        options.loaded,
        FileWatch(reactor, threads.run),
        threads.run,
        KINDS,
    )
    config = config_service.config
    for warning in options.loaded.warnings:
        _log.warn("{path}: {reason}", path=warning.path, reason=warning.message)
    reactor.suggestThreadPoolSize(_NAME_THREADS)
    routing = Routing.of(config)
    metrics = Metrics()
    tracer = Tracer(random.getrandbits, metrics.traces, metrics.spans, steady.ahead)
    legacy = LegacyFiles(Path(config.cache.file_path), Path(config.retry.state_file), routing.destination_for)
    journal = open_storage(config.storage).journal(reactor, steady, legacy, metrics.committed)
    return Context(
        reactor=reactor,
        steady=steady,
        wall=WallClock(time.time, reactor),
        clock_jumps=ClockJumps(steady, reactor, journal.note_clock),
        random=random.random,
        file_threads=threads,
        config_service=config_service,
        journal=journal,
        routing=routing,
        new_event_id=EventIds(reactor, os.urandom(6).hex()),
        hide_secrets=REDACTOR.learn,
        metrics=metrics,
        tracer=tracer,
        event_spans=EventSpans(tracer, reactor, routing.destination, lambda: config_service.config.twitch.api_url),
    )


def _apply_to_log(config: Config) -> None:
    """
    Apply a configuration to the log, and hide its secrets there, before any part can log them.
    """
    LOG_SETTINGS.follow(config.logging)
    REDACTOR.learn(secrets(config, os.environ))
