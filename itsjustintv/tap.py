"""
The composition root: what ``twistd itsjustintv`` runs, and the only module that knows all the parts.

Klein installs the reactor when it is imported, so what needs it is imported when a service is made, not before.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen
from treq.client import HTTPClient
from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import quoteStringArgument
from twisted.logger import Logger
from twisted.python import usage

from itsjustintv.agents import deliveries_agent, twitch_agent
from itsjustintv.config.callback import callback_url
from itsjustintv.config.load import Loaded, load
from itsjustintv.config.sections import Config
from itsjustintv.dedup import SeenEvents
from itsjustintv.delivery.dispatch import Dispatcher
from itsjustintv.delivery.queue import DeliveryQueue
from itsjustintv.errors import CertificateUnusable, ConfigError
from itsjustintv.event_ids import EventIds
from itsjustintv.journal.exchange import Original
from itsjustintv.journal.journal import Journal
from itsjustintv.logs import REDACTOR
from itsjustintv.output import OutputFile
from itsjustintv.payload import embed
from itsjustintv.pipeline import OnError, Pipeline
from itsjustintv.reload import ConfigService
from itsjustintv.routing import Routing
from itsjustintv.services import Afterwards, Daemon, DiskThreads
from itsjustintv.telemetry.counters import Counters
from itsjustintv.twitch.bucket import RateBucket
from itsjustintv.twitch.catch_up import CatchUp, CatchUpSettings
from itsjustintv.twitch.directory import Directory
from itsjustintv.twitch.enrich import TwitchEnricher
from itsjustintv.twitch.followers import Followers
from itsjustintv.twitch.helix import Helix
from itsjustintv.twitch.identities import Identities
from itsjustintv.twitch.images import ProfileImages
from itsjustintv.twitch.keeper import SubscriptionKeeper
from itsjustintv.twitch.oauth import AppToken
from itsjustintv.twitch.pace import Pace
from itsjustintv.twitch.preflight import Preflight
from itsjustintv.twitch.subscriptions import SubscriptionsAPI
from itsjustintv.watching import FileWatch, Hangup
from itsjustintv.web.listening import Listener

__all__ = ["Options", "config_path", "makeService"]

_log = Logger()

#: Threads of the reactor, which look up names. A name server that does not answer holds one for half a minute.
_NAME_THREADS = 64

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


def secrets(config: Config) -> Iterator[str]:
    """
    Everything in a configuration that must not appear in a log. A webhook's address is one of them, and so is what
    comes after its host, unless it is too short to be a secret.
    """
    yield from (config.twitch.client_secret, config.twitch.webhook_secret, config.server.tls.eab_hmac)
    yield from _target(config.global_webhook.url, config.global_webhook.target_webhook_secret)
    for streamer in config.streamers.values():
        yield from _target(streamer.target_webhook_url, streamer.target_webhook_secret)


def _target(url: str, secret: str) -> Iterator[str]:
    yield from (url, secret)
    path = "/" + "".join(url.split("/", 3)[3:])
    yield from (part for part in (path, *path.split("?", 1)) if len(part) >= _TELLING)


def makeService(options: Options, reactor: Any = None) -> IService:  # noqa: PLR0915 - long, but straight
    """
    Put the daemon together, from the end of an event's way to its beginning.

    :param reactor: the global one, unless given.
    """
    if reactor is None:
        from twisted.internet import reactor  # noqa: PLC0415 - the one place that may choose it
    from itsjustintv.https import https  # noqa: PLC0415 - txacme installs it
    from itsjustintv.twitch.resource import TwitchResource  # noqa: PLC0415 - imports Klein
    from itsjustintv.web.channel import Limits  # noqa: PLC0415
    from itsjustintv.web.exact import ExactResource  # noqa: PLC0415 - imports Klein
    from itsjustintv.web.health import HealthResource  # noqa: PLC0415 - imports Klein
    from itsjustintv.web.site import RootResource, make_site  # noqa: PLC0415

    disk = DiskThreads(reactor)
    settings = ConfigService(
        options.path, options.base, os.environ, reactor, options.loaded, FileWatch(reactor, disk.run), disk.run
    )

    def config() -> Config:
        return settings.config

    new_id = EventIds(reactor, os.urandom(6).hex())
    routing = Routing.of(config())
    REDACTOR.learn(secrets(config()))
    for warning in options.loaded.warnings:
        _log.warn("{path}: {reason}", path=warning.path, reason=warning.message)
    reactor.suggestThreadPoolSize(_NAME_THREADS)
    journal = Journal(
        Path(config().storage.path),
        reactor,
        reactor,
        Original(Path(config().cache.file_path), Path(config().retry.state_file), routing.destination_for),
    )
    output = OutputFile(lambda: config().output, reactor, disk.run, journal.outcomes)
    sinks = (output,)
    queue = DeliveryQueue(
        journal,
        Dispatcher(deliveries_agent(reactor), reactor, lambda: config().retry.timeout, embed),
        routing.destination,
        lambda: config().retry,
        sinks,
        reactor,
        random.random,
    )
    helix = _helix(reactor, config, journal, disk)
    pipeline = Pipeline(
        reactor,
        journal,
        SeenEvents(reactor),
        routing.match,
        helix.enricher,
        queue.submit,
        sinks,
        lambda: config().cache.ttl,
        lambda: OnError(config().filter.on_error),
        lambda: config().retry.max_age,
    )
    catch_up = CatchUp(helix.directory, pipeline.accept, reactor, new_id, lambda: CatchUpSettings.of(config()))

    def identify(ids: Mapping[str, str]) -> None:
        routing.identify(ids)
        keeper.reconcile("the id of a streamer has changed")

    identities = Identities(helix.directory, journal, reactor, routing.logins, identify)
    keeper = SubscriptionKeeper(
        SubscriptionsAPI(helix.helix),
        routing.wanted,
        lambda: callback_url(config()),
        lambda: config().twitch.webhook_secret,
        journal,
        reactor,
        random.random,
        catch_up.ask,
        identities.certain,
    )
    twitch = TwitchResource(keeper.secrets, pipeline.accept, keeper.revoked, reactor, new_id)
    try:
        tls = https(lambda: config().server.tls, reactor, disk, random.random, FileWatch(reactor, disk.run))
    except CertificateUnusable as error:
        raise SystemExit(f"itsjustintv: https cannot be served: {error}") from None
    preflight = Preflight(helix.http, reactor.nameResolver, reactor, lambda: callback_url(config()))
    health = HealthResource(
        (("journal", journal.problem), ("pipeline", pipeline.problem), ("deliveries", queue.problem)),
        reactor,
        concerns=(
            ("twitch", helix.token.problem),
            ("ids", identities.problem),
            ("subscriptions", keeper.problem),
            ("catch_up", catch_up.problem),
            ("configuration", settings.problem),
            ("certificates", tls.problem),
        ),
        details=(
            ("configuration", lambda: settings.status().public()),
            ("subscriptions", lambda: keeper.report().public()),
        ),
    )
    root = RootResource({b"/twitch": ExactResource(twitch.app), b"/health": ExactResource(health.app)})
    site = tls.secure(make_site(root, reactor, Limits()))
    http_listener = Listener(lambda: _description(config()), site, reactor)

    def follow(old: Config, new: Config) -> None:
        REDACTOR.learn(secrets(new))
        routing.configure(new)
        queue.refresh()
        identities.refresh()
        if callback_url(old) != callback_url(new):
            preflight.look()
        keeper.reconcile("the configuration was reloaded")
        if new.server.tls != old.server.tls:
            tls.refresh()

    def hang_up() -> None:
        settings.request("SIGHUP")
        keeper.reconcile("SIGHUP")
        # What an authority refused for good may be worth another try, though nothing of it is in the configuration.
        tls.refresh()

    def reachable() -> Deferred[None]:
        return tls.when_ready(urlsplit(callback_url(config())).hostname or "")

    def subscribe() -> None:
        keeper.startService()
        catch_up.ask(routing.wanted())

    settings.precede(lambda _, new: Deferred.fromCoroutine(http_listener.prepare(_description(new))))
    settings.subscribe(follow)
    daemon = Daemon(reactor)
    storeys: dict[str, IService] = {
        "journal": journal,
        "disk": disk,
        "output": output,
        "ids": identities,
        "followers": helix.followers,
        "images": helix.images,
        "deliveries": queue,
        "pipeline": pipeline,
        "catch_up": catch_up,
        **tls.services,
        "http": http_listener,
        "configuration": settings,
        "preflight": Afterwards((reachable,), preflight.startService, preflight.stopService),
        # Twitch verifies a callback at once, so there must be somebody to answer.
        "subscriptions": Afterwards((identities.whenReady, reachable), subscribe, keeper.stopService),
        "hangup": Hangup(reactor, hang_up),
    }
    for name, storey in storeys.items():
        storey.setName(name)
        storey.setServiceParent(daemon)
    return daemon


@frozen
class _Helix:
    """
    What asks Twitch, or whoever Twitch names.
    """

    http: HTTPClient
    token: AppToken
    helix: Helix
    directory: Directory
    followers: Followers
    images: ProfileImages
    enricher: TwitchEnricher


def _helix(reactor: Any, config: Callable[[], Config], journal: Journal, disk: DiskThreads) -> _Helix:
    agent = twitch_agent(reactor)
    http = HTTPClient(agent)
    bucket = RateBucket(reactor)
    token = AppToken(http, lambda: config().twitch, reactor, disk.run)
    helix = Helix(http, lambda: config().twitch, token, bucket, reactor)
    pace = Pace(bucket, reactor)
    directory = Directory(helix, reactor, pace)
    followers = Followers(directory.followers, bucket, pace, journal, reactor)
    images = ProfileImages(agent, lambda: config().twitch, lambda: config().cache, reactor, disk.run)
    enricher = TwitchEnricher(
        directory,
        followers.total,
        images.get,
        reactor,
        lambda: config().enrich.timeout,
        lambda: config().image,
        Counters().count,
    )
    return _Helix(http, token, helix, directory, followers, images, enricher)


def _description(config: Config) -> str:
    """
    Where to listen, as an endpoint's description.
    """
    return f"tcp:{config.server.port}:interface={quoteStringArgument(config.server.listen_addr)}"
