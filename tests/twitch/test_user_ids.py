"""
Tests of :mod:`itsjustintv.twitch.user_ids`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.model import Streamer
from itsjustintv.twitch.api.lookups import Lookups, User
from itsjustintv.twitch.user_ids import KIND, UnknownLogins, UserIds
from tests.doubles import MemoryLastKnown
from tests.twitch.fake import HANG, NOW, Asked, Reply, World, token

DAY = 86400.0


class IdentitiesCase(SynchronousTestCase):
    """
    A Twitch with a few users, by id, and a configuration with a few logins.
    """

    def setUp(self) -> None:
        self.users = {"1": "alder", "2": "birch", "3": "cedar"}
        self.logins = ["alder", "birch", "cedar"]
        self.ids: list[str] = []
        self.ends: dict[str, float] = {}
        self.last_known = MemoryLastKnown()
        self.begin()

    def begin(self) -> None:
        """
        What a start of the process makes anew.
        """
        self.world = World(Path(self.mktemp()))
        self.clock: Clock = self.world.clock
        self.twitch = self.world.twitch
        self.twitch.usual["/helix/users"] = self.answer
        self.told: list[Mapping[str, str]] = []
        self.user_ids = UserIds(
            Lookups(self.world.helix, self.clock, self.world.pace),
            self.last_known,
            self.clock,
            lambda: self.logins,
            self.told.append,
            lambda: self.ids,
            ends=lambda login: self.ends.get(login, 0.0),
        )
        self.addCleanup(self.user_ids.stopService)

    def answer(self, asked: Asked) -> Reply:
        ids, logins = asked.values("id"), asked.values("login")
        return Reply(200, {"data": [{"id": i, "login": n} for i, n in self.users.items() if i in ids or n in logins]})

    def start(self) -> None:
        self.user_ids.startService()
        self.after(1.0)

    def after(self, seconds: float) -> None:
        """
        Let time pass, with turns of the reactor for what follows from what.
        """
        for each in (*([seconds / 20] * 20), *([0.1] * 10)):
            self.clock.advance(each)
            self.world.stub.flush()

    def restart(self) -> None:
        self.user_ids.stopService()
        self.begin()

    def kept(self) -> dict[str, int]:
        return {login: value for login, (value, _) in self.last_known.values.get(KIND, {}).items()}

    def warnings(self, logged: list[dict[str, object]]) -> list[str]:
        return [str(each["log_format"]).format(**each) for each in logged if each["log_level"] is LogLevel.warn]


class LookUpTests(IdentitiesCase):
    """
    From logins to ids.
    """

    def test_everybody_is_looked_up_in_full_calls(self) -> None:
        """
        250 logins cost three calls; the ids are known, told once, and kept.
        """
        self.users = {str(number): f"user{number}" for number in range(1000, 1250)}
        self.logins = [login.title() for login in self.users.values()]
        self.start()
        expected = {login: user_id for user_id, login in self.users.items()}
        self.assertEqual(self.user_ids.known(), expected)
        self.assertEqual(self.told, [expected])
        self.assertEqual(self.kept(), {login: int(user_id) for login, user_id in expected.items()})
        self.assertEqual([len(asked.values("login")) for asked in self.twitch.to("/helix/users")], [100, 100, 50])

    def test_an_unknown_login_is_named_once_and_stops_nobody(self) -> None:
        """
        The others are looked up; the warning names the one, and is not repeated at every look.
        """
        self.logins = ["alder", "nobody", "no-such-login", "birch"]
        with capturedLogs() as logged:
            self.start()
            self.user_ids.refresh()
            self.after(DAY + 1)
        self.assertEqual(self.user_ids.known(), {"alder": "1", "birch": "2"})
        named = [each["login"] for each in logged if each["log_level"] is LogLevel.warn]
        self.assertEqual(sorted(named), ["no-such-login", "nobody"])
        self.assertIn("Twitch has no user with the login no", self.warnings(logged)[0])
        self.assertIsNone(self.user_ids.problem())
        self.successResultOf(self.user_ids.whenReady())

    def test_ready_when_everybody_was_asked_for(self) -> None:
        """
        The first complete round is what is waited for, not one that Twitch cut short; a wait can be given up.
        """
        self.twitch.then("/helix/users", Reply(500), Reply(500))
        waiting, given_up = self.user_ids.whenReady(), self.user_ids.whenReady()
        self.user_ids.startService()
        self.after(1.0)
        given_up.cancel()
        self.failureResultOf(given_up)
        self.assertNoResult(waiting)
        self.assertIn("500", self.user_ids.problem() or "")
        self.after(10.0)
        self.successResultOf(waiting)
        self.successResultOf(self.user_ids.whenReady())
        self.assertIsNone(self.user_ids.problem())

    def test_only_what_is_left_is_asked_for_again(self) -> None:
        """
        When Twitch goes away in the middle, what was found counts and is kept, and the rest is asked for later.
        """
        self.users = {str(number): f"user{number}" for number in range(1000, 1150)}
        self.logins = list(self.users.values())
        self.twitch.then("/helix/users", self.answer, HANG)
        self.user_ids.startService()
        self.after(6.0)
        self.assertEqual((len(self.user_ids.known()), len(self.told[-1]), len(self.kept())), (100, 100, 100))
        self.after(20.0)
        self.assertEqual(len(self.user_ids.known()), 150)
        self.assertEqual([len(asked.values("login")) for asked in self.twitch.to("/helix/users")], [100, 50, 50])

    def test_a_call_that_twitch_finds_fault_with_stops_nobody_else(self) -> None:
        """
        After a 400 the other calls are made all the same, and the fault is told.
        """
        self.users = {str(number): f"user{number}" for number in range(1000, 1150)}
        self.logins = list(self.users.values())
        self.twitch.then("/helix/users", Reply(400, {"message": "malformed"}))
        self.user_ids.startService()
        self.after(1.0)
        self.assertEqual(len(self.user_ids.known()), 50)
        self.assertIn("malformed", self.user_ids.problem() or "")

    def test_wrong_credentials_are_a_problem_and_not_the_end(self) -> None:
        """
        Nobody is known, which health can tell; once they are right, everybody is.
        """
        self.twitch.usual["/oauth2/token"] = Reply(403, {"status": 403, "message": "invalid client secret"})
        self.start()
        self.assertIn("invalid client secret", self.user_ids.problem() or "")
        self.twitch.usual["/oauth2/token"] = token("token-1")
        self.after(2000.0)
        self.assertEqual(len(self.user_ids.known()), 3)
        self.assertIsNone(self.user_ids.problem())

    def test_a_reload_asks_for_what_is_new(self) -> None:
        """
        After a change only new logins are asked for, not those that were found or confirmed since the start; those
        that are gone are forgotten, on disk as well.
        """
        self.start()
        self.restart()
        self.start()
        self.logins = ["birch", "cedar", "dogwood"]
        self.users["4"] = "dogwood"
        self.user_ids.refresh()
        self.after(1.0)
        expected = {"birch": "2", "cedar": "3", "dogwood": "4"}
        self.assertEqual((self.user_ids.known(), self.told[-1]), (expected, expected))
        self.assertEqual(self.kept(), {"birch": 2, "cedar": 3, "dogwood": 4})
        self.assertEqual(self.twitch.to("/helix/users")[-1].params, [("login", "dogwood")])

    def test_nothing_is_certain_until_everybody_was_asked_for(self) -> None:
        """
        While a login has yet to be looked up, be it at the start or after a change, it is not certain who is who; it is
        once everybody is known, or known not to exist.
        """
        self.twitch.then("/helix/users", Reply(503), Reply(503))
        self.start()
        self.assertFalse(self.user_ids.all_known())
        self.after(10.0)
        self.assertTrue(self.user_ids.all_known())
        self.logins = ["Alder", "dogwood"]
        self.assertFalse(self.user_ids.all_known())
        self.user_ids.refresh()
        self.assertFalse(self.user_ids.all_known())
        self.after(1.0)
        self.assertTrue(self.user_ids.all_known())

    def test_everybody_is_looked_up_again_after_a_day(self) -> None:
        """
        One who could not be found is found when the account exists.
        """
        self.logins = ["late"]
        self.start()
        self.users["9"] = "late"
        self.after(DAY + 1)
        self.assertEqual(self.user_ids.known(), {"late": "9"})

    def test_stopped(self) -> None:
        """
        After a stop nothing is asked for and nothing waits.
        """
        self.twitch.usual["/helix/users"] = HANG
        self.user_ids.startService()
        self.world.stub.flush()
        self.user_ids.stopService()
        self.user_ids.refresh()
        asked = len(self.twitch.asked)
        self.after(DAY)
        self.assertEqual(len(self.twitch.asked), asked)


class AbsenceTests(IdentitiesCase):
    """
    Who Twitch has no user for.
    """

    def unknown_users(self) -> UnknownLogins:
        """
        What is told of the configuration by now.
        """
        known = self.user_ids.known()
        streamers = [
            Streamer(key=f"{each}_key", login=each.lower(), user_id=known.get(each.lower(), "")) for each in self.logins
        ]
        streamers += [Streamer(key=f"id_{each}", user_id=each) for each in self.ids]
        return UnknownLogins(self.user_ids, lambda: streamers)

    def test_only_what_twitch_said_counts(self) -> None:
        """
        Before Twitch was asked, and while it does not answer, nobody is called unknown; then exactly those are whom it
        does not have, by login and by id.
        """
        self.logins, self.ids = ["alder", "NoSuchUser", "birch"], ["3", "404"]
        self.twitch.then("/helix/users", Reply(503), Reply(503))
        self.assertEqual(self.unknown_users().reasons(), {})
        self.start()
        self.assertEqual((self.unknown_users().reasons(), self.unknown_users().problem()), ({}, None))
        with capturedLogs() as logged:
            self.after(30.0)
        self.assertEqual(
            self.unknown_users().reasons(),
            {
                "NoSuchUser_key": "no such user at Twitch: nosuchuser",
                "id_404": "no such user at Twitch: id 404 is wrong, or the channel is closed or suspended",
            },
        )
        self.assertEqual([*self.unknown_users().logins()], ["NoSuchUser_key"])
        self.assertIn(
            "2 of 5 streamers cannot be announced: streamers.NoSuchUser_key", self.unknown_users().problem() or ""
        )
        self.assertEqual(len([each for each in self.warnings(logged) if "Twitch has no user" in each]), 2)

    def test_it_heals_when_the_user_appears(self) -> None:
        """
        Within ten minutes, for one call, and without another look at those who are known.
        """
        self.logins, self.ids = ["alder", "late"], ["404"]
        self.start()
        self.assertEqual(len(self.unknown_users().reasons()), 2)
        asked = len(self.twitch.asked)
        self.users.update({"9": "late", "404": "back"})
        with capturedLogs() as logged:
            self.after(601.0)
        self.assertEqual((self.unknown_users().reasons(), self.told[-1]), ({}, {"alder": "1", "late": "9"}))
        names = {value for asked in self.twitch.asked[asked:] for _, value in asked.params}
        self.assertEqual(names, {"late", "404"})
        self.assertEqual([each["name"] for each in logged if "name" in each], ["late", "404"])

    def test_it_heals_by_a_reload(self) -> None:
        """
        What is not configured any more is not complained about, and the corrected login is looked up at once.
        """
        self.logins, self.ids = ["aldr"], ["404"]
        self.start()
        self.assertEqual(len(self.unknown_users().reasons()), 2)
        self.logins, self.ids = ["alder"], ["1"]
        self.user_ids.refresh()
        self.after(1.0)
        self.assertEqual((self.unknown_users().reasons(), self.user_ids.any_absent()), ({}, False))

    def test_who_is_suspended_later_is_no_unknown_login(self) -> None:
        """
        The id is known, and the reason is another one; it ends when the channel is back.
        """
        self.start()
        del self.users["1"]
        self.after(DAY + 1)
        self.assertEqual(
            self.unknown_users().reasons(),
            {"alder_key": "closed or suspended: Twitch no longer has alder, user 1"},
        )
        self.assertEqual(self.unknown_users().logins(), {})
        self.users["1"] = "alder"
        self.after(601.0)
        self.assertEqual(self.unknown_users().reasons(), {})

    def test_two_streamers_with_one_login(self) -> None:
        """
        Both are named.
        """
        self.start()
        self.logins = ["same", "Same"]
        self.user_ids.refresh()
        self.after(1.0)
        self.assertEqual([*self.unknown_users().reasons()], ["same_key", "Same_key"])

    def test_who_is_configured_by_id_waits_for_nothing(self) -> None:
        """
        The subscriptions may begin while Twitch cannot say whether there is a user with an id.
        """
        self.logins, self.ids = [], ["1"]
        self.twitch.usual["/helix/users"] = Reply(503)
        self.start()
        self.successResultOf(self.user_ids.whenReady())
        self.assertTrue(self.unknown_users().reasons() == {})


class KeptTests(IdentitiesCase):
    """
    What is on disk, and those who change their login.
    """

    def test_a_start_without_twitch_knows_everybody_it_knew(self) -> None:
        """
        What was kept counts at once, however long Twitch is away.
        """
        self.start()
        self.restart()
        self.twitch.usual["/helix/users"] = HANG
        self.user_ids.startService()
        expected = {"alder": "1", "birch": "2", "cedar": "3"}
        self.assertEqual((self.told, self.user_ids.known()), ([expected], expected))
        self.after(6.0)
        self.assertEqual(self.user_ids.known(), expected)
        self.assertNoResult(self.user_ids.whenReady())

    def test_a_login_that_was_removed_by_mistake_is_known_when_it_returns(self) -> None:
        """
        Its id is kept for the grace, and with it who was renamed; after the grace it is forgotten.
        """
        self.start()
        self.users["1"] = "elder"
        self.logins.remove("alder")
        self.ends["alder"] = NOW + 600
        self.user_ids.refresh()
        self.after(1.0)
        self.user_ids.stopService()
        self.begin()
        self.start()
        self.assertEqual(self.kept()["alder"], 1)
        self.logins.append("alder")
        self.user_ids.refresh()
        self.after(1.0)
        self.assertEqual(self.user_ids.known()["alder"], "1")
        self.logins.remove("alder")
        self.after(600.0)
        self.user_ids.refresh()
        self.after(1.0)
        self.assertNotIn("alder", self.kept())

    def test_who_was_renamed_is_followed_by_id(self) -> None:
        """
        The kept id wins over the login's new owner, at once and after a restart; one warning tells the new name.
        """
        self.start()
        self.users.update({"1": "aspen", "7": "alder"})
        for _ in range(2):
            with capturedLogs() as logged:
                self.after(DAY + 1)
            [warning] = self.warnings(logged)
            self.assertIn("alder changed its login to aspen", warning)
            self.assertIn('login = "aspen" or user_id = "1"', warning)
            with capturedLogs() as logged:
                self.after(DAY + 1)
            self.assertEqual(self.warnings(logged), [])
            self.assertEqual(self.user_ids.known()["alder"], "1")
            self.assertEqual(self.kept()["alder"], 1)
            self.restart()
            self.user_ids.startService()

    def test_the_new_owner_counts_when_the_old_one_is_gone(self) -> None:
        """
        Without a user of the kept id, the login means whoever has it, and a warning says so.
        """
        self.start()
        del self.users["1"]
        self.users["7"] = "alder"
        with capturedLogs() as logged:
            self.after(DAY + 1)
        self.assertEqual(self.user_ids.known()["alder"], "7")
        self.assertEqual(self.kept()["alder"], 7)
        self.assertIn("the former user 1 no longer exists", self.warnings(logged)[0])

    def test_who_is_suspended_stays_known(self) -> None:
        """
        An id that Twitch does not know for a while is not forgotten; one warning names the login.
        """
        self.start()
        del self.users["1"]
        with capturedLogs() as logged:
            self.after(DAY + 1)
            self.after(DAY + 1)
        self.assertEqual(self.user_ids.known()["alder"], "1")
        [warning] = self.warnings(logged)
        self.assertIn("no longer has alder", warning)
        self.users["1"] = "alder"
        with capturedLogs() as logged:
            self.after(DAY + 1)
        self.assertEqual((self.user_ids.known()["alder"], self.warnings(logged)), ("1", []))

    def test_two_who_swap_their_logins_are_both_followed(self) -> None:
        """
        Each entry goes on to mean the user it meant.
        """
        self.start()
        self.users.update({"1": "birch", "2": "alder"})
        self.after(DAY + 1)
        self.assertEqual(self.user_ids.known(), {"alder": "1", "birch": "2", "cedar": "3"})

    def test_without_the_journal_nothing_is_guessed(self) -> None:
        """
        While what was kept cannot be read, no login is given to a new owner.
        """
        self.last_known.values[KIND] = {"alder": (1, NOW)}
        self.users.update({"1": "aspen", "7": "alder"})
        self.last_known.broken = "the disk is away"
        self.start()
        self.assertEqual((self.user_ids.known(), self.twitch.asked), ({}, []))
        self.assertIn("the disk is away", self.user_ids.problem() or "")
        self.last_known.broken = None
        self.after(10.0)
        self.assertEqual(self.user_ids.known()["alder"], "1")

    def test_what_could_not_be_kept_is_kept_later(self) -> None:
        """
        Ids that were found count although the disk is full, and are written once it is not.
        """
        self.user_ids.startService()
        self.last_known.broken = "the disk is full"
        self.after(1.0)
        self.assertEqual(len(self.user_ids.known()), 3)
        self.successResultOf(self.user_ids.whenReady())
        self.assertEqual(self.kept(), {})
        self.last_known.broken = None
        self.after(10.0)
        self.assertEqual(self.kept(), {"alder": 1, "birch": 2, "cedar": 3})
        self.assertIsNone(self.user_ids.problem())

    def test_an_id_that_is_no_number_is_used_and_not_kept(self) -> None:
        """
        An id of another form works for as long as the process does.
        """
        self.users = {"0123": "alder", str(2**63): "birch", str(2**63 - 1): "cedar"}
        self.start()
        self.assertEqual(self.user_ids.known(), {login: user_id for user_id, login in self.users.items()})
        self.assertEqual(self.kept(), {"cedar": 2**63 - 1})


@define(eq=False)
class Everybody:
    """
    A directory that is never away.
    """

    users: dict[str, str] = field(factory=dict)

    def user(self, user_id: str) -> Deferred[User | None]:
        return succeed(self._user(user_id) if user_id in self.users else None)

    def user_by_login(self, login: str) -> Deferred[User | None]:
        return succeed(next((self._user(each) for each, name in self.users.items() if name == login), None))

    def _user(self, user_id: str) -> User:
        return User(id=user_id, login=self.users[user_id], name="", description="", image_url="")


class AnyHistoryTests(SynchronousTestCase):
    """
    Whatever happens on Twitch.
    """

    @given(
        st.lists(
            st.tuples(
                st.dictionaries(st.sampled_from("abcd"), st.sampled_from("1234")),
                st.sets(st.sampled_from("abcd")),
                st.booleans(),
            ),
            max_size=8,
        )
    )
    def test_a_login_means_whom_it_meant(self, days: list[tuple[dict[str, str], set[str], bool]]) -> None:
        """
        Each day a configured login means the user it meant before if there still is one, else its owner, else whom it
        meant before; restarts change nothing, and what is on disk is the same.
        """
        clock, last_known, directory = Clock(), MemoryLastKnown(), Everybody()
        logins: set[str] = set()
        expected: dict[str, str] = {}

        def start() -> UserIds:
            identities = UserIds(cast("Lookups", directory), last_known, clock, lambda: sorted(logins), lambda _: None)
            identities.startService()
            return identities

        identities = start()
        for owners, configured, restart in days:
            directory.users = {user_id: login for login, user_id in owners.items()}
            logins.clear()
            logins.update(configured)
            meant = {login: expected[login] if expected.get(login) in directory.users else None for login in configured}
            owner = {login: user_id for user_id, login in directory.users.items()}
            found = {login: meant[login] or owner.get(login) or expected.get(login) for login in configured}
            expected = {login: user_id for login, user_id in found.items() if user_id is not None}
            if restart:
                identities.stopService()
                identities = start()
            else:
                clock.advance(DAY)
            self.assertEqual(identities.known(), expected)
            kept = {login: str(value) for login, (value, _) in last_known.values.get(KIND, {}).items()}
            self.assertEqual(kept, expected)
        identities.stopService()
