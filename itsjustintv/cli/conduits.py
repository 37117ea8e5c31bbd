"""
``itsjustintv conduits``: lists the conduits at Twitch, and deletes one, whether or not the daemon runs.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import click
from attrs import frozen

from itsjustintv.cli.console import (
    config_option,
    echo,
    examples,
    in_reactor,
    interruptible,
    json_option,
    load_config,
    table,
    write_json,
)
from itsjustintv.cli.twitch_session import make_helix, remembered_conduit
from itsjustintv.config.sections import CONDUIT
from itsjustintv.support.counts import count
from itsjustintv.support.nearest import EMPTY, did_you_mean
from itsjustintv.twitch.api.helix import Helix
from itsjustintv.twitch.eventsub.conduits_api import (
    MAX_CONDUITS,
    SHARD_ENABLED,
    Conduit,
    ConduitGone,
    ConduitsAPI,
    Shard,
    current_shards,
)
from itsjustintv.twitch.eventsub.subscriptions_api import SubscriptionsAPI
from itsjustintv.twitch.eventsub.transport import ConduitTransport

__all__ = ["ListedConduit", "conduits"]


@frozen(kw_only=True)
class ListedConduit:
    """
    A conduit with all that is known of it.

    :ivar shards: those that belong to it now.
    :ivar subscriptions: how many there are on it.
    :ivar remembered: whether the daemon of this configuration created it.
    """

    conduit: Conduit
    shards: Sequence[Shard]
    subscriptions: int
    remembered: bool

    @property
    def enabled(self) -> int:
        return sum(1 for each in self.shards if each.status == SHARD_ENABLED)

    def states(self) -> Mapping[str, int]:
        """
        Count the shards in each state; those that Twitch does not list are ``not assigned``.
        """
        found = Counter(each.status or "unknown" for each in self.shards)
        missing = self.conduit.shard_count - len(self.shards)
        return {**found, **({"not assigned": missing} if missing > 0 else {})}

    def public(self) -> Mapping[str, object]:
        """
        All of it as JSON.
        """
        return {
            "id": self.conduit.id,
            "shard_count": self.conduit.shard_count,
            "enabled": self.enabled,
            "shards": [{"id": each.id, "status": each.status, "method": each.method} for each in self.shards],
            "subscriptions": self.subscriptions,
            "remembered": self.remembered,
        }


@click.group(
    short_help="List and delete conduits.",
    epilog=examples("conduits list", "conduits delete ID", "conduits list --json"),
)
def conduits() -> None:
    """
    List the conduits of the application at Twitch, and delete those that are not needed. A client id can have five.
    """


@conduits.command("list", epilog=examples("conduits list", "conduits list --json"))
@config_option
@json_option
def list_conduits(config: str | None, as_json: bool) -> None:
    """
    List every conduit of the application, also those of other programs, with its shards and subscriptions.
    """
    settings = load_config(config)
    remembered = remembered_conduit(settings.config)
    known = "" if remembered is None else remembered.conduit_id

    async def work(reactor: Any) -> Sequence[ListedConduit]:
        return await _list(make_helix(reactor, settings.config.twitch), known)

    found = in_reactor(work)
    gone = bool(known) and not any(each.remembered for each in found)
    if as_json:
        listed = [each.public() for each in found]
        write_json({"conduits": listed, "remembered": known or None, "max_conduits": MAX_CONDUITS})
        return
    if found:
        rows = [("ID", "ENABLED SHARDS", "STATES", "SUBSCRIPTIONS", "REMEMBERED")]
        rows += [
            (
                each.conduit.id,
                f"{each.enabled} of {each.conduit.shard_count}",
                ", ".join(f"{number} {state}" for state, number in each.states().items()),
                f"{each.subscriptions:>13}",
                "by this daemon" if each.remembered else "",
            )
            for each in found
        ]
        table(rows)
        click.echo()
    if gone:
        text = f"Warning: Twitch no longer has the remembered conduit {known}: the daemon creates another one"
        echo(text, "doubtful", err=True)
    echo(f"{count(len(found), 'conduit')} of {MAX_CONDUITS} that a client id can have")


@conduits.command(epilog=examples("conduits delete ID", "conduits delete ID --yes"))
@config_option
@click.argument("conduit_id", metavar="ID")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Delete it even if the daemon of this configuration uses it.")
def delete(config: str | None, conduit_id: str, yes: bool, force: bool) -> None:
    """
    Delete a conduit and its subscriptions. Refuses the one that the daemon of this configuration uses.
    """
    settings = load_config(config)
    remembered = remembered_conduit(settings.config)
    used = remembered is not None and remembered.conduit_id == conduit_id
    if used and settings.config.twitch.transport == CONDUIT and not force:
        raise click.ClickException(
            f"the daemon of this configuration uses {conduit_id}: if you delete it with --force, a running daemon"
            " creates another conduit and all subscriptions anew, and until then hears of no broadcast"
        )
    if not yes and not _has_terminal():
        raise click.UsageError("--yes: required without a terminal")

    async def find(reactor: Any) -> ListedConduit:
        helix = make_helix(reactor, settings.config.twitch)
        found = await _list(helix, "" if remembered is None else remembered.conduit_id)
        for each in found:
            if each.conduit.id == conduit_id:
                if yes or _confirm(each):
                    await ConduitsAPI(helix).delete(conduit_id)
                    return each
                raise click.ClickException("nothing was deleted")
        suggestion = did_you_mean(conduit_id, [each.conduit.id for each in found])
        raise click.ClickException(f"the application has no conduit {conduit_id or EMPTY}{suggestion}")

    gone = in_reactor(find, "interrupted; the conduit may have been deleted")
    echo(f"deleted {conduit_id} and {count(gone.subscriptions, 'subscription')}")


def _has_terminal() -> bool:
    return sys.stdin.isatty()


def _confirm(found: ListedConduit) -> bool:
    """
    Ask whether to delete a conduit.
    """
    shards = count(found.enabled, "enabled shard")
    subscriptions = count(found.subscriptions, "subscription")
    with interruptible("interrupted; nothing was deleted"):
        return click.confirm(f"It has {shards} and {subscriptions}. Delete it?")


async def _list(helix: Helix, remembered: str) -> Sequence[ListedConduit]:
    """
    Ask Twitch for all conduits, their shards, and the subscriptions on each.

    :raises TwitchError: one of these is not available.
    """
    api = ConduitsAPI(helix)
    found = await api.list()
    listing = await SubscriptionsAPI(helix).list()
    counts = Counter(
        each.transport.conduit_id for each in listing.subscriptions if isinstance(each.transport, ConduitTransport)
    )
    return [
        ListedConduit(
            conduit=each,
            shards=await _shards(api, each),
            subscriptions=counts[each.id],
            remembered=each.id == remembered,
        )
        for each in found
    ]


async def _shards(api: ConduitsAPI, conduit: Conduit) -> Sequence[Shard]:
    """
    Fetch the shards of a conduit; none if it was deleted meanwhile.
    """
    try:
        return current_shards(conduit, await api.shards(conduit.id))
    except ConduitGone:
        return ()
