"""
The composition root: what ``twistd itsjustintv`` runs, and the only module that knows all the parts.

Klein installs the reactor when it is imported, so what needs it is imported when a service is made, not before.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twisted.application.service import IService
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import ILogObserver, Logger
from twisted.python import usage

from itsjustintv.admin.history import History
from itsjustintv.assembly.deliveries import Deliveries
from itsjustintv.assembly.ground import Ground
from itsjustintv.assembly.subscriptions import Subscriptions
from itsjustintv.assembly.twitch import Twitch
from itsjustintv.config.callback import callback_url
from itsjustintv.config.load import Loaded, load
from itsjustintv.config.sections import Config
from itsjustintv.errors import CertificateUnusable, ConfigError
from itsjustintv.event_ids import EventIds
from itsjustintv.journal.exchange import Original
from itsjustintv.journal.journal import Journal
from itsjustintv.logs import REDACTOR, WANTED, logger
from itsjustintv.logs.twistd import log_through
from itsjustintv.reload import ConfigService
from itsjustintv.routing import Routing
from itsjustintv.services import Afterwards, Daemon, DiskThreads
from itsjustintv.supervisor import Supervisor, notifier, watchdog_interval
from itsjustintv.telemetry.following import Following
from itsjustintv.telemetry.metrics import Metrics
from itsjustintv.telemetry.tracer import Tracer
from itsjustintv.watching import FileWatch, Hangup

if TYPE_CHECKING:
    from itsjustintv.assembly.admin import Admin
    from itsjustintv.assembly.telemetry import Telemetry
    from itsjustintv.assembly.web import Web

__all__ = ["Options", "config_path", "log_observer", "makeService"]

_log = Logger()

#: Threads of the reactor, which look up names. A name server that does not answer holds one for half a minute.
_NAME_THREADS = 64

#: New objects after which the garbage collector looks at them.
_OBJECTS = 20_000

#: Characters of a path below which it says nothing: /webhook, /notify.
_TELLING = 12


def config_path(given: str | None) -> Path:
    """
    Where the configuration is: as given, else as ``ITSJUSTINTV_CONFIG`` says, else ``config.toml`` here.
    """
    return Path(given or os.environ.get("ITSJUSTINTV_CONFIG") or "config.toml")


class Options(usage.Options):
    """
    The only option is the configuration; everything else is in it, or in the environment.
    """

    synopsis = "[--config FILE]"
    longdesc = "Tell webhooks, once and reliably, when a Twitch streamer goes live."
    optParameters = [  # noqa: RUF012 - the form usage.Options reads
        ["config", "c", None, "The configuration file; otherwise ITSJUSTINTV_CONFIG, otherwise config.toml."],
    ]

    loaded: Loaded
    path: Path
    base: Path
    log: Callable[[], ILogObserver] | None = None

    def postOptions(self) -> None:
        """
        Load and check the configuration.

        :raises SystemExit: listing every problem. A ``UsageError`` would print twistd's whole usage before it, and one
            raised later, from :func:`makeService`, would be a traceback.
        """
        path = config_path(self["config"])
        # twistd changes the current directory later.
        self.path, self.base = path.absolute(), Path().absolute()
        try:
            self.loaded = load(path, os.environ)
        except ConfigError as error:
            problems = "\n".join(f"  {problem}" for problem in error.problems)
            raise SystemExit(f"itsjustintv: the configuration {path} cannot be used:\n{problems}") from None
        # Whatever is said from here on waits for the log, which begins later.
        WANTED.follow(self.loaded.config.logging)
        REDACTOR.learn(secrets(self.loaded.config))
        sys.excepthook = _uncaught
        if self.parent is not None:
            self.log = log_through(log_observer, self.parent, _later)


def log_observer(out: IO[bytes] | None = None) -> ILogObserver:
    """
    Make the log, as ``[logging]`` says at the moment: in colour on a terminal, unless ``NO_COLOR`` is set
    (no-color.org).

    :param out: where to write; otherwise standard output as it is now.
    """
    out = sys.stdout.buffer if out is None else out
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return logger(out, colour=not plain and hasattr(out, "isatty") and out.isatty())


def _uncaught(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """
    Tell of what ends the process before there is a log, or beside it, without secrets.
    """
    print(REDACTOR.redact("".join(format_exception(kind, error, where))), end="", file=sys.__stderr__)


def _later(work: Callable[[], Any]) -> None:
    from twisted.internet import reactor  # noqa: PLC0415 - as in makeService

    running: Any = reactor
    running.callFromThread(work)


def secrets(config: Config) -> Iterator[str]:
    """
    Everything in a configuration that must not appear in a log. A webhook's address is one of them, and so is what
    comes after its host, unless it is too short to be a secret.
    """
    yield from (config.twitch.client_secret, config.twitch.webhook_secret, config.server.tls.eab_hmac)
    yield config.admin.token
    yield from _given_to_collectors(config)
    yield from _target(config.global_webhook.url, config.global_webhook.target_webhook_secret)
    for streamer in config.streamers.values():
        yield from _target(streamer.target_webhook_url, streamer.target_webhook_secret)


def _given_to_collectors(config: Config) -> Iterator[str]:
    for name, value in os.environ.items():
        if name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("HEADERS"):
            yield from (pair.partition("=")[2].strip() for pair in value.split(","))
    yield config.telemetry.endpoint.partition("?")[2]


def _target(url: str, secret: str) -> Iterator[str]:
    yield from (url, secret)
    path = "/" + "".join(url.split("/", 3)[3:])
    yield from (part for part in (path, *path.split("?", 1)) if len(part) >= _TELLING)


def makeService(options: Options, reactor: Any = None) -> IService:
    """
    Put the daemon together: groups of parts, what a change means to them, and the order in which they start.

    :param reactor: the global one, unless given.
    """
    if reactor is None:
        from twisted.internet import reactor  # noqa: PLC0415 - the one place that may choose it
    from itsjustintv.assembly.admin import Admin  # noqa: PLC0415 - imports Klein
    from itsjustintv.assembly.showing import Showing  # noqa: PLC0415 - imports Klein
    from itsjustintv.assembly.telemetry import Telemetry  # noqa: PLC0415 - imports Klein
    from itsjustintv.assembly.web import Web  # noqa: PLC0415 - imports Klein

    ground = _ground(options, reactor)
    twitch = Twitch.of(ground)
    history = History(reactor, ground.journal.outcomes)
    deliveries = Deliveries.of(ground, twitch.enricher, (history,))
    subscriptions = Subscriptions.of(ground, twitch, ground.metrics.recovering(deliveries.accept))
    try:
        web = Web.of(ground, twitch, deliveries, subscriptions)
    except CertificateUnusable as error:
        raise SystemExit(f"itsjustintv: https cannot be served: {error}") from None
    telemetry = Telemetry.of(ground, twitch, deliveries, subscriptions, web=web, environ=os.environ)
    showing = Showing(ground, twitch, deliveries, subscriptions, web, history)
    admin = Admin.of(ground, history, showing.sources(), {b"/metrics": telemetry.resource})
    _follow(ground, deliveries, subscriptions, web=web, admin=admin, telemetry=telemetry)
    daemon = Daemon(reactor, options.log)
    for name, storey in _storeys(
        ground, twitch, deliveries, subscriptions, web=web, admin=admin, telemetry=telemetry
    ).items():
        storey.setName(name)
        storey.setServiceParent(daemon)
    reactor.callWhenRunning(_spare_the_collector)
    return daemon


def _spare_the_collector() -> None:
    """
    Have the garbage collector pass over what there is after the start. Nearly all of it stays until the end, and to
    walk through it again and again is a fifteenth of a busy daemon's time. What comes later hardly ever needs the
    collector, which therefore looks at it less often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS)


