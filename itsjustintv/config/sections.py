"""
The configuration as frozen values, one class a table. Every default is the documented one; durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from itsjustintv.config.hosts import dns_name, dns_names

__all__ = [
    "TLS",
    "Admin",
    "Cache",
    "CatchUp",
    "Config",
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


@frozen(kw_only=True)
class TLS:
    """
    ``[server.tls]``.

    :ivar mode: ``acme`` orders certificates, ``files`` serves that of the operator.
    :ivar domains: as DNS has them, see :func:`~itsjustintv.config.hosts.dns_name`.
    :ivar cert_file: the certificate, and after it those of the authorities that lead to it, in PEM.
    :ivar directory: ``production`` and ``staging`` are Let's Encrypt's; anything else is the URL of an ACME directory.
    :ivar challenge: ``http-01``, ``tls-alpn-01`` or ``both``.
    :ivar http_listen: ``host:port`` at which http-01 is answered, and everybody else is sent on to https; empty for
        nowhere.
    :ivar profile: kind of certificate, by the authority's name for it; empty for what it gives unasked.
    :ivar key_type: ``p256``, ``p384``, ``rsa2048`` or ``rsa3072``.
    :ivar ca_bundle: file of the certificates by which the directory is believed; empty for the system's.
    :ivar eab_hmac: the secret of an account that the operator has with the authority, in base64url.
    :ivar renew_fraction: share of its life that a certificate has left when it is renewed; 0 if the operator leaves
        that to us.
    :ivar default_name: whose certificate those get who name nobody; empty for the first of ``domains``.
    :ivar http2: whether HTTP/2 is spoken with those who prefer it, beside HTTP/1.1.
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

    :ivar trusted_proxies: networks of proxies that are believed when they say on whose behalf they call.
    :ivar proxy_protocol: whether they introduce every connection with the PROXY protocol.
    """

    listen_addr: str = "0.0.0.0"
    port: int = 8080
    external_domain: str = ""
    trusted_proxies: tuple[str, ...] = ()
    proxy_protocol: bool = False
    tls: TLS = TLS()


@frozen(kw_only=True)
class Twitch:
    """
    ``[twitch]``. The ``*_file`` variants of secrets are resolved while loading: after that, the secret itself is here.
    """

    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    client_secret_file: str = ""
    webhook_secret: str = field(default="", repr=False)
    webhook_secret_file: str = ""
    token_file: str = "data/tokens.json"
    incoming_webhook_url: str = ""
    api_url: str = "https://api.twitch.tv/helix"
    auth_url: str = "https://id.twitch.tv/oauth2"


@frozen(kw_only=True)
class Retry:
    """
    ``[retry]``.

    :ivar max_attempts: counts the first one; 0 for as many as ``max_age`` leaves time for.
    :ivar jitter: share of a delay by which it may vary, 0 to 1.
    :ivar max_age: seconds after which news is no longer worth telling.
    :ivar concurrency: attempts under way at once, for each destination.
    :ivar timeout: seconds for one attempt, from the look-up of the name to the last byte.
    :ivar state_file: the original's queue, imported once.
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
class Reload:
    """
    ``[reload]``.

    :ivar grace: seconds after which what waits for something that is not configured any more ends.
    """

    grace: float = 600.0


@frozen(kw_only=True)
class Output:
    """
    ``[output]``: the last outcomes as a JSON file.
    """

    enabled: bool = True
    file_path: str = "data/output.json"
    max_lines: int = 1000


@frozen(kw_only=True)
class Telemetry:
    """
    ``[telemetry]``.

    :ivar endpoint: of the collector, without the path of a signal; empty for the one that OpenTelemetry takes.
    :ivar service_version: empty for our own.
    """

    enabled: bool = False
    endpoint: str = ""
    service_name: str = "itsjustintv"
    service_version: str = ""


@frozen(kw_only=True)
class Admin:
    """
    ``[admin]``: the page that shows what the daemon does, and its API.

    :ivar listen: ``host:port``.
    :ivar token: what opens it; needed by everybody who is not on this machine.
    """

    enabled: bool = False
    listen: str = "127.0.0.1:8081"
    token: str = field(default="", repr=False)
    token_file: str = ""


@frozen(kw_only=True)
class Cache:
    """
    ``[cache]``.

    :ivar ttl: seconds for which a broadcast, once announced, is not announced again.
    :ivar image_ttl: seconds for which a profile image is kept.
    """

    ttl: float = 7200.0
    image_ttl: float = 604800.0
    file_path: str = "data/cache.json"
    image_dir: str = "data/image_cache"


@frozen(kw_only=True)
class Logging:
    """
    ``[logging]``.

    :ivar level: ``debug``, ``info``, ``warn``, ``error`` or ``critical``: what is not less than this is written.
    :ivar format: ``json`` for programs, ``text`` for people; ``auto`` is text on a terminal and JSON elsewhere.
    :ivar levels: other levels for loggers and those below them, as ``LOGGER=LEVEL``.
    """

    level: str = "info"
    format: str = "auto"
    levels: tuple[str, ...] = ()


@frozen(kw_only=True)
class Storage:
    """
    ``[storage]``: the journal, and where relative paths start.

    :ivar base: an absolute folder; empty for the place that the configuration's own gives, see
        :func:`~itsjustintv.config.locations.base_for`.
    """

    path: str = "data/itsjustintv.db"
    base: str = ""


@frozen(kw_only=True)
class Enrich:
    """
    ``[enrich]``.

    :ivar timeout: seconds a notification waits for Twitch's answers at the most.
    """

    timeout: float = 3.0


@frozen(kw_only=True)
class CatchUp:
    """
    ``[catch_up]``: broadcasts that Twitch told nobody of, because nobody was there to listen.

    :ivar max_age: seconds since its start after which a broadcast is not announced any more.
    """

    enabled: bool = True
    max_age: float = 1800.0


@frozen(kw_only=True)
class Filter:
    """
    ``[filter]``.

    :ivar on_error: ``send`` or ``hold``, when a tag filter cannot be decided because the tags could not be fetched.
    :ivar types: of broadcasts that are announced, where a streamer has none of his own; empty, or ``all``, for all.
    """

    on_error: str = "send"
    types: tuple[str, ...] = ("live",)


@frozen(kw_only=True)
class GlobalWebhook:
    """
    ``[global_webhook]``: for every streamer without a webhook of its own.
    """

    enabled: bool = False
    url: str = field(default="", repr=False)
    target_webhook_secret: str = field(default="", repr=False)
    target_webhook_secret_file: str = ""
    target_webhook_header: str = "X-Hub-Signature-256"
    target_webhook_hashing: str = "SHA-256"
    target_webhook_signature: str = "hub"


@frozen(kw_only=True)
class StreamerEntry:
    """
    ``[streamers.KEY]``. Empty types, header, hashing and signature mean the defaults.
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


@frozen(kw_only=True)
class Config:
    """
    Everything an operator decides.

    :ivar image: ``embed`` puts the profile image's bytes into the payload, ``url`` only its address.
    """

    image: str = "embed"
    server: Server = Server()
    twitch: Twitch = Twitch()
    retry: Retry = Retry()
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
    global_webhook: GlobalWebhook = GlobalWebhook()
    streamers: Mapping[str, StreamerEntry] = field(factory=dict)


_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})


def callback_url(config: Config) -> str:
    """
    The callback of our EventSub subscriptions: ``twitch.incoming_webhook_url`` as it is, else ``/twitch`` at
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
