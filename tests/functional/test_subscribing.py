"""
The real daemon keeps its subscriptions at a simulated Twitch as the configuration wants them.
"""

from __future__ import annotations

import signal
from typing import Any

import treq
from twisted.internet.defer import Deferred

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.process import DaemonProcess
from itsjustintv.simulator.subscriptions import FAILURES_EXCEEDED, SimulatedSubscription
from tests.functional.stage import SECRET, Stage, StageCase
from tests.functional.test_delivery import go_live

OTHER = "https://elsewhere.example.net/twitch"
ANOTHER_SECRET = "another webhook secret of the stage"
SUBSCRIPTIONS = "/helix/eventsub/subscriptions"

# What the daemon says once it has compared what is wanted with what there is.
LOOKED = "subscriptions: "


class SubscribingCase(StageCase):
    """
    A test that looks at what Twitch has.
    """

    def ours(self, stage: Stage) -> dict[str, SimulatedSubscription]:
        """
        The subscriptions with our callback, by login; nobody may have two.
        """
        mine = [each for each in stage.twitch.subscriptions if each.callback == stage.callback]
        logins = {channel.id: channel.login for channel in stage.twitch.world.channels(ids=self.ids(mine))}
        found = {logins[each.broadcaster_id]: each for each in mine}
        self.assertEqual(len(found), len(mine), "somebody is subscribed to twice")
        return found

    def ids(self, subscriptions: list[SimulatedSubscription]) -> set[str]:
        """
        Whom they are about.
        """
        return {each.broadcaster_id for each in subscriptions}

    def foreign(self, stage: Stage, login: str, status: str) -> SimulatedSubscription:
        """
        Let another program with our client id have a subscription.
        """
        broadcaster = stage.twitch.world.channel(login).id
        made = stage.twitch.subscriptions.add("stream.online", "1", broadcaster, OTHER, SECRET)
        changed = stage.twitch.subscriptions.set_status(made.id, status)
        assert changed is not None
        return changed

    def others(self, stage: Stage) -> list[SimulatedSubscription]:
        """
        The subscriptions of other programs.
        """
        return [each for each in stage.twitch.subscriptions if each.callback == OTHER]

    async def answer(self, daemon: DaemonProcess, path: str) -> tuple[int, Any]:
        """
        The status and the content of an answer of the daemon.
        """
        response = await treq.get(f"{daemon.url}{path}", persistent=False)
        return response.code, await response.json()

    def changed(self, stage: Stage) -> tuple[int, int]:
        """
        How often Twitch was asked to create and to delete something.
        """
        requests = stage.twitch.requests
        return requests.count(f"POST {SUBSCRIPTIONS}"), requests.count(f"DELETE {SUBSCRIPTIONS}")

    async def looked(self, stage: Stage, daemon: DaemonProcess) -> None:
        """
        Wait until a daemon that has just been started has seen to the subscriptions.
        """
        await daemon.said(LOOKED)
        await stage.subscribed()

    async def settled_down(self) -> tuple[Stage, DaemonProcess]:
        """
        A daemon that found everything as it should be when it started: what was subscribed to by the one before it is
        not so new that the next fault has to wait.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        stage.add_streamer("kitsune")
        await (await self.started(stage)).stop()
        return stage, await self.started(stage)

    async def started(self, stage: Stage) -> DaemonProcess:
        """
        A daemon that has subscribed to everybody.
        """
        daemon = await stage.started()
        await self.looked(stage, daemon)
        return daemon


class StartTests(SubscribingCase):
    """
    What there is after a start.
    """

    async def test_everybody_has_one_subscription_and_strangers_are_left_alone(self) -> None:
        """
        Whoever is configured, by id or by login only, gets one enabled subscription with our callback and our secret;
        those of another program, about the same streamers or not, working or not, stay as they are.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        for login in ("kitsune", "mujina"):
            stage.twitch.world.add_streamer(login)
        stage.configure_streamer("kitsune")
        before = [
            self.foreign(stage, login, status)
            for login, status in (("tanuki", "enabled"), ("mujina", "enabled"), ("kitsune", FAILURES_EXCEEDED))
        ]
        await self.started(stage)

        ours = self.ours(stage)
        self.assertEqual(
            {login: (each.status, each.secret) for login, each in ours.items()},
            {"tanuki": ("enabled", SECRET), "kitsune": ("enabled", SECRET)},
        )
        self.assertEqual(self.others(stage), before)
        self.assertEqual(self.changed(stage), (2, 0))
        for login in ours:
            await go_live(stage, login)
            self.assertEqual((await stage.receiver.delivery(f"/{login}")).payload["streamer_login"], login)

    async def test_an_unknown_login_is_one_warning_and_stops_nobody(self) -> None:
        """
        A login that Twitch does not know is named in one warning, in the summary, by ``/health`` and in the list; the
        daemon is not ready; everybody else is subscribed to. Once there is such a user and the configuration is read
        again, all is well.
        """
        stage = self.stage()
        for login in ("tanuki", "kitsune"):
            stage.twitch.world.add_streamer(login)
        for login in ("tanuki", "nobody_at_all", "kitsune"):
            stage.configure_streamer(login)
        daemon = await stage.started()
        await stage.subscribed("tanuki", "kitsune")
        await daemon.said(
            "2 of 3 enabled, 0 being verified; 0 created, 0 deleted, 0 failed; streamers.nobody_at_all: no such"
        )

        self.assertEqual(set(self.ours(stage)), {"tanuki", "kitsune"})
        warnings = [line for line in daemon.output.splitlines() if '"warn"' in line and "nobody_at_all" in line]
        self.assertEqual(len(warnings), 1, daemon.output)
        self.assertIn("Twitch has no user with the login nobody_at_all", warnings[0])

        status, health = await self.answer(daemon, "/health")
        self.assertEqual((status, health["status"], health["subscriptions"]["wanted"]), (200, "degraded", 3))
        self.assertEqual(health["subscriptions"]["unknown"], 1)
        reason = "1 of 3 streamers cannot be announced: streamers.nobody_at_all: no such user at Twitch: nobody_at_all"
        self.assertEqual(health["reasons"], [{"check": "logins", "reason": reason}])
        status, ready = await self.answer(daemon, "/readyz")
        self.assertEqual((status, [each["check"] for each in ready["reasons"]]), (503, ["logins"]))
        listed = await stage.command("subscriptions", "list")
        self.assertIn("nobody_at_all", next(line for line in listed.out.splitlines() if "unknown login" in line))
        explained = await stage.command("subscriptions", "explain", "nobody_at_all")
        for text in ("yes, by streamers.nobody_at_all", "unknown login: no such user at Twitch", "correct the login"):
            self.assertIn(text, explained.out)

        stage.twitch.world.add_streamer("nobody_at_all")
        daemon.send_signal(signal.SIGHUP)
        await stage.subscribed("tanuki", "nobody_at_all", "kitsune")
        status, health = await self.answer(daemon, "/health")
        self.assertEqual((status, health["status"], health["subscriptions"]["unknown"]), (200, "healthy", 0))

    async def test_a_channel_that_is_closed_is_no_wrong_id(self) -> None:
        """
        Of a streamer whom Twitch had a user for, no command says that a login or an id is wrong.
        """
        stage = self.stage()
        stage.twitch.world.add_streamer("tanuki")
        stage.configure_streamer("tanuki")
        await stage.started()
        await stage.subscribed()
        user_id = stage.twitch.world.remove("tanuki").id

        reason = f"closed or suspended: Twitch no longer has tanuki, user {user_id}"
        listed = await stage.command("subscriptions", "list")
        self.assertRegex(listed.out, rf"tanuki +unknown user +{reason}")
        explained = await stage.command("subscriptions", "explain", "tanuki")
        self.assertIn(f"{reason}\n", explained.out)
        self.assertNotIn("is wrong", explained.out)
        self.assertIn("or wait until the channel is back", explained.out)

    async def test_a_restart_changes_nothing(self) -> None:
        """
        A daemon that starts again finds what the one before it has created, and neither creates nor deletes anything.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        stage.twitch.world.add_streamer("kitsune")
        stage.configure_streamer("kitsune")
        await (await self.started(stage)).stop()
        before = self.ours(stage)
        self.assertEqual(self.changed(stage), (2, 0))
        daemon = await self.started(stage)
        await daemon.said("subscriptions: 2 of 2 enabled, 0 being verified; 0 created, 0 deleted, 0 failed")
        self.assertEqual(self.ours(stage), before)
        self.assertEqual(self.changed(stage), (2, 0))


class FollowTests(SubscribingCase):
    """
    The configuration changes under a running daemon.
    """

    async def test_who_comes_is_subscribed_to_and_who_goes_is_not(self) -> None:
        """
        A streamer who is added to the file is subscribed to and delivered; one who is removed is unsubscribed from when
        the grace is over; who was there all the time keeps the subscription.
        """
        stage = self.stage(settings='[reload]\ngrace = "1s"\n')
        stage.add_streamer("tanuki")
        stage.add_streamer("mujina")
        await self.started(stage)
        before = self.ours(stage)
        other = self.foreign(stage, "mujina", "enabled")
        stage.twitch.world.add_streamer("kitsune")
        stage.configure_streamer("kitsune")
        del stage.streamers["mujina"]
        stage.configure()
        await stage.subscribed()
        await stage.until(lambda: set(self.ours(stage)) == {"tanuki", "kitsune"})

        self.assertEqual(self.ours(stage)["tanuki"], before["tanuki"])
        self.assertEqual(self.others(stage), [other])
        self.assertEqual(self.changed(stage), (3, 1))
        (report,) = await stage.twitch.announce(stage.twitch.world.go_live("kitsune"))
        self.assertEqual(report.tries[0].status, 200)
        self.assertEqual((await stage.receiver.delivery("/kitsune")).payload["streamer_login"], "kitsune")

    async def test_a_broken_file_changes_nothing(self) -> None:
        """
        A file that cannot be used, and does not name somebody who was there, unsubscribes from nobody and subscribes to
        nobody.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        daemon = await self.started(stage)
        before = self.ours(stage)
        usable = dict(stage.streamers)
        stage.streamers.clear()
        stage.add_streamer("mujina", 'tag_fliter = ["English"]')
        stage.configure()
        await daemon.said("nothing was changed")
        await go_live(stage, "tanuki")
        await stage.receiver.delivery("/tanuki")
        stage.streamers = usable
        stage.add_streamer("kitsune")
        stage.configure()
        await stage.subscribed()

        self.assertEqual(self.ours(stage)["tanuki"], before["tanuki"])
        self.assertEqual(self.changed(stage), (2, 0))

    async def test_an_id_that_gives_way_to_a_login_costs_no_subscription(self) -> None:
        """
        As long as it is not known whose login has been put in the place of an id, nobody is unsubscribed from.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        daemon = await self.started(stage)
        before = self.ours(stage)
        known: Deferred[None] = Deferred()
        self.addCleanup(lambda: known.called or known.callback(None))
        stage.twitch.faults.plan("users", then=Behaviour(after=known))
        looks = stage.twitch.requests.count(f"GET {SUBSCRIPTIONS}")
        stage.configure_streamer("tanuki")
        stage.configure()
        await daemon.said("1 streamer changed: tanuki")
        await stage.until(lambda: stage.twitch.requests.count(f"GET {SUBSCRIPTIONS}") > looks)
        await stage.until(lambda: "GET /helix/users" in stage.twitch.requests)
        known.callback(None)
        looks = stage.twitch.requests.count(f"GET {SUBSCRIPTIONS}")
        await stage.until(lambda: stage.twitch.requests.count(f"GET {SUBSCRIPTIONS}") > looks)

        self.assertEqual(self.ours(stage), before)
        self.assertEqual(self.changed(stage), (1, 0))


class LostTests(SubscribingCase):
    """
    Twitch ends a subscription.
    """

    async def test_a_revoked_subscription_is_replaced_soon(self) -> None:
        """
        When Twitch says that it has ended a subscription there is another one shortly after, which delivers; the other
        streamer's is not touched.
        """
        stage, daemon = await self.settled_down()
        before = self.ours(stage)
        report = await stage.twitch.revoke(before["tanuki"], "user_removed")
        self.assertTrue(report.acknowledged)
        await stage.until(lambda: self.ours(stage).get("tanuki", before["tanuki"]).id != before["tanuki"].id)
        await stage.subscribed()

        self.assertEqual(self.ours(stage)["kitsune"], before["kitsune"])
        self.assertEqual(self.changed(stage), (3, 1))
        self.assertIn(before["tanuki"].id, daemon.output)
        (report,) = await stage.twitch.announce(stage.twitch.world.go_live("tanuki"))
        self.assertEqual(report.tries[0].status, 200)
        await stage.receiver.delivery("/tanuki")

    async def test_what_was_disabled_without_a_word_is_replaced_after_a_reload(self) -> None:
        """
        A subscription that Twitch has given up on is replaced when a change of the file makes the daemon look.
        """
        stage, daemon = await self.settled_down()
        before = self.ours(stage)
        stage.twitch.subscriptions.set_status(before["tanuki"].id, FAILURES_EXCEEDED)
        stage.add_streamer("mujina")
        stage.configure()
        await stage.subscribed()
        self.assertEqual(self.ours(stage)["kitsune"], before["kitsune"])
        self.assertEqual(self.changed(stage), (4, 1))
        await daemon.said("too many messages were not answered in time")

    async def test_what_was_disabled_meanwhile_is_replaced_at_the_start(self) -> None:
        """
        A subscription that Twitch has given up on while the daemon was away is replaced when it comes back.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        await (await self.started(stage)).stop()
        (before,) = self.ours(stage).values()
        stage.twitch.subscriptions.set_status(before.id, FAILURES_EXCEEDED)
        await self.started(stage)
        (after,) = self.ours(stage).values()
        self.assertNotEqual(after.id, before.id)
        self.assertEqual(after.status, "enabled")


