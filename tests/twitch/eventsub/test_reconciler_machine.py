"""
A model of :mod:`itsjustintv.twitch.eventsub.reconciler`: whatever happens, it ends as it is wanted.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.subscriptions import SimulatedSubscription
from tests import examples
from tests.twitch.subscribed import CALLBACK, SECRET, Scene

LOGINS = ("tanuki", "mujina", "kitsune", "kappa")
CALLBACKS = (CALLBACK, "https://hooks.example.net/twitch/2")
SECRETS = (SECRET, "another-secret", "third-secret")
STATUSES = (
    "enabled",
    "webhook_callback_verification_pending",
    "webhook_callback_verification_failed",
    "notification_failures_exceeded",
    "user_removed",
    "something_new",
)
FAULTS = (
    Behaviour(status=500),
    Behaviour(status=503),
    Behaviour(status=502, body=b"<html>"),
    Behaviour(status=403),
    Behaviour(status=429),
    Behaviour(hang=True),
    Behaviour(delay=3.0),
    Behaviour(delay=30.0),
    Behaviour(lost=True),
    Behaviour(body=b"{}", status=400),
)
NAME = "eventsub/subscriptions"

PEOPLE = st.sampled_from(LOGINS)


class KeeperMachine(RuleBasedStateMachine):
    """
    Subscriptions, configurations, faults and restarts, in any mixture.
    """

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.scene = Scene(Path(self.directory.name) / "tokens.json")
        self.ids = dict(zip(LOGINS, self.scene.streamers(*LOGINS, wanted=False), strict=True))
        self.foreign: dict[str, SimulatedSubscription] = {}
        self.scene.start()

    @rule(login=PEOPLE)
    def want(self, login: str) -> None:
        """
        Somebody is added to the configuration.
        """
        self.scene.wanted[self.ids[login]] = login
        self.scene.reconciler.reconcile("the configuration has changed")

    @rule(login=PEOPLE)
    def want_no_longer(self, login: str) -> None:
        """
        Somebody is removed from the configuration.
        """
        self.scene.wanted.pop(self.ids[login], None)
        self.scene.reconciler.reconcile("the configuration has changed")

    @rule(login=PEOPLE, ends=st.booleans())
    def want_ends(self, login: str, ends: bool) -> None:
        """
        Some destination asks for the ends of somebody's broadcasts, or none does any more.
        """
        self.scene.types[self.ids[login]] = ("stream.offline",) if ends else ()
        self.scene.reconciler.reconcile("the configuration has changed")

    @rule(login=PEOPLE, status=st.sampled_from(STATUSES), number=st.integers(1, 3))
    def somebody_else_subscribes(self, login: str, status: str, number: int) -> None:
        """
        To the same streamer, with a callback of his own; two of them leave room for one of ours.
        """
        mine = [each for each in self.foreign.values() if each.broadcaster_id == self.ids[login]]
        if len(mine) < 2:
            other = self.scene.subscription(
                self.ids[login], callback=f"https://other{number}.example.net/", status=status
            )
            self.foreign[other.id] = other

    @rule(login=PEOPLE, kind=st.sampled_from(["channel.raid", "channel.update"]))
    def somebody_uses_our_callback_for_something_else(self, login: str, kind: str) -> None:
        """
        Another type is another subscription.
        """
        version = "2" if kind == "channel.update" else "1"
        other = self.scene.subscription(self.ids[login], type=kind, version=version, status="enabled")
        self.foreign[other.id] = other

    @rule(login=PEOPLE, status=st.sampled_from(STATUSES), secret=st.sampled_from(SECRETS))
    def one_of_ours_appears(self, login: str, status: str, secret: str) -> None:
        """
        From a life before, with nobody knows which secret.
        """
        self.scene.subscription(self.ids[login], callback=self.scene.callback_url, status=status, secret=secret)

    @rule(data=st.data(), status=st.sampled_from(STATUSES[2:]), told=st.booleans())
    def twitch_ends_one(self, data: Any, status: str, told: bool) -> None:
        """
        With or without a word.
        """
        ours = [each for each in self.scene.find() if each.id not in self.foreign]
        if ours:
            chosen = data.draw(st.sampled_from(ours))
            if told:
                self.scene.twitch.revoke(chosen, status)
            else:
                self.scene.change(chosen.id, status=status)
            self.scene.settle()

    @rule(data=st.data(), status=st.sampled_from(STATUSES[2:]), behind=st.sampled_from([0.5, 5.0, 45.0]))
    def twitch_says_that_one_has_ended_and_lists_it_still(self, data: Any, status: str, behind: float) -> None:
        """
        For a while.
        """
        ours = [each for each in self.scene.find() if each.id not in self.foreign]
        if ours:
            chosen = data.draw(st.sampled_from(ours))
            self.scene.tell_of_the_end(chosen, status)
            self.scene.clock.callLater(behind, self.scene.twitch.subscriptions.set_status, chosen.id, status)

    @rule(secret=st.sampled_from(SECRETS))
    def change_the_secret(self, secret: str) -> None:
        """
        In the configuration.
        """
        self.scene.secret = secret
        self.scene.reconciler.reconcile("the configuration has changed")

    @rule(callback=st.sampled_from(CALLBACKS))
    def change_the_callback(self, callback: str) -> None:
        """
        In the configuration.
        """
        self.scene.callback_url = callback
        self.scene.reconciler.reconcile("the configuration has changed")

    @rule(kind=st.sampled_from(["callback", "conduit", "another conduit"]))
    def change_the_transport(self, kind: str) -> None:
        """
        In the configuration, or because Twitch has deleted the conduit.
        """
        if kind == "callback":
            self.scene.conduit = ""
        elif kind == "another conduit" or not self.scene.conduit:
            for each in list(self.scene.twitch.conduits):
                self.scene.twitch.conduits.delete(each.id)
            self.scene.conduit = self.scene.new_conduit()
        self.scene.reconciler.reconcile("the transport has changed")

    @rule(faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=4), ever=st.sampled_from([None, *FAULTS[:6]]))
    def twitch_is_in_trouble(self, faults: list[Behaviour], ever: Behaviour | None) -> None:
        """
        For some requests, or until it is over.
        """
        self.scene.twitch.faults.plan(NAME, *faults, then=ever)

    @rule()
    def twitch_is_well(self) -> None:
        """
        Again.
        """
        self.scene.twitch.faults.plan(NAME)

    @rule()
    def no_points_are_left(self) -> None:
        """
        Another program with the same client id has used them.
        """
        self.scene.twitch.bucket.empty()

    @rule(works=st.booleans())
    def the_callback_can_be_reached(self, works: bool) -> None:
        """
        Or not.
        """
        self.scene.callback.works = works

    @rule(broken=st.sampled_from([None, "the disk is full"]))
    def the_journal_works(self, broken: str | None) -> None:
        """
        Or not.
        """
        self.scene.last_known.broken = broken

    @rule(down_for=st.sampled_from([0.0, 30.0, 3600.0]))
    def restart(self, down_for: float) -> None:
        """
        At any moment.
        """
        self.scene.stop()
        self.scene.callback.reconciler = None
        self.scene.let_pass(down_for)
        self.scene.new_process()
        self.scene.start()

    @rule(seconds=st.sampled_from([0.1, 4.0, 15.0, 70.0, 700.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        """
        More or less of it.
        """
        self.scene.let_pass(seconds)

    @invariant()
    def others_are_never_touched(self) -> None:
        """
        Not even for a moment.
        """
        there = {each.id: each for each in self.scene.find()}
        assert {each: there.get(each) for each in self.foreign} == self.foreign

    def teardown(self) -> None:
        """
        When nothing is wrong any more, all is as it is wanted within two hours and the longest pause.
        """
        scene = self.scene
        scene.twitch.faults.plan(NAME)
        scene.callback.works, scene.last_known.broken = True, None
        scene.let_pass(3 * 3600.0)
        kept = scene.last_known.values.get("subscription", {})
        # With a callback that is not today's, and nobody knowing that we have created it, it may be anybody's.
        ours = [
            each
            for each in scene.find(lambda each: scene.is_ours(each) or each.id in kept)
            if each.id not in self.foreign
        ]
        transport = ("", scene.conduit, "") if scene.conduit else (scene.callback_url, "", scene.secret)
        wanted = [
            (each, kind, *transport, "enabled")
            for each in scene.wanted
            for kind in ("stream.online", *scene.types.get(each, ()))
        ]
        found = [
            (each.broadcaster_id, each.type, each.callback, each.conduit_id, each.secret, each.status) for each in ours
        ]
        assert sorted(found) == sorted(wanted), (found, wanted)
        self.others_are_never_touched()
        assert scene.reconciler.secrets() == ([] if scene.conduit else [scene.secret.encode()])
        assert scene.reconciler.problem() is None
        report = scene.reconciler.report()
        counted = (report.enabled, report.pending, report.broken, report.incomplete)
        assert counted == (len(scene.wanted), 0, 0, 0), report
        assert set(kept) >= {each.id for each in ours}
        before = scene.asked("POST"), scene.asked("DELETE")
        scene.let_pass(2 * 3600.0)
        assert (scene.asked("POST"), scene.asked("DELETE")) == before
        scene.stop()
        assert scene.callback.reconciler is not None
        self.directory.cleanup()


class MachineTests(SynchronousTestCase):
    """
    Whatever happens, in whatever order.
    """

    def test_it_converges_and_touches_nothing_foreign(self) -> None:
        """
        After any sequence of changes, faults and restarts there is exactly what is wanted, and then peace.
        """
        run_state_machine_as_test(
            KeeperMachine, settings=settings(max_examples=examples(40), stateful_step_count=20, deadline=None)
        )
