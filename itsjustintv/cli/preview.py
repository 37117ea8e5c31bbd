"""
``itsjustintv preview``: shows what would be sent for a streamer now.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import click
from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from itsjustintv.cli.console import (
    complete_destination,
    complete_streamer,
    config_option,
    echo,
    examples,
    in_reactor,
    json_option,
    load_config,
    write_json,
)
from itsjustintv.cli.names import NearChoice, configured, streamer_names
from itsjustintv.cli.twitch_session import open_session
from itsjustintv.config.destination_tables import EVENTS
from itsjustintv.config.load import Loaded
from itsjustintv.config.sections import Config
from itsjustintv.delivery.post_policy import wants_previews, wants_recordings
from itsjustintv.delivery.sample_notice import SampleNotice, action_for
from itsjustintv.destinations.message_samples import SAMPLES
from itsjustintv.destinations.request_preview import RequestPreview
from itsjustintv.errors import TwitchError
from itsjustintv.filters import FilterResult, apply_filter, apply_tag_filter, unwanted_hour
from itsjustintv.model import Action, Destination, Picture, Streamer, rfc3339
from itsjustintv.routing import Routes
from itsjustintv.support.durations import duration
from itsjustintv.support.nearest import EMPTY, did_you_mean
from itsjustintv.twitch.enrich import TwitchEnricher

__all__ = ["preview"]

# Seconds for Twitch to answer.
_TIMEOUT = 5.0

_ANYWHERE = Destination(name="", url="")

_DONE = {
    Action.CREATE: "would be posted",
    Action.EDIT: "the post would become",
    Action.DELETE: "the post would be deleted",
    Action.FOLLOW_UP: "would be posted besides",
}


@frozen
class _About:
    """
    What is known of a streamer.

    :ivar source: where that comes from, as a sentence.
    """

    sample: SampleNotice
    source: str


@click.command(
    short_help="Show what would be sent for a streamer now.",
    epilog=examples(
        "preview tanuki",
        "preview tanuki --destination main --event offline",
        "preview tanuki --destination main --json",
    ),
)
@config_option
@click.argument("streamer", shell_complete=complete_streamer)
@click.option(
    "--destination", metavar="NAME", shell_complete=complete_destination, help="Only what this destination gets."
)
@click.option("--event", type=NearChoice(EVENTS), default="online", show_default=True, help="What happens.")
@json_option
def preview(config: str | None, streamer: str, destination: str | None, event: str, as_json: bool) -> None:
    """
    Show what STREAMER's destinations would get now, with the configured texts and the present details from Twitch.
    Sends nothing. Without an answer from Twitch, the details are samples.
    """
    settings = load_config(config)
    routes = Routes.of(settings.config)
    found = configured(routes, streamer)
    if found is None:
        suggestion = did_you_mean(streamer, streamer_names(routes))
        raise click.ClickException(f"no streamer {streamer or EMPTY} in the configuration{suggestion}")
    names = found.destinations if destination is None else (destination,)
    wrong = next((each for each in names if each not in found.destinations), None)
    if wrong is not None:
        suggestion = did_you_mean(wrong, found.destinations)
        raise click.ClickException(f"{found.key} has no destination {wrong or EMPTY}{suggestion}")
    if not names:
        raise click.ClickException(f"{found.key} has no destination: nothing would be sent")
    about = in_reactor(lambda reactor: _find(reactor, settings, found))
    places = [each for name in names if (each := routes.destination(name, found.key)) is not None]
    previews = [(each, _preview(about, each, event), _obstacle(about, each, event)) for each in places]
    if as_json:
        write_json(
            {
                "streamer": found.key,
                "event": event,
                "details": about.source,
                "requests": [
                    {
                        **shown.public(),
                        "not_sent_because": why or None,
                        "refreshed_after": _refreshes(settings.config, each, event),
                    }
                    for each, shown, why in previews
                ],
            }
        )
        return
    echo(about.source, "" if "Twitch says" in about.source else "doubtful")
    for each, shown, why in previews:
        click.echo()
        _tell(shown, why)
        if not why and (times := _refreshes(settings.config, each, event)):
            what, since = ("the recordings", "end") if event == "offline" else ("a newer preview", "start")
            echo(f"  It is refreshed for {what} {' and '.join(map(duration, times))} after the {since}.")


def _refreshes(config: Config, destination: Destination, event: str) -> Sequence[float]:
    """
    How many seconds after the start or the end the post is refreshed.
    """
    if event == "online" and wants_previews(destination):
        return config.broadcast.refresh_preview
    return config.broadcast.refresh_recording if event == "offline" and wants_recordings(destination) else ()


def _preview(about: _About, destination: Destination, event: str) -> RequestPreview:
    action = action_for(event, destination)
    mention = bool(destination.policy.mention) and action in (Action.CREATE, Action.EDIT)
    return RequestPreview.of(about.sample.make(event, destination, action, mention=mention), destination)


def _tell(shown: RequestPreview, why: str) -> None:
    where = f" by {shown.method} to {shown.url}" if shown.method else ""
    pings = "; it notifies those whom mention names" if shown.mention else ""
    echo(f"{shown.destination} ({shown.kind}): {_DONE[shown.action]}{where}{pings}")
    if why:
        echo(f"  not sent now: {why}", "doubtful")
    texts = [*shown.texts()]
    width = min(28, max((len(path) for path, _ in texts), default=0))
    for path, text in texts:
        first, *rest = text.splitlines() or [""]
        echo(f"  {path.ljust(width)}  {first}")
        for line in rest:
            echo(f"  {' ' * width}  {line}")


def _obstacle(about: _About, destination: Destination, event: str) -> str:
    """
    Why nothing would be sent although the event comes; empty when it would.
    """
    policy, sample = destination.policy, about.sample
    if event not in policy.events:
        return f"events of {destination.name} does not list {event}"
    if event == "offline":
        return ""
    notice = sample.make("online", destination, Action.CREATE)
    for result, reason in (
        apply_tag_filter(sample.streamer, sample.enrichment),
        apply_filter(policy.filter, notice.event, sample.enrichment),
    ):
        if result is not FilterResult.SEND:
            return reason
    return unwanted_hour(policy, sample.now) if event == "online" else ""


async def _find(reactor: Any, settings: Loaded, streamer: Streamer) -> _About:
    """
    Ask Twitch about a streamer.
    """
    config = settings.config
    entry = config.streamers[streamer.key]
    with TemporaryDirectory(prefix="itsjustintv-") as folder:
        # A token file written by another user would lock the daemon out of its own.
        twitch = evolve(config.twitch, token_file=str(Path(folder) / "tokens.json"))
        only = evolve(config, twitch=twitch, streamers={streamer.key: entry})
        asking = Deferred.fromCoroutine(_ask(reactor, evolve(settings, config=only), streamer))
        try:
            return await asking.addTimeout(_TIMEOUT, reactor)
        except TwitchError as error:
            return _sampled(reactor, streamer, str(error))
        except DeferredTimeout:
            return _sampled(reactor, streamer, f"no answer within {duration(_TIMEOUT)}")


async def _ask(reactor: Any, settings: Loaded, streamer: Streamer) -> _About:
    session = await open_session(reactor, settings)
    identity = session.routes.streamers[0].user_id
    user = await session.lookups.user(identity) if identity else None
    if user is None:
        return _sampled(reactor, streamer, session.lost.get(streamer.key, "Twitch does not know the streamer"))
    stream = await session.lookups.stream(identity)
    enricher = TwitchEnricher(
        session.lookups, session.lookups.followers, _no_picture, reactor, lambda: _TIMEOUT, lambda: "url", _ignore
    )
    now = reactor.seconds()
    sample = SampleNotice(
        streamer=evolve(streamer, user_id=identity),
        id=f"preview-{token_hex(8)}",
        now=now,
        name=user.name,
        stream_id="0" if stream is None else stream.id,
        started_at=rfc3339(now) if stream is None else stream.started_at,
    )
    # The list of live streams is asked for this one.
    event = sample.make("online", _ANYWHERE, Action.CREATE).event
    details = await enricher.enrich(event, streamer)
    live = "live" if stream is not None else "not live: title and category are those of the channel"
    return _About(evolve(sample, enrichment=details), f"Twitch says that {user.name} is {live}.")


def _sampled(reactor: Any, streamer: Streamer, why: str) -> _About:
    sample = SampleNotice(
        streamer=streamer,
        id=f"preview-{token_hex(8)}",
        now=reactor.seconds(),
        enrichment=SAMPLES[0].notice.enrichment,
    )
    return _About(sample, f"Title, category and pictures are samples, since Twitch cannot be asked: {why}.")


async def _no_picture(_user_id: str, url: str) -> Picture:
    """
    Fetch no picture: its address is enough.
    """
    return Picture(url=url)


def _ignore(_what: str, _reason: str) -> None:
    """
    Count no missing detail.
    """