class SwapTests(SubscribingCase):
    """
    What subscriptions are created with changes.
    """

    async def status(self, stage: Stage, secret: str) -> int:
        """
        What the daemon answers to a message that is signed with a secret.
        """
        message = stage.message(stage.twitch.world.go_live("tanuki"), secret)
        report = await stage.twitch.eventsub.send(message, again=False)
        return report.tries[0].status

    async def test_both_secrets_count_until_the_last_subscription_has_the_new_one(self) -> None:
        """
        When the webhook secret changes every subscription is created anew with the new one. Until that is done messages
        signed with either are taken, and afterwards those signed with the old one are refused. The log has neither.
        """
        stage, daemon = await self.settled_down()
        before = self.ours(stage)
        swap: Deferred[None] = Deferred()
        self.addCleanup(lambda: swap.called or swap.callback(None))
        # The list is answered, what follows from it is held up.
        stage.twitch.faults.plan("eventsub/subscriptions", Behaviour(), then=Behaviour(after=swap))
        stage.webhook_secret = ANOTHER_SECRET
        stage.configure()
        await daemon.said("twitch.webhook_secret")
        await stage.until(lambda: f"DELETE {SUBSCRIPTIONS}" in stage.twitch.requests)
        self.assertEqual([await self.status(stage, each) for each in (SECRET, ANOTHER_SECRET)], [200, 200])
        swap.callback(None)
        await stage.until(lambda: {each.secret for each in self.ours(stage).values()} == {ANOTHER_SECRET})
        await stage.subscribed()
        await daemon.said("webhook secret rotation finished")

        after = self.ours(stage)
        self.assertEqual({login for login in after if after[login].id != before[login].id}, {"tanuki", "kitsune"})
        self.assertEqual([await self.status(stage, each) for each in (SECRET, ANOTHER_SECRET)], [403, 200])
        self.assertEqual(self.changed(stage), (4, 2))
        self.assertNotIn(SECRET, daemon.output)
        self.assertNotIn(ANOTHER_SECRET, daemon.output)

    async def test_a_secret_that_changed_meanwhile_is_noticed_at_the_start(self) -> None:
        """
        A daemon that starts with another secret than the one before it creates every subscription anew.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        await (await self.started(stage)).stop()
        stage.webhook_secret = ANOTHER_SECRET
        await stage.started()
        await stage.until(lambda: [each.secret for each in self.ours(stage).values()] == [ANOTHER_SECRET])
        await stage.subscribed()
        self.assertEqual(self.changed(stage), (2, 1))
        (report,) = await stage.twitch.announce(stage.twitch.world.go_live("tanuki"))
        self.assertEqual(report.tries[0].status, 200)

    async def test_another_callback_takes_over_without_a_gap(self) -> None:
        """
        When the callback changes there is a subscription for the new one before that for the old one goes, and in the
        end only the new one is left. Other programs' stay.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        await self.started(stage)
        (old,) = self.ours(stage).values()
        other = self.foreign(stage, "tanuki", "enabled")
        stage.incoming_webhook_url = stage.callback.replace("127.0.0.1", "localhost")
        deletions = []
        delete = stage.twitch.subscriptions.delete

        def deleting(_: object, subscription_id: str, *more: str) -> None:
            deletions.append((subscription_id, stage.twitch.subscriptions.enabled_for(stage.callback)))
            delete(subscription_id, *more)

        self.patch(type(stage.twitch.subscriptions), "delete", deleting)
        stage.configure()
        await stage.until(lambda: deletions)

        self.assertEqual(deletions, [(old.id, {old.broadcaster_id})])
        (new,) = self.ours(stage).values()
        self.assertEqual((new.callback, new.status), (stage.callback, "enabled"))
        self.assertEqual(self.others(stage), [other])
        self.assertEqual(self.changed(stage), (2, 1))

    async def test_a_callback_that_changed_meanwhile_is_noticed_at_the_start(self) -> None:
        """
        A daemon that starts with another callback than the one before it subscribes anew, and deletes what that one had
        created.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        await (await self.started(stage)).stop()
        (old,) = self.ours(stage).values()
        stage.incoming_webhook_url = stage.callback.replace("127.0.0.1", "localhost")
        await stage.started()
        await stage.until(lambda: old.id not in {each.id for each in stage.twitch.subscriptions})
        (new,) = self.ours(stage).values()
        self.assertEqual((new.callback, new.status), (stage.callback, "enabled"))
        await go_live(stage, "tanuki")
        await stage.receiver.delivery("/tanuki")
