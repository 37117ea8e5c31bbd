"""
The configuration as frozen values, one class per table, with the documented defaults. Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from itsjustintv.config.hosts import dns_name, dns_names
from itsjustintv.model import DestinationKind, DestinationPolicy

__all__ = [
    "CONDUIT",
    "NO_DESTINATION",
    "TLS",
    "WEBHOOK",
    "Admin",
    "Broadcast",
    "Cache",
    "CatchUp",
    "Conduit",
    "Config",
    "DestinationEntry",
    "Egress",
    "Enrich",
    "Filter",
    "GlobalWebhook",
    "Logging",
    "Output",
    "Reload",
    "Retry",
    "Server",
    "Storage",
    "StreamerEntry",
    "Telemetry",
    "Twitch",
    "callback_url",
]


#: Twitch POSTs EventSub messages to a callback.
WEBHOOK = "webhook"
#: Twitch sends them over connections that the daemon opens.
CONDUIT = "conduit"


@frozen(kw_only=True)
class TLS:
    """
    ``[server.tls]``.

    :ivar mode: ``acme`` orders certificates, ``files`` uses that of the operator.
    :ivar domains: normalized, see :func:`~itsjustintv.config.hosts.dns_name`.
    :ivar cert_file: the certificate followed by its chain, in PEM.
    :ivar directory: ``production`` and ``staging`` of Let's Encrypt, or the URL of an ACME directory.
    :ivar challenge: ``http-01``, ``tls-alpn-01`` or ``both``.
    :ivar http_listen: ``host:port`` that answers http-01 and redirects all other requests to https; empty for none.
    :ivar profile: certificate profile of the authority; empty for its default.
    :ivar key_type: ``p256``, ``p384``, ``rsa2048`` or ``rsa3072``.
    :ivar ca_bundle: file of CA certificates that verify the directory; empty for the system's.
    :ivar eab_hmac: secret of an existing account at the authority, in base64url.
    :ivar renew_fraction: fraction of the lifetime that is left at renewal; 0 for the default.
    :ivar default_name: domain whose certificate clients without SNI get; empty for the first of ``domains``.
    :ivar http2: whether HTTP/2 is offered in addition to HTTP/1.1.
    """

    enabled: bool = False
    mode: str = "acme"
    domains: tuple[str, ...] = field(default=(), converter=dns_names)
    cert_dir: str = "data/acme_certs"
    cert_file: str = ""
    key_file: str = ""
    directory: str = "production"
    agree_to_terms: bool = False
    email: str = ""
    challenge: str = "http-01"
    http_listen: str = "0.0.0.0:80"
    profile: str = ""
    key_type: str = "p256"
    ca_bundle: str = ""
    eab_kid: str = ""
    eab_hmac: str = field(default="", repr=False)
    eab_hmac_file: str = ""
    renew_fraction: float = 0.0
    default_name: str = field(default="", converter=dns_name)
    http2: bool = True


@frozen(kw_only=True)
class Server:
    """
    ``[server]``: where Twitch reaches the daemon.

    :ivar trusted_proxies: networks of proxies whose headers with the client address are trusted.
    :ivar proxy_protocol: whether these proxies send a PROXY protocol header on every connection.
    """

    listen_addr: str = "0.0.0.0"
    port: int = 8080
    external_domain: str = ""
    trusted_proxies: tuple[str, ...] = ()
    proxy_protocol: bool = False
    tls: TLS = TLS()


@frozen(kw_only=True)
class Conduit:
    """
    ``[twitch.conduit]``.

    :ivar shards: WebSocket connections of this daemon.
    :ivar keepalive: seconds after which Twitch sends a keepalive on a quiet connection.
    :ivar websocket_url: where the connections go.
    :ivar state_file: remembers the conduit.
    """

    shards: int = 2
    keepalive: float = 10.0
    websocket_url: str = "wss://eventsub.wss.twitch.tv/ws"
    state_file: str = "data/conduit.json"


@frozen(kw_only=True)
class Twitch:
    """
    ``[twitch]``. Loading replaces the ``*_file`` variants of secrets: afterwards the secret itself is here.

    :ivar transport: how EventSub messages arrive: :data:`WEBHOOK` or :data:`CONDUIT`.
    """

    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    client_secret_file: str = ""
    webhook_secret: str = field(default="", repr=False)
    webhook_secret_file: str = ""
    token_file: str = "data/tokens.json"
    incoming_webhook_url: str = ""
    transport: str = WEBHOOK
    conduit: Conduit = Conduit()
    api_url: str = "https://api.twitch.tv/helix"
    auth_url: str = "https://id.twitch.tv/oauth2"


@frozen(kw_only=True)
class Retry:
    """
    ``[retry]``.

    :ivar max_attempts: the first included; 0 for no limit but ``max_age``.
    :ivar jitter: fraction of a delay by which it may vary, 0 to 1.
    :ivar max_age: seconds after which a delivery expires.
    :ivar concurrency: simultaneous attempts per destination.
    :ivar timeout: seconds for one attempt, from the DNS look-up to the last byte.
    :ivar state_file: queue of the original, imported once.
    """

    max_attempts: int = 0
    initial_delay: float = 30.0
    max_delay: float = 1800.0
    backoff_factor: float = 2.0
    jitter: float = 0.2
    max_age: float = 86400.0
    concurrency: int = 2
    timeout: float = 15.0
    state_file: str = "data/retry_state.json"


@frozen(kw_only=True)
class Egress:
    """
    ``[egress]``: which addresses the daemon connects to.

    :ivar allow: addresses and networks that are never refused.
    """

    allow: tuple[str, ...] = ()


@frozen(kw_only=True)
class Reload:
    """
    ``[reload]``.

    :ivar grace: seconds after which the deliveries of a removed streamer or destination are cancelled.
    """

    grace: float = 600.0


@frozen(kw_only=True)
class Output:
    """
    ``[output]``: the latest results as a JSON file.
    """

    enabled: bool = True
    file_path: str = "data/output.json"
    max_lines: int = 1000


@frozen(kw_only=True)
class Telemetry:
    """
    ``[telemetry]``.

    :ivar endpoint: of the collector, without the path of a signal; empty for the default of OpenTelemetry.
    :ivar service_version: empty for the real one.
    """

    enabled: bool = False
    endpoint: str = ""
    service_name: str = "itsjustintv"
    service_version: str = ""


@frozen(kw_only=True)
class Admin:
    """
    ``[admin]``: the admin page and its API.

    :ivar listen: ``host:port``.
    :ivar token: gives access; required unless ``listen`` is a loopback address.
    """

    enabled: bool = False
    listen: str = "127.0.0.1:8081"
    token: str = field(default="", repr=False)
    token_file: str = ""


@frozen(kw_only=True)
class Cache:
    """
    ``[cache]``.

    :ivar ttl: seconds during which a broadcast is not announced again.
    :ivar image_ttl: seconds after which a profile image is fetched again.
    """

    ttl: float = 7200.0
    image_ttl: float = 604800.0
    file_path: str = "data/cache.json"
    image_dir: str = "data/image_cache"


@frozen(kw_only=True)
class Logging:
    """
    ``[logging]``.

    :ivar level: ``debug``, ``info``, ``warn``, ``error`` or ``critical``: the lowest that is logged.
    :ivar format: ``json`` for programs, ``text`` for people; ``auto`` is text on a terminal and JSON elsewhere.
    :ivar levels: other levels for loggers and their children, as ``LOGGER=LEVEL``.
    """

    level: str = "info"
    format: str = "auto"
    levels: tuple[str, ...] = ()


@frozen(kw_only=True)
class Storage:
    """
    ``[storage]``: the journal, and the base of relative paths.

    :ivar base: an absolute folder; empty for the one that follows from the path of the configuration, see
        :func:`~itsjustintv.config.locations.base_for`.
    """

    path: str = "data/itsjustintv.db"
    base: str = ""


@frozen(kw_only=True)
class Enrich:
    """
    ``[enrich]``.

    :ivar timeout: seconds that a notification waits for details from Twitch.
    """

    timeout: float = 3.0


@frozen(kw_only=True)
class CatchUp:
    """
    ``[catch_up]``: broadcasts that were missed while the daemon was down or had no subscription.

    :ivar max_age: seconds since its start after which a broadcast is not announced.
    """

    enabled: bool = True
    max_age: float = 1800.0


@frozen(kw_only=True)
class Filter:
    """
    ``[filter]``.

    :ivar on_error: ``send`` or ``hold`` if the tags for a tag filter cannot be fetched.
    :ivar types: of broadcasts that are announced, for streamers without their own; empty, or ``all``, for all.
    """

    on_error: str = "send"
    types: tuple[str, ...] = ("live",)


@frozen(kw_only=True)
class GlobalWebhook:
    """
    ``[global_webhook]``: the destination of every streamer without its own.
    """

    enabled: bool = False
    url: str = field(default="", repr=False)
    target_webhook_secret: str = field(default="", repr=False)
    target_webhook_secret_file: str = ""
    target_webhook_header: str = "X-Hub-Signature-256"
    target_webhook_hashing: str = "SHA-256"
    target_webhook_signature: str = "hub"


@frozen(kw_only=True)
class Broadcast:
    """
    ``[broadcast]``: what counts as one broadcast, for destinations whose posts change with it.

    :ivar reconnect_window: seconds after its end within which a new stream of the channel continues it.
    :ivar settle: seconds without another change after which a change of title or category is shown.
    :ivar refresh_preview: seconds after the start after which a post is edited to show a newer preview.
    :ivar refresh_recording: seconds after the end after which a recording is looked for that the post does not have.
    """

    reconnect_window: float = 300.0
    settle: float = 60.0
    refresh_preview: tuple[float, ...] = (120.0, 360.0)
    refresh_recording: tuple[float, ...] = (600.0,)


@frozen(kw_only=True)
class DestinationEntry:
    """
    ``[destinations.NAME]``, or what it is for one streamer.

    :ivar default: whether streamers have it that name no destinations.
    :ivar settings: what only its type has, an instance of :attr:`itsjustintv.interfaces.DestinationKind.settings`.
    :ivar files: the files from which its secrets were read, by key (``url_file``).
    :ivar kind: the row of the table of kinds that the type names.
    """

    type: str
    default: bool = False
    policy: DestinationPolicy = field(factory=DestinationPolicy)
    settings: Any = None
    files: Mapping[str, str] = field(factory=dict)
    kind: DestinationKind = field(eq=False, repr=False)


#: The only entry of ``destinations`` of a streamer that has none.
NO_DESTINATION = "none"


@frozen(kw_only=True)
class StreamerEntry:
    """
    ``[streamers.KEY]``. Empty types, header, hashing and signature mean the defaults.

    :ivar destinations: names of ``[destinations.NAME]``, or only ``none``; empty for the usual ones, see
        :class:`itsjustintv.routing.Routes`.
    :ivar at: destinations that differ for this streamer, as a whole, by name.
    """

    user_id: str = ""
    login: str = ""
    target_webhook_url: str = field(default="", repr=False)
    tag_filter: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    additional_tags: tuple[str, ...] = ()
    target_webhook_secret: str = field(default="", repr=False)
    target_webhook_secret_file: str = ""
    target_webhook_header: str = ""
    target_webhook_hashing: str = ""
    target_webhook_signature: str = ""
    destinations: tuple[str, ...] = ()
    at: Mapping[str, DestinationEntry] = field(factory=dict)


@frozen(kw_only=True)
class Config:
    """
    :ivar image: ``embed`` for the bytes of the profile image in the payload, ``url`` for its URL only.
    """

    image: str = "embed"
    server: Server = Server()
    twitch: Twitch = Twitch()
    retry: Retry = Retry()
    egress: Egress = Egress()
    reload: Reload = Reload()
    output: Output = Output()
    telemetry: Telemetry = Telemetry()
    admin: Admin = Admin()
    logging: Logging = Logging()
    cache: Cache = Cache()
    storage: Storage = Storage()
    enrich: Enrich = Enrich()
    catch_up: CatchUp = CatchUp()
    filter: Filter = Filter()
    broadcast: Broadcast = Broadcast()
    destinations: Mapping[str, DestinationEntry] = field(factory=dict)
    global_webhook: GlobalWebhook = GlobalWebhook()
    streamers: Mapping[str, StreamerEntry] = field(factory=dict)


_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})


def callback_url(config: Config) -> str:
    """
    The callback of the EventSub subscriptions: ``twitch.incoming_webhook_url`` as it is, else ``/twitch`` at
    ``server.external_domain``, else at the first of ``server.tls.domains``, else at ``server.listen_addr`` in plain
    http, which only a simulator accepts.
    """
    server = config.server
    if config.twitch.incoming_webhook_url:
        return config.twitch.incoming_webhook_url
    if server.external_domain:
        return f"https://{server.external_domain}/twitch"
    if server.tls.domains:
        return f"https://{_in_url(server.tls.domains[0])}/twitch"
    host = "localhost" if server.listen_addr in _EVERYWHERE else server.listen_addr
    return f"http://{_in_url(host)}:{server.port}/twitch"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
