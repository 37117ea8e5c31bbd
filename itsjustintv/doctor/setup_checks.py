"""
Checks of the answers given to ``itsjustintv init``. Each returns a sentence that says what is wrong, or "".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import define, evolve, fields
from twisted.internet.defer import execute
from twisted.internet.threads import deferToThreadPool

from itsjustintv.config.destination_tables import (
    DestinationTable,
    make_entry,
    required_keys,
    settings_class,
    table_class,
)
from itsjustintv.config.sections import Config, Twitch
from itsjustintv.destinations.kinds import KINDS
from itsjustintv.doctor.destination_checks import DestinationChecks
from itsjustintv.doctor.findings import Severity
from itsjustintv.errors import TwitchError, TwitchRejected
from itsjustintv.model import Destination
from itsjustintv.routing import Routes
from itsjustintv.support.http_agents import TWITCH, make_agent
from itsjustintv.support.http_client import make_http_client
from itsjustintv.twitch.api.batching import BatchInterval, all_of
from itsjustintv.twitch.api.helix import Helix
from itsjustintv.twitch.api.lookups import Lookups
from itsjustintv.twitch.api.oauth import AppToken
from itsjustintv.twitch.api.rate_limit import RateBucket

__all__ = ["SetupChecks", "make_destination"]


def make_destination(kind: str, values: Mapping[str, str]) -> tuple[Destination | None, str]:
    """
    Make a destination of the values of its keys.

    :return: the destination, or ``None`` and what is wrong with the values.
    """
    row = KINDS[kind]
    table = DestinationTable(("destinations", "main"), row, dict(values), dict(values))
    missing = [key for key in required_keys(settings_class(row)) if not values.get(key)]
    if missing:
        return None, f"{kind} needs {' and '.join(missing)}"
    known = {each.name for each in fields(table_class(row))}
    if unknown := [key for key in values if key not in known]:
        return None, f"{kind} has no such key: {', '.join(unknown)}"
    entry = make_entry(table, table_class(row)(**values))
    for key, sentence in row.check(entry.settings):
        return None, f"{key} {sentence}"
    return Routes.of(Config(destinations={"main": entry})).destinations["main"], ""


@define(eq=False)
class SetupChecks:
    """
    Asks Twitch, name servers and receivers.

    :ivar resolve: resolves a name; may block, and raises ``OSError``.
    """

    _reactor: Any
    _resolve: Callable[[str], Sequence[str]]

    async def credentials(self, twitch: Twitch) -> str:
        """
        Check that Twitch issues a token for these credentials. The token is not stored.
        """
        with TemporaryDirectory(prefix="itsjustintv-") as folder:
            try:
                await self._token(twitch, Path(folder)).get()
            except TwitchRejected:
                return "Twitch rejects this client id and client secret"
            except TwitchError as error:
                return f"cannot check them: {error}"
        return ""

    async def users(self, twitch: Twitch, logins: Sequence[str]) -> Mapping[str, str | None]:
        """
        Look up the user ids of logins.

        :return: by login as given; ``None`` if Twitch has no such user.
        :raises TwitchError: the look-up failed.
        """
        with TemporaryDirectory(prefix="itsjustintv-") as folder:
            token = self._token(twitch, Path(folder))
            bucket = RateBucket(self._reactor)
            helix = Helix(
                make_http_client(make_agent(self._reactor, TWITCH)), lambda: twitch, token, bucket, self._reactor
            )
            directory = Lookups(helix, self._reactor, BatchInterval(bucket, self._reactor))
            users = await all_of(directory.user_by_login(login) for login in logins)
        return {login: None if user is None else user.id for login, user in zip(logins, users, strict=True)}

    async def name(self, domain: str) -> str:
        """
        Check that a name can be resolved.

        :param domain: a host name, perhaps with a port.
        """
        host = domain.partition(":")[0]
        try:
            await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._resolve, host)
        except OSError as error:
            return f"cannot resolve {host}: {error.strerror or error}; add an A record that points to this machine"
        return ""

    async def connection(self, url: str) -> str:
        """
        Check that this machine can connect to Twitch's WebSocket.
        """
        from itsjustintv.doctor.conduit_checks import check_connection  # noqa: PLC0415 - imports its library

        found = await check_connection(self._reactor, url)
        return "" if found.severity is Severity.OK else found.text

    async def receiver(self, destination: Destination) -> str:
        """
        Send a test notification, rendered and signed as real ones are. It stays there.
        """
        sent, *_ = await DestinationChecks(self._reactor).test(destination)
        return "" if sent.attempt.ok else f"the test was not delivered: {sent.attempt.explanation}"

    def _token(self, twitch: Twitch, folder: Path) -> AppToken:
        settings = evolve(twitch, token_file=str(folder / "tokens.json"))
        return AppToken(make_http_client(make_agent(self._reactor, TWITCH)), lambda: settings, self._reactor, execute)
