"""
Which ids the configured logins stand for, and which of the configured users Twitch does not have: a login can change,
the id of a user never does.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from attrs import Factory, define, field, frozen
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from itsjustintv.errors import TwitchError, TwitchRejected
from itsjustintv.interfaces import IKeyValues
from itsjustintv.model import Streamer
from itsjustintv.support.backoff import RetryingTask
from itsjustintv.support.periodic_service import PeriodicService
from itsjustintv.support.waiters import Waiters
from itsjustintv.twitch.api.batching import all_of
from itsjustintv.twitch.api.lookups import Lookups

__all__ = ["KIND", "Identities", "Logins", "OnIds", "UnknownLogins", "listed"]

#: The logins that are configured at this moment, in any case; or the ids.
Logins = Callable[[], Sequence[str]]
#: Is told the id of every configured login that is known, whenever something about it has changed.
OnIds = Callable[[Mapping[str, str]], None]

# What is configured: "login" in lower case, or "id".
_Key = tuple[str, str]
_Find = Callable[[str], Coroutine[Deferred[Any], Any, None]]

#: What ids are kept as, in :class:`~itsjustintv.interfaces.IKeyValues`: by lower-case login.
KIND = "user_id"

_AT_ONCE = 100
_BAD_REQUEST = 400

# What can be kept, and comes back as it was.
_LARGEST = 2**63


@define(eq=False)
class Identities(MultiService):
    """
    Finds out the ids, keeps them on disk and follows those who change their login.

    What was kept counts from the start, so that a start without Twitch knows everybody it knew before. While there is
    a user with the kept id, it wins over whoever has the login now.

    :ivar on_ids: returns at once and never raises.
    :ivar ids: the user ids that are configured, which are looked up only to see whether there are such users.
    :ivar fresh_for: seconds after which all of them are looked up again.
    :ivar missing_for: seconds after which those that Twitch does not have are.
    :ivar ends: until when the id of a login that is not configured any more is kept, in seconds since the epoch.
    """

    _directory: Lookups
    _last_known: IKeyValues
    _clock: IReactorTime
    _logins: Logins
    _on_ids: OnIds
    _ids: Logins = lambda: ()
    _fresh_for: float = 86400.0
    _missing_for: float = 600.0
    _ends: Callable[[str], float] = lambda _: 0.0
    _errand: RetryingTask = field(
        default=Factory(
            lambda self: RetryingTask(self._clock, "look up the ids of the streamers", self._round), takes_self=True
        ),
        kw_only=True,
    )
    _known: dict[str, str] = field(factory=dict, init=False)
    _kept: dict[str, str] = field(factory=dict, init=False)
    _recalled: bool = field(default=False, init=False)
    _told: dict[str, str] = field(factory=dict, init=False)
    _checked: set[_Key] = field(factory=set, init=False)
    _said: dict[str, str] = field(factory=dict, init=False)
    _ready: bool = field(default=False, init=False)
    _waiting: Waiters[None] = field(factory=Waiters, init=False)
    _absent: dict[_Key, str] = field(factory=dict, init=False)
    _by_id: frozenset[str] = field(default=frozenset(), init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        super().__init__()
        PeriodicService(
            self._clock, self._fresh_for, "look up the ids of the streamers again", self._look_again, now=False
        ).setServiceParent(self)
        PeriodicService(
            self._clock,
            self._missing_for,
            "look for streamers that were not found",
            self._look_for_the_absent,
            now=False,
        ).setServiceParent(self)

    def startService(self) -> None:
        """
        Take up what was kept, and look everybody up.
        """
        super().startService()
        self._errand.go()

    def stopService(self) -> None:
        """
        Look up nothing more.
        """
        super().stopService()
        self._errand.stop()

    def known(self) -> Mapping[str, str]:
        """
        The id of every configured login, in lower case, that is known, and of those removed a short while ago.
        """
        return dict(self._known)

    def whenReady(self) -> Deferred[None]:
        """
        Wait until Twitch has been asked for every login once. Can be cancelled, which ends nothing but the wait.
        """
        return succeed(None) if self._ready else self._waiting.wait()

    def refresh(self) -> None:
        """
        Look up what is not known yet: the configuration has changed.
        """
        if self.running:
            self._errand.go()

    def problem(self) -> str | None:
        """
        Why somebody may be unknown, or ``None``.
        """
        return self._errand.problem()

    def absence(self, login: str, user_id: str) -> str | None:
        """
        Why Twitch has no user for a streamer, as Twitch said the last time it was asked; ``None`` while it has one, or
        has not said.

        :param login: in lower case.
        :param user_id: as configured, or as found out; empty while it is not known.
        """
        key: _Key = ("id", user_id) if user_id in self._by_id else ("login", login)
        return self._absent.get(key)

    def any_absent(self) -> bool:
        """
        Whether there is a streamer for whom :meth:`absence` has a reason.
        """
        return bool(self._absent)

    def certain(self) -> bool:
        """
        Whether everybody who is configured is known, or known not to exist.
        """
        everybody = (login.lower() for login in self._logins())
        return self.problem() is None and all(login in self._told or login in self._said for login in everybody)

    def _look_again(self) -> None:
        self._checked.clear()
        self._errand.go()

    def _look_for_the_absent(self) -> None:
        if self._absent:
            self._errand.go()

    async def _round(self) -> None:
        """
        Look up everybody who has not been.

        :raises TwitchError: not everybody was looked up.
        :raises JournalUnavailable: what was found is used, but not kept yet; or nothing could be begun.
        """
        await self._recall()
        wanted = list(dict.fromkeys(login.lower() for login in self._logins()))
        ids = list(dict.fromkeys(self._ids()))
        self._by_id = frozenset(ids)
        keys: set[_Key] = {*(("login", each) for each in wanted), *(("id", each) for each in ids)}
        now = self._clock.seconds()
        for login in self._said.keys() - wanted:
            del self._said[login]
        for login in self._known.keys() - wanted:
            if self._ends(login) <= now:
                del self._known[login]
        for key in self._absent.keys() - keys:
            del self._absent[key]
        self._checked.intersection_update(keys)
        self._tell()
        problem: TwitchError | None = None
        try:
            await self._look_up(self._find, [each for each in wanted if ("login", each) not in self._checked])
        except TwitchError as error:
            problem = error
        self._tell()
        if problem is None:
            self._ready = True
            self._waiting.answer(None)
        await self._keep()
        if problem is not None:
            raise problem
        # Nothing waits for these: who is configured by id is subscribed to whether Twitch says who it is or not.
        await self._look_up(self._find_id, [each for each in ids if ("id", each) not in self._checked])

    async def _recall(self) -> None:
        if not self._recalled:
            found = await self._last_known.recall_all(KIND)
            self._kept = {login: str(user_id) for login, (user_id, _) in found.items()}
            self._known = dict(self._kept)
            self._recalled = True

    @staticmethod
    async def _look_up(find: _Find, names: Sequence[str]) -> None:
        """
        Look up some, a full call at a time. A call that Twitch finds fault with does not stop the others.
        """
        fault: TwitchRejected | None = None
        for start in range(0, len(names), _AT_ONCE):
            try:
                await all_of(Deferred.fromCoroutine(find(each)) for each in names[start : start + _AT_ONCE])
            except TwitchRejected as error:
                if error.status != _BAD_REQUEST:
                    raise
                fault = error
        if fault is not None:
            raise fault

    async def _find(self, login: str) -> None:
        kept = self._known.get(login)
        if kept is not None and await self._still(login, kept):
            self._present(("login", login))
            return
        user = await self._directory.user_by_login(login)
        if user is not None and user.id:
            self._known[login] = user.id
            self._present(("login", login))
            if kept in (None, user.id):
                self._said.pop(login, None)
            else:
                self._say(login, "the user {kept} who was {login} is gone; somebody else is called that now", kept=kept)
        elif kept is None:
            self._absent["login", login] = f"no such user at Twitch: {login}"
            self._say(
                login,
                "twitch has no user called {login}: nothing is announced for this streamer; correct the login in the"
                " configuration",
            )
        else:
            self._absent["login", login] = f"closed or suspended: Twitch does not have {login}, user {kept}, any more"
            self._say(
                login,
                "twitch does not know {login} any more, neither by that name nor as user {kept}: the channel is closed"
                " or suspended; should it come back, it is known by its id",
                kept=kept,
            )

    async def _find_id(self, user_id: str) -> None:
        key: _Key = ("id", user_id)
        if await self._directory.user(user_id) is not None:
            self._present(key)
        elif key not in self._absent:
            self._absent[key] = f"no such user at Twitch: id {user_id} is wrong, or the channel is closed or suspended"
            self.log.warn(
                "twitch has no user with the id {user_id}: nothing is announced for this streamer; correct user_id in"
                " the configuration, unless the channel is closed or suspended for a while",
                user_id=user_id,
            )

    def _present(self, key: _Key) -> None:
        self._checked.add(key)
        if self._absent.pop(key, None) is not None:
            self.log.info("twitch has the user {name} now", name=key[1])

    async def _still(self, login: str, user_id: str) -> bool:
        """
        Whether there is a user with this id, whatever the login has become.
        """
        user = await self._directory.user(user_id)
        if user is None:
            return False
        if user.login.lower() == login:
            self._said.pop(login, None)
        else:
            self._say(
                login,
                '{login} is called {name} now and is followed by id: set login = "{name}", or user_id = "{kept}", in'
                " the configuration",
                name=user.login,
                kept=user_id,
            )
        return True

    def _say(self, login: str, sentence: str, **fields: Any) -> None:
        """
        Warn of something about a login, once for as long as it is so.
        """
        said = sentence.format(login=login, **fields)
        if self._said.get(login) != said:
            self._said[login] = said
            self.log.warn(sentence, login=login, **fields)

    def _tell(self) -> None:
        if self._told != self._known:
            self._told = dict(self._known)
            self._on_ids(dict(self._known))

    async def _keep(self) -> None:
        """
        Make what is on disk what is known.
        """
        known = {login: user_id for login, user_id in self._known.items() if _keepable(user_id)}
        changed = {login: int(each) for login, each in known.items() if self._kept.get(login) != each}
        if changed:
            await self._last_known.remember_all(KIND, changed, self._clock.seconds())
        gone = [login for login in self._kept if login not in known]
        if gone:
            await self._last_known.forget(KIND, gone)
        self._kept = known


def _keepable(user_id: str) -> bool:
    return user_id.isascii() and user_id.isdigit() and user_id[0] != "0" and int(user_id) < _LARGEST


# As many are named in a text.
_NAMED = 3


@frozen
class UnknownLogins:
    """
    Tells it by the table of the configuration.

    :ivar streamers: all who are configured now.
    """

    _identities: Identities
    _streamers: Callable[[], Sequence[Streamer]]

    def reason(self, streamer: Streamer) -> str | None:
        """
        Why Twitch has no user for a streamer; ``None`` while it has one, or has not said.
        """
        return self._identities.absence(streamer.login, streamer.user_id)

    def everyone(self) -> Mapping[str, str]:
        """
        The reasons by key: misspelt logins, ids that are wrong, channels that are closed or suspended.
        """
        if not self._identities.any_absent():
            return {}
        return {each.key: reason for each in self._streamers() if (reason := self.reason(each))}

    def logins(self) -> Mapping[str, str]:
        """
        The reasons of those for whom nothing can be subscribed to, since there never was an id.
        """
        if not self._identities.any_absent():
            return {}
        return {each.key: reason for each in self._streamers() if not each.user_id and (reason := self.reason(each))}

    def problem(self) -> str | None:
        """
        Who is not announced for that reason, or ``None``.
        """
        absent = self.everyone()
        if not absent:
            return None
        return f"{len(absent)} of {len(self._streamers())} streamers cannot be announced: {listed(absent)}"


def listed(reasons: Mapping[str, str]) -> str:
    """
    Name the first of them with their reasons.
    """
    named = "; ".join(f"streamers.{key}: {reason}" for key, reason in list(reasons.items())[:_NAMED])
    return f"{named}; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else named
