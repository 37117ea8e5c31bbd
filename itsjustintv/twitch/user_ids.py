"""
The user ids of the configured logins, and which configured users Twitch does not have. A login can change, the id of a
user never does.
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
from itsjustintv.twitch.api.batching import all_of, full_calls
from itsjustintv.twitch.api.lookups import Lookups

__all__ = ["KIND", "Logins", "OnIds", "UnknownLogins", "UserIds", "name_reasons"]

#: The configured logins, in any case; or the configured ids.
Logins = Callable[[], Sequence[str]]
#: Called with the known ids by lower-case login, whenever one has changed. Returns at once, never raises.
OnIds = Callable[[Mapping[str, str]], None]

# What is configured: "login" in lower case, or "id".
_Key = tuple[str, str]
_Find = Callable[[str], Coroutine[Deferred[Any], Any, None]]

#: The kind of ids in :class:`~itsjustintv.interfaces.IKeyValues`: by lower-case login.
KIND = "user_id"

_BAD_REQUEST = 400

# The journal stores numbers below this.
_LARGEST = 2**63


@define(eq=False)
class UserIds(MultiService):
    """
    Looks up the ids, stores them and follows users who change their login.

    Stored ids are used from the start, so that a start without Twitch knows every streamer it knew before. While a user
    with the stored id exists, it counts more than the user who has the login now.

    :ivar ids: the configured user ids, which are looked up only to see whether such users exist.
    :ivar fresh_for: seconds after which every login and id is looked up again.
    :ivar missing_for: seconds after which those that Twitch does not have are.
    :ivar ends: until when the id of a login that is no longer configured is kept, in seconds since the epoch.
    """

    _lookups: Lookups
    _last_known: IKeyValues
    _clock: IReactorTime
    _logins: Logins
    _on_ids: OnIds
    _ids: Logins = lambda: ()
    _fresh_for: float = 86400.0
    _missing_for: float = 600.0
    _ends: Callable[[str], float] = lambda _: 0.0
    _task: RetryingTask = field(
        default=Factory(
            lambda self: RetryingTask(self._clock, "look up the ids of the streamers", self._look_up_all),
            takes_self=True,
        ),
        kw_only=True,
    )
    _known: dict[str, str] = field(factory=dict, init=False)
    _stored: dict[str, str] = field(factory=dict, init=False)
    _loaded: bool = field(default=False, init=False)
    _reported: dict[str, str] = field(factory=dict, init=False)
    _checked: set[_Key] = field(factory=set, init=False)
    _warned: dict[str, str] = field(factory=dict, init=False)
    _ready: bool = field(default=False, init=False)
    _waiters: Waiters[None] = field(factory=Waiters, init=False)
    _absent: dict[_Key, str] = field(factory=dict, init=False)
    _by_id: frozenset[str] = field(default=frozenset(), init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        super().__init__()
        for interval, what, work in (
            (self._fresh_for, "look up the ids of the streamers again", self._refresh_all),
            (self._missing_for, "look up missing users again", self._retry),
        ):
            PeriodicService(self._clock, interval, what, work, now=False).setServiceParent(self)

    def startService(self) -> None:
        super().startService()
        self._task.run()

    def stopService(self) -> Any:
        self._task.stop()
        return super().stopService()

    def known(self) -> Mapping[str, str]:
        """
        The known ids by lower-case login, of configured logins and of those removed a short while ago.
        """
        return dict(self._known)

    def whenReady(self) -> Deferred[None]:
        """
        Wait until Twitch has been asked for every login once. Cancelling it ends only this wait.
        """
        return succeed(None) if self._ready else self._waiters.wait()

    def refresh(self) -> None:
        """
        Look up what is not known yet: the configuration has changed.
        """
        if self.running:
            self._task.run()

    def problem(self) -> str | None:
        """
        Why ids may not be known, or ``None``.
        """
        return self._task.problem()

    def absence(self, login: str, user_id: str) -> str | None:
        """
        Why Twitch has no user for a streamer, as of the last look-up; ``None`` while it has one, or has not answered.

        :param login: in lower case.
        :param user_id: as configured, or as looked up; empty while it is not known.
        """
        key: _Key = ("id", user_id) if user_id in self._by_id else ("login", login)
        return self._absent.get(key)

    def any_absent(self) -> bool:
        """
        Whether there is a streamer for whom :meth:`absence` has a reason.
        """
        return bool(self._absent)

    def all_known(self) -> bool:
        """
        Whether every configured login has an id, or is known not to exist.
        """
        logins = (login.lower() for login in self._logins())
        return self.problem() is None and all(login in self._reported or login in self._warned for login in logins)

    def _refresh_all(self) -> None:
        self._checked.clear()
        self._task.run()

    def _retry(self) -> None:
        if self._absent:
            self._task.run()

    async def _look_up_all(self) -> None:
        """
        Look up every login and id that has not been.

        :raises TwitchError: some were not looked up.
        :raises JournalUnavailable: what was found is used, but not stored yet; or nothing could be loaded.
        """
        await self._load()
        logins = list(dict.fromkeys(login.lower() for login in self._logins()))
        ids = list(dict.fromkeys(self._ids()))
        self._by_id = frozenset(ids)
        self._forget_removed(logins, ids)
        self._report()
        problem: TwitchError | None = None
        try:
            await self._look_up(self._find, [each for each in logins if ("login", each) not in self._checked])
        except TwitchError as error:
            problem = error
        self._report()
        if problem is None:
            self._ready = True
            self._waiters.answer(None)
        await self._store()
        if problem is not None:
            raise problem
        # Nothing waits for these: a streamer with a configured id is subscribed to whatever Twitch says about it.
        await self._look_up(self._find_id, [each for each in ids if ("id", each) not in self._checked])

    async def _load(self) -> None:
        if not self._loaded:
            found = await self._last_known.recall_all(KIND)
            self._stored = {login: str(user_id) for login, (user_id, _) in found.items()}
            self._known = dict(self._stored)
            self._loaded = True

    def _forget_removed(self, logins: Sequence[str], ids: Sequence[str]) -> None:
        """
        Forget what is no longer configured; ids of logins only when their grace period has ended.
        """
        keys: set[_Key] = {*(("login", each) for each in logins), *(("id", each) for each in ids)}
        now = self._clock.seconds()
        for login in self._warned.keys() - logins:
            del self._warned[login]
        for login in self._known.keys() - logins:
            if self._ends(login) <= now:
                del self._known[login]
        for key in self._absent.keys() - keys:
            del self._absent[key]
        self._checked.intersection_update(keys)

    @staticmethod
    async def _look_up(find: _Find, names: Sequence[str]) -> None:
        """
        Look up names, a full call at a time. A call that Twitch rejects does not stop the others.
        """
        fault: TwitchRejected | None = None
        for call in full_calls(names):
            try:
                await all_of(Deferred.fromCoroutine(find(each)) for each in call)
            except TwitchRejected as error:
                if error.status != _BAD_REQUEST:
                    raise
                fault = error
        if fault is not None:
            raise fault

    async def _find(self, login: str) -> None:
        known = self._known.get(login)
        if known is not None and await self._still_exists(login, known):
            self._found(("login", login))
            return
        user = await self._lookups.user_by_login(login)
        if user is not None and user.id:
            self._known[login] = user.id
            self._found(("login", login))
            if known in (None, user.id):
                self._warned.pop(login, None)
            else:
                self._warn(
                    login,
                    "the login {login} now belongs to another user, who is announced; the former user {known} no longer"
                    " exists",
                    known=known,
                )
        elif known is None:
            self._absent["login", login] = f"no such user at Twitch: {login}"
            self._warn(
                login,
                "Twitch has no user with the login {login}: the streamer is not announced; correct login in the"
                " configuration",
            )
        else:
            self._absent["login", login] = f"closed or suspended: Twitch no longer has {login}, user {known}"
            self._warn(
                login,
                "Twitch no longer has {login}, user {known}: the channel is closed or suspended; it is announced again"
                " when it is back",
                known=known,
            )

    async def _find_id(self, user_id: str) -> None:
        key: _Key = ("id", user_id)
        if await self._lookups.user(user_id) is not None:
            self._found(key)
        elif key not in self._absent:
            self._absent[key] = f"no such user at Twitch: id {user_id} is wrong, or the channel is closed or suspended"
            self.log.warn(
                "Twitch has no user with the id {user_id}: the streamer is not announced; correct user_id in the"
                " configuration, unless the channel is suspended for a while",
                user_id=user_id,
            )

    def _found(self, key: _Key) -> None:
        self._checked.add(key)
        if self._absent.pop(key, None) is not None:
            self.log.info("Twitch now has the user {name}", name=key[1])

    async def _still_exists(self, login: str, user_id: str) -> bool:
        """
        Whether there is a user with this id, whatever its login is now.
        """
        user = await self._lookups.user(user_id)
        if user is None:
            return False
        if user.login.lower() == login:
            self._warned.pop(login, None)
        else:
            self._warn(
                login,
                '{login} changed its login to {name} and is still announced, by its id; set login = "{name}" or'
                ' user_id = "{known}" in the configuration',
                name=user.login,
                known=user_id,
            )
        return True

    def _warn(self, login: str, sentence: str, **fields: Any) -> None:
        """
        Log a warning about a login, once for as long as it is true.
        """
        text = sentence.format(login=login, **fields)
        if self._warned.get(login) != text:
            self._warned[login] = text
            self.log.warn(sentence, login=login, **fields)

    def _report(self) -> None:
        if self._reported != self._known:
            self._reported = dict(self._known)
            self._on_ids(dict(self._known))

    async def _store(self) -> None:
        """
        Store new ids, and delete those that are no longer known.
        """
        known = {login: user_id for login, user_id in self._known.items() if _storable(user_id)}
        changed = {login: int(each) for login, each in known.items() if self._stored.get(login) != each}
        if changed:
            await self._last_known.remember_all(KIND, changed, self._clock.seconds())
        gone = [login for login in self._stored if login not in known]
        if gone:
            await self._last_known.forget(KIND, gone)
        self._stored = known


def _storable(user_id: str) -> bool:
    return user_id.isascii() and user_id.isdigit() and user_id[0] != "0" and int(user_id) < _LARGEST


# As many streamers are named in a text.
_NAMED = 3


@frozen
class UnknownLogins:
    """
    The configured streamers that Twitch has no user for, by their keys in the configuration.
    """

    _user_ids: UserIds
    _streamers: Callable[[], Sequence[Streamer]]

    def reason(self, streamer: Streamer) -> str | None:
        """
        Why Twitch has no user for a streamer; ``None`` while it has one, or has not answered.
        """
        return self._user_ids.absence(streamer.login, streamer.user_id)

    def reasons(self) -> Mapping[str, str]:
        """
        The reasons by key: misspelt logins, ids that are wrong, channels that are closed or suspended.
        """
        if not self._user_ids.any_absent():
            return {}
        return {each.key: reason for each in self._streamers() if (reason := self.reason(each))}

    def logins(self) -> Mapping[str, str]:
        """
        The reasons for those whose id was never known, so that there can be no subscription.
        """
        if not self._user_ids.any_absent():
            return {}
        return {each.key: reason for each in self._streamers() if not each.user_id and (reason := self.reason(each))}

    def problem(self) -> str | None:
        """
        Which streamers are not announced, or ``None``.
        """
        absent = self.reasons()
        if not absent:
            return None
        return f"{len(absent)} of {len(self._streamers())} streamers cannot be announced: {name_reasons(absent)}"


def name_reasons(reasons: Mapping[str, str]) -> str:
    """
    Name the first streamers with their reasons.
    """
    named = "; ".join(f"streamers.{key}: {reason}" for key, reason in list(reasons.items())[:_NAMED])
    return f"{named}; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else named