def _ground(options: Options, reactor: Any) -> Ground:
    disk = DiskThreads(reactor)
    settings = ConfigService(
        options.path, options.base, os.environ, reactor, options.loaded, FileWatch(reactor, disk.run), disk.run
    )
    config = settings.config
    for warning in options.loaded.warnings:
        _log.warn("{path}: {reason}", path=warning.path, reason=warning.message)
    reactor.suggestThreadPoolSize(_NAME_THREADS)
    routing = Routing.of(config)
    metrics = Metrics()
    tracer = Tracer(random.getrandbits, metrics.traces, metrics.spans)
    original = Original(Path(config.cache.file_path), Path(config.retry.state_file), routing.destination_for)
    return Ground(
        reactor=reactor,
        random=random.random,
        disk=disk,
        settings=settings,
        journal=Journal(Path(config.storage.path), reactor, reactor, original, committed=metrics.committed),
        routing=routing,
        new_id=EventIds(reactor, os.urandom(6).hex()),
        hide=REDACTOR.learn,
        metrics=metrics,
        tracer=tracer,
        following=Following(tracer, reactor, routing.destination, lambda: settings.config.twitch.api_url),
    )


def _follow(
    ground: Ground,
    deliveries: Deliveries,
    subscriptions: Subscriptions,
    *,
    web: Web,
    admin: Admin,
    telemetry: Telemetry,
) -> None:
    """
    Say what a new configuration means to each part.
    """

    def follow(old: Config, new: Config) -> None:
        REDACTOR.learn(secrets(new))
        WANTED.follow(new.logging)
        ground.routing.configure(new)
        ground.metrics.expect(ground.routing.destinations())
        telemetry.service.refresh()
        deliveries.queue.refresh()
        subscriptions.identities.refresh()
        if old.admin.token != new.admin.token:
            admin.pulse.dismiss()
        if callback_url(old) == callback_url(new):
            subscriptions.keeper.reconcile("the configuration was reloaded")
        else:
            # Twitch verifies the new one at once, so it must be served. Whoever gives up waiting has changed it again.
            reachable = web.https.when_ready(urlsplit(callback_url(new)).hostname or "")
            reachable.addCallbacks(lambda _: called_back(), lambda failure: failure.trap(CancelledError) and None)

    def called_back() -> None:
        subscriptions.preflight.look()
        subscriptions.keeper.reconcile("the callback has changed")

    ground.settings.precede(lambda _, new: Deferred.fromCoroutine(admin.prepare(new)))
    ground.settings.precede(lambda _, new: Deferred.fromCoroutine(web.https.prepare(new.server.tls)))
    # The last one, and it does not wait: nobody may come in at a new port before it is decided how to serve.
    ground.settings.precede(lambda _, new: Deferred.fromCoroutine(web.prepare(new)))
    ground.settings.subscribe(follow)


