"""
What will be different for somebody who comes from the original program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from itsjustintv.config.folding_leaves_parse import dotted
from itsjustintv.config.sections import Config
from itsjustintv.folding_routes_routing import Routes
from itsjustintv.support.durations import duration

__all__ = ["Difference", "differences"]

#: What the original did where its configuration says nothing (durations in seconds).
_RETRY: Mapping[str, float] = {"max_attempts": 3, "initial_delay": 1.0, "max_delay": 300.0}


@frozen
class Difference:
    """
    Something that behaves differently.

    :ivar about: the key of the configuration, or what it is about.
    :ivar text: how, why, and what to do to have it as it was, if that can be.
    """

    about: str
    text: str


def differences(tables: Mapping[str, Any], config: Config, environ: Mapping[str, str]) -> Iterator[Difference]:
    """
    List what applies to this configuration.

    :param tables: the original's configuration as it was.
    :param config: as it is understood here.
    """
    yield from _twins(tables)
    yield from _retries(tables, config)
    yield from _deliveries(config)
    yield from _twitch(config, environ)
    yield from _tls(config)
    if config.output.enabled:
        yield Difference(
            "output.file_path",
            "what was delivered after a retry is written, too; the file is replaced as a whole, with mode 0600",
        )
    yield Difference(
        "log",
        "is JSON unless it is on a terminal, with sentences of its own: see docs/operations.md before you search for"
        " the original's",
    )
    yield Difference(
        "command line",
        "version prints more lines after its three; 2 is the status of what is not understood",
    )


def _twins(tables: Mapping[str, Any]) -> Iterator[Difference]:
    streamers = tables.get("streamers")
    seen: dict[tuple[str, str], str] = {}
    for name, entry in streamers.items() if isinstance(streamers, dict) else ():
        for key in ("user_id", "login") if isinstance(entry, dict) else ():
            if value := str(entry.get(key, "")).lower():
                first = seen.setdefault((key, value), name)
                if first != name:
                    yield Difference(
                        dotted(("streamers", name)),
                        f"is the same broadcaster as {first}: the original took one of the two at random each time;"
                        " here there can be only one",
                    )


def _retries(tables: Mapping[str, Any], config: Config) -> Iterator[Difference]:
    section = tables.get("retry")
    said = {key.lower() for key in section} if isinstance(section, dict) else set[str]()
    for key, was in _RETRY.items():
        now = getattr(config.retry, key)
        if key not in said and now != was:
            here = f"is {duration(now)} here" if now else "ends nothing here, retry.max_age does"
            before = duration(was) if now else f"{was:g}"
            yield Difference(
                f"retry.{key}", f"is not set, and {here}; the original's default was {before}: set it to keep that"
            )
    yield Difference(
        "retry.max_age",
        f"news that is older than {duration(config.retry.max_age)} is not sent; the original had no such limit",
    )
    yield Difference(
        "retries",
        "are on disk before Twitch is answered, and survive a crash; each pause varies a little, and Retry-After is"
        " obeyed; what ends undelivered is kept: itsjustintv deliveries list --state undelivered",
    )


def _deliveries(config: Config) -> Iterator[Difference]:
    yield Difference(
        "redirects",
        "are failures: the original took what was behind them for success, though nothing had arrived there; configure"
        " final URLs",
    )
    yield Difference(
        "payload",
        "has the original's fields and, after them, event, id and stream; User-Agent has the real version; the file"
        " type of a picture is said",
    )
    if "all" not in config.filter.types and config.filter.types:
        yield Difference(
            "filter.types",
            "a rerun, playlist, premiere or watch party is not announced: the original announced each as live; set it"
            ' to ["all"] to have it as it was',
        )
    if any(streamer.additional_tags for streamer in Routes.of(config).streamers):
        yield Difference("streamers.*.additional_tags", "a tag that Twitch has as well is in tags once, not twice")


def _twitch(config: Config, environ: Mapping[str, str]) -> Iterator[Difference]:
    yield Difference(
        "/twitch",
        "messages are verified as Twitch signs them, over id, time and body: the original refused the real ones; what"
        " is forged is answered 403 instead of 401, streamers that are not configured 200 instead of 410",
    )
    yield Difference(
        "/health", "is 503 when something is wrong that keeps events from being taken in or sent, and answers HEAD"
    )
    if config.telemetry.enabled:
        yield Difference("telemetry", "metrics and spans have other names: see docs/telemetry.md")
    yield Difference(
        "answers to Twitch",
        "come once an event is on disk, not once it is delivered, so that a slow receiver costs no subscription",
    )
    yield Difference(
        "subscriptions",
        "are replaced when they do not work, and deleted when nobody wants them; others' are left alone",
    )
    if config.catch_up.enabled:
        yield Difference(
            "catch_up.enabled",
            f"what began while nobody listened, {duration(config.catch_up.max_age)} ago at the most, is announced"
            " with recovered = true; set it to false to have it as it was",
        )
    if environ.get("ITSJUSTINTV_SERVER_EXTERNAL_DOMAIN"):
        yield Difference("ITSJUSTINTV_SERVER_EXTERNAL_DOMAIN", "has an effect; the original only promised it")


def _tls(config: Config) -> Iterator[Difference]:
    if config.server.tls.enabled:
        yield Difference(
            "server.tls.cert_dir",
            "the original's certificates are not used: others are ordered at the first start, and renewed in time",
        )
