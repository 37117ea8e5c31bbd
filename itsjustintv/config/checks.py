"""
The rules for values, and between values, of a configuration whose types are right.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterator, Mapping
from itertools import chain, count
from operator import attrgetter

from itsjustintv.config.chat_services import find_chat_service
from itsjustintv.config.destination_checks import destination_warnings, destinations_of
from itsjustintv.config.destination_tables import destination_tables, secret_names, settings_class
from itsjustintv.config.hosts import address, authority, host_and_port, is_address, is_loopback, listen
from itsjustintv.config.keys import Keys, dotted, leaves
from itsjustintv.config.lint import describe, edge_mistakes, mistakes, path_mistakes
from itsjustintv.config.locations import is_path
from itsjustintv.config.parse_state import ConfigProblem, ParseState
from itsjustintv.config.secrets import SECRETS
from itsjustintv.config.sections import CONDUIT, WEBHOOK, Admin, Config, Server, StreamerEntry
from itsjustintv.config.tls import TLS_RULES, check_tls, not_txacme, tls_warnings
from itsjustintv.config.urls import base_url, host_url, receiver_url, websocket_url
from itsjustintv.config.values import (
    LOG_LEVELS,
    Rule,
    above,
    absolute,
    between,
    broadcast_types,
    eventsub_secret,
    file_name,
    hashing,
    header,
    log_levels,
    login,
    networks,
    one_of,
    optional,
    token,
    user_id,
    visible,
    waits,
)
from itsjustintv.support.egress import EgressPolicy
from itsjustintv.support.http_url import HttpUrl, after_host
from itsjustintv.support.signatures import SIGNERS

__all__ = ["check_admin", "check_rules", "check_values", "config_warnings", "value_warnings"]

# So many random characters cannot be guessed over a network.
_SHORTEST_TOKEN = 16

_SIGNATURES = one_of(*SIGNERS)

_RULES: Mapping[str, Rule] = {
    "image": one_of("embed", "url"),
    "server.listen_addr": not_txacme(optional(address)),
    "server.port": between(1, 65535),
    "server.external_domain": optional(authority),
    "server.trusted_proxies": networks,
    **{f"server.tls.{key}": rule for key, rule in TLS_RULES.items()},
    "twitch.client_id": optional(visible),
    "twitch.webhook_secret": optional(eventsub_secret),
    "twitch.token_file": file_name,
    "twitch.incoming_webhook_url": optional(host_url),
    "twitch.transport": one_of(WEBHOOK, CONDUIT),
    "twitch.conduit.shards": between(1, 10),
    "twitch.conduit.keepalive": between(10, 600),
    "twitch.conduit.websocket_url": websocket_url,
    "twitch.conduit.state_file": file_name,
    "twitch.api_url": base_url,
    "twitch.auth_url": base_url,
    "retry.max_attempts": between(0),
    "retry.initial_delay": above(0),
    "retry.backoff_factor": between(1),
    "retry.jitter": between(0, 1),
    "retry.max_age": above(0),
    "retry.concurrency": between(1),
    "retry.timeout": above(0),
    "retry.state_file": file_name,
    "egress.allow": networks,
    "reload.grace": between(0, 30 * 86400),
    "output.file_path": file_name,
    "output.max_lines": between(1),
    "telemetry.endpoint": optional(host_url),
    "admin.listen": listen('"127.0.0.1:8081" or "[::1]:8081"'),
    "admin.token": optional(token(_SHORTEST_TOKEN)),
    "logging.level": one_of(*LOG_LEVELS),
    "logging.format": one_of("auto", "json", "text"),
    "logging.levels": log_levels,
    "cache.ttl": above(0),
    "cache.image_ttl": above(0),
    "cache.file_path": file_name,
    "cache.image_dir": file_name,
    "storage.path": file_name,
    "storage.base": optional(absolute),
    "enrich.timeout": above(0),
    "catch_up.max_age": above(0),
    "filter.on_error": one_of("send", "hold"),
    "filter.types": broadcast_types,
    "broadcast.reconnect_window": between(0, 86400),
    "broadcast.settle": between(0, 3600),
    "broadcast.refresh_preview": waits(3600.0),
    "broadcast.refresh_recording": waits(86400.0),
    "global_webhook.url": optional(receiver_url),
    "global_webhook.target_webhook_header": optional(header),
    "global_webhook.target_webhook_hashing": optional(hashing),
    "global_webhook.target_webhook_signature": optional(_SIGNATURES),
}

_STREAMER_RULES: Mapping[str, Rule] = {
    "user_id": optional(user_id),
    "login": optional(login),
    "types": broadcast_types,
    "target_webhook_url": optional(receiver_url),
    "target_webhook_header": optional(header),
    "target_webhook_hashing": optional(hashing),
    "target_webhook_signature": optional(_SIGNATURES),
}

# In the place of a part of a URL: <token>, {token}, ...
_LEFT_OPEN = re.compile(r"<[^<>]*>|\{[^{}]*\}|(?:^|[/=])(?:\.{3,}|\u2026)(?:$|[/&?])")

_PLACEHOLDER = "holds a placeholder after its host: replace it with the real value"

_LONGEST_TAG = 25

_KEYS = [leaf.keys for leaf in leaves()]
_STREAMER_KEYS = [leaf.keys[-1] for leaf in leaves(StreamerEntry)]

_CLIENT_SECRET = ("twitch", "client_secret")

# Secrets, and what Twitch or an authority has made up.
_EXACT = frozenset(keys[-1] for keys in SECRETS) | {"client_id", "eab_kid"}


def check_values(config: Config) -> Iterator[ConfigProblem]:
    """
    Check each value by its rule.
    """
    yield from _apply(_RULES, config)
    for name, entry in config.streamers.items():
        yield from _apply(_STREAMER_RULES, entry, f"{dotted(('streamers', name))}.")


def check_rules(config: Config, wrong: Collection[str] = ()) -> Iterator[ConfigProblem]:
    """
    Check the rules between values, and that required values are given.

    :param wrong: keys whose values could not be read.
    """
    by_webhook = config.twitch.transport != CONDUIT
    for key in ("client_id", "client_secret", *(("webhook_secret",) if by_webhook else ())):
        if not getattr(config.twitch, key):
            variable = f"ITSJUSTINTV_TWITCH_{key}".upper()
            message = f"must be given, here or in the environment as {variable}"
            involved = (f"twitch.{key}_file", *(("twitch.transport",) if key == "webhook_secret" else ()))
            yield ConfigProblem(f"twitch.{key}", message, involved)
    yield from check_tls(config.server)
    yield from check_admin(config.admin, config.server)
    if config.server.proxy_protocol and not config.server.trusted_proxies:
        message = "requires server.trusted_proxies: only a trusted proxy may send the header"
        yield ConfigProblem("server.proxy_protocol", message, ("server.trusted_proxies",))
    if config.retry.max_delay < config.retry.initial_delay:
        yield ConfigProblem("retry.max_delay", "must not be below retry.initial_delay", ("retry.initial_delay",))
    webhook = config.global_webhook
    if webhook.enabled:
        if not webhook.url:
            yield ConfigProblem("global_webhook.url", "must be given when it is enabled", ("global_webhook.enabled",))
        yield from _signing("global_webhook", webhook.target_webhook_signature, webhook.target_webhook_secret)
    yield from _streamers(config, wrong)


def value_warnings(config: Config, state: ParseState) -> Iterator[ConfigProblem]:
    """
    Find probable mistakes in single values, also in an invalid configuration.

    :param state: knows where values come from.
    """
    wrong = state.wrong
    for finding in (*_accidents(config, state), *_addresses(config, state)):
        if finding.path not in wrong:
            yield finding


def config_warnings(config: Config, state: ParseState) -> Iterator[ConfigProblem]:
    """
    Find everything that is valid but probably wrong.

    :param state: knows where values come from.
    """
    yield from value_warnings(config, state)
    yield from tls_warnings(config.server)
    yield from _conduit_warnings(config)
    yield from destination_warnings(config)
    if any(each.endswith("/0") for each in config.server.trusted_proxies):
        yield ConfigProblem("server.trusted_proxies", "trusts every client: each can claim any address")
    if any(each.endswith("/0") for each in config.egress.allow):
        yield ConfigProblem("egress.allow", "allows every address, also those that give out a cloud machine's secrets")
    if config.catch_up.enabled and config.catch_up.max_age > config.cache.ttl:
        yield ConfigProblem(
            "catch_up.max_age",
            "is limited to cache.ttl: after that a broadcast is forgotten, and would be announced twice",
        )


def _conduit_warnings(config: Config) -> Iterator[ConfigProblem]:
    if config.twitch.transport != CONDUIT:
        return
    if config.twitch.conduit.shards == 1:
        yield ConfigProblem(
            "twitch.conduit.shards",
            "is 1: while that connection is broken, Twitch has no other one to send to; use 2",
            ("twitch.transport",),
        )
    if not config.catch_up.enabled:
        yield ConfigProblem(
            "catch_up.enabled",
            "is false: broadcasts that begin while a connection is broken are never announced, since Twitch sends a"
            " message through a conduit once",
            ("twitch.transport",),
        )


def _accidents(config: Config, state: ParseState) -> Iterator[ConfigProblem]:
    """
    Find probable mistakes in strings. Secrets and ids get more checks, since a mistake in them cannot be seen. Most
    strings are fine, so keys are formatted for problems only.
    """
    for keys in _KEYS:
        yield from _accident(keys, state.get(keys), state)
    for name in config.streamers:
        table = state.get(("streamers", name))
        given = table if isinstance(table, dict) else {}
        for key in _STREAMER_KEYS:
            if value := given.get(key):
                yield from _accident(("streamers", name, key), value, state)
    for table in destination_tables(state):
        exact = secret_names(settings_class(table.kind))
        about: dict[Keys, object] = {(key,): value for key, value in table.values.items() if key != "messages"}
        if isinstance(condition := table.values.get("filter"), dict):
            about |= {("filter", key): value for key, value in condition.items()}
        for below, value in about.items():
            yield from _accident((*table.keys, *below), value, state, exact=below[-1] in exact)


def _tags(tags: list[object]) -> Iterator[str]:
    """
    Find tags that no broadcast has (dev.twitch.tv, "Modify Channel Information": 25 characters at most, no spaces, no
    special characters).
    """
    never = "never matches: no tag of Twitch"
    for number, tag in enumerate(tags, 1):
        inner = tag.strip() if isinstance(tag, str) else ""
        if " " in inner or inner.startswith("#"):
            yield f"number {number} {never} holds {'#' if '#' in inner else 'a space'}"
        elif len(inner) > _LONGEST_TAG:
            yield f"number {number} {never} has more than {_LONGEST_TAG} characters"


def _accident(keys: Keys, value: object, state: ParseState, *, exact: bool = False) -> Iterator[ConfigProblem]:
    if isinstance(value, list):
        for number, each in enumerate(value, 1):
            for sentence in edge_mistakes(each) if isinstance(each, str) else ():
                yield ConfigProblem(dotted(keys), f"number {number} {sentence}")
        if keys[-1] == "tag_filter":
            for sentence in _tags(value):
                yield ConfigProblem(dotted(keys), sentence)
    elif isinstance(value, str) and value:
        rule = mistakes if exact or keys[-1] in _EXACT else path_mistakes if is_path(keys[-1]) else edge_mistakes
        sentences = [*rule(value)]
        if keys == _CLIENT_SECRET and not sentences and not value.isascii():
            odd = describe(dict.fromkeys(c for c in value if not c.isascii()))
            sentences = [f"holds {odd}, but Twitch issues ASCII letters and digits only: copy it again"]
        for sentence in sentences:
            path = dotted(keys)
            file = state.files.get(path)
            where = f"{file!r}, without the one newline that may end it, " if file else ""
            yield ConfigProblem(path, where + sentence)


def _addresses(config: Config, state: ParseState) -> Iterator[ConfigProblem]:
    webhook = config.global_webhook
    urls: list[tuple[Keys, str]] = [(("global_webhook", "url"), webhook.url if webhook.enabled else "")]
    for name, entry in config.streamers.items():
        urls.append((("streamers", name, "target_webhook_url"), entry.target_webhook_url))
    names: dict[str, str] = {}
    for keys, url in urls:
        if service := find_chat_service(url):
            lines: tuple[str, ...] = ()
            if can_move := service.kind in state.kinds:
                if url not in names:
                    names[url] = _free_name(service.kind, {*config.destinations, *names.values()})
                lines = service.lines(names[url], dotted(keys[:-1]) if keys[0] == "streamers" else None)
            yield ConfigProblem(dotted(keys), service.advice(can_move=can_move), lines=lines)
        if _LEFT_OPEN.search(after_host(url)):
            yield ConfigProblem(dotted(keys), _PLACEHOLDER)
        yield from (ConfigProblem(dotted(keys), sentence) for sentence in _refused(config, url))
    for name, destination in config.destinations.items():
        for key in secret_names(destination.settings.__class__):
            url = getattr(destination.settings, key)
            if url.startswith("http") and _LEFT_OPEN.search(after_host(url)):
                yield ConfigProblem(dotted(("destinations", name, key)), _PLACEHOLDER)
            if (service := find_chat_service(url)) and (sentence := service.misplaced(destination.type)):
                yield ConfigProblem(dotted(("destinations", name, key)), sentence)
            for sentence in _refused(config, url):
                yield ConfigProblem(dotted(("destinations", name, key)), sentence)


def _refused(config: Config, url: str) -> Iterator[str]:
    """
    Find an address to which no connection will be made. What a name resolves to shows when it is resolved.
    """
    try:
        host = HttpUrl.parse(url).host
        refused = is_address(host) and EgressPolicy.of(config.egress.allow).refuses(host)
    except ValueError:
        # The URL or a network is wrong, which is reported elsewhere.
        return
    if refused:
        yield f"has the address {host}, which is refused (egress): add it to egress.allow if that is meant"


def _free_name(wanted: str, taken: Container[str]) -> str:
    """
    Find a name for a new destination.
    """
    return next(name for name in chain([wanted], (f"{wanted}-{number}" for number in count(2))) if name not in taken)


def _apply(rules: Mapping[str, Rule], section: object, above: str = "") -> Iterator[ConfigProblem]:
    for path, rule in rules.items():
        for message in rule(attrgetter(path)(section)):
            yield ConfigProblem(above + path, message)


def _signing(above: str, signature: str, secret: str) -> Iterator[ConfigProblem]:
    try:
        for signer in SIGNERS.get(signature, ()):
            signer.check(secret)
    except ValueError as error:
        yield ConfigProblem(
            f"{above}.target_webhook_secret",
            f'{error}, since target_webhook_signature is "{signature}"',
            (f"{above}.target_webhook_signature", f"{above}.target_webhook_secret_file"),
        )


def _streamers(config: Config, wrong: Collection[str]) -> Iterator[ConfigProblem]:
    seen: dict[tuple[str, str], str] = {}
    # What is wrong with a destination may be why it is not the default.
    unknown = any(path.startswith("destinations.") for path in wrong)
    for name, entry in config.streamers.items():
        above = dotted(("streamers", name))
        if not name:
            yield ConfigProblem(above, "must have a name")
        elif not name.isprintable():
            odd = describe(dict.fromkeys(c for c in name if not c.isprintable()))
            yield ConfigProblem(above, f"must have a name that can be printed, and holds {odd}")
        if not entry.user_id and not entry.login:
            yield ConfigProblem(above, "must have a user_id or a login", (f"{above}.user_id", f"{above}.login"))
        if entry.target_webhook_url or f"{above}.target_webhook_url" in wrong:
            yield from _signing(above, entry.target_webhook_signature, entry.target_webhook_secret)
        elif not entry.destinations and not destinations_of(config, entry) and not unknown:
            yield ConfigProblem(
                above,
                "has no destination: set its target_webhook_url or its destinations, make a destination the default, or"
                " enable global_webhook",
                (f"{above}.target_webhook_url", f"{above}.destinations", "global_webhook.enabled"),
            )
        told = {above}
        for key, value in (("user_id", entry.user_id), ("login", entry.login.lower())):
            first = seen.setdefault((key, value), above) if value else above
            if first not in told:
                told.add(first)
                yield ConfigProblem(f"{above}.{key}", f"is the same broadcaster as {first}; keep one entry")


def check_admin(admin: Admin, server: Server) -> Iterator[ConfigProblem]:
    """
    Check the rules between the keys of ``[admin]``.
    """
    place = host_and_port(admin.listen)
    if not admin.enabled or place is None:
        return
    if not admin.token and not is_loopback(place[0]):
        yield ConfigProblem(
            "admin.token",
            "must be given unless admin.listen is a loopback address such as 127.0.0.1: otherwise"
            " anyone who reaches the"
            " port could cancel deliveries; create one with openssl rand -hex 32",
            ("admin.enabled", "admin.listen", "admin.token_file"),
        )
    if place == (server.listen_addr, server.port):
        yield ConfigProblem(
            "admin.listen",
            "must not be the address of server.port: use another port",
            ("server.listen_addr", "server.port"),
        )