def _storeys(
    ground: Ground,
    twitch: Twitch,
    deliveries: Deliveries,
    subscriptions: Subscriptions,
    *,
    web: Web,
    admin: Admin,
    telemetry: Telemetry,
) -> Mapping[str, IService]:
    """
    Every service by its name, in the order of the start: each stands on those before it.
    """
    keeper, preflight = subscriptions.keeper, subscriptions.preflight
    supervisor = _supervisor(ground, deliveries, web)

    def hang_up() -> None:
        supervisor.reloading(ground.settings.request("SIGHUP"))
        keeper.reconcile("SIGHUP")
        # What an authority refused for good may be worth another try, though nothing of it is in the configuration.
        web.https.refresh()

    def reachable() -> Deferred[None]:
        return web.https.when_ready(urlsplit(callback_url(ground.config())).hostname or "")

    def subscribe() -> None:
        keeper.startService()
        subscriptions.catch_up.ask(ground.routing.wanted())

    return {
        "journal": ground.journal,
        "disk": ground.disk,
        "telemetry": telemetry.service,
        "output": deliveries.output,
        "ids": subscriptions.identities,
        "followers": twitch.followers,
        "images": twitch.images,
        "deliveries": deliveries.queue,
        "pipeline": deliveries.pipeline,
        "backlog": deliveries.backlog,
        "catch_up": subscriptions.catch_up,
        "https": web.https,
        "http": web.listener,
        "roster": twitch.roster,
        "history": admin.history,
        "pulse": admin.pulse,
        "admin": admin.door,
        "configuration": ground.settings,
        "preflight": Afterwards((reachable,), preflight.startService, preflight.stopService),
        # Twitch verifies a callback at once, so there must be somebody to answer.
        "subscriptions": Afterwards((subscriptions.identities.whenReady, reachable), subscribe, keeper.stopService),
        "hangup": Hangup(ground.reactor, hang_up),
        "supervisor": supervisor,
    }


def _supervisor(ground: Ground, deliveries: Deliveries, web: Web) -> Supervisor:
    """
    Say what must live for the daemon to be alive: what only a restart can mend.
    """
    vitals = (
        ("http", web.listener.problem),
        ("pipeline", deliveries.pipeline.problem),
        ("deliveries", deliveries.queue.problem),
        ("journal", ground.journal.dead),
    )
    return Supervisor(
        notifier(os.environ), watchdog_interval(os.environ, os.getpid()), vitals, ground.reactor, time.monotonic_ns
    )
