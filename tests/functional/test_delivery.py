"""
What the real daemon makes of an event: a notice that arrives, once, whatever fails around it.
"""

from __future__ import annotations

import hmac
import json
from base64 import b64decode
from typing import Any

from standardwebhooks.webhooks import Webhook
from twisted.internet.defer import gatherResults

from itsjustintv.model import State
from itsjustintv.simulator.behaviour import Behaviour, avatar
from itsjustintv.simulator.eventsub import Message
from itsjustintv.simulator.process import DaemonProcess
from tests.functional.stage import Stage, StageCase

HANG = Behaviour(hang=True)

#: Everything that an enrichment asks of Twitch.
HELIX = ("token", "users", "channels", "streams", "channels/followers", "images")


async def go_live(stage: Stage, login: str) -> Message:
    """
    Let somebody go live and Twitch tell of it; the daemon must take it.
    """
    message = stage.message(stage.twitch.world.go_live(login))
    await acknowledged(stage, message)
    return message


async def acknowledged(stage: Stage, *messages: Message) -> None:
    """
    Send messages, all at once; each must be answered with 2xx at the first try.
    """
    for report in await gatherResults([stage.twitch.eventsub.send(each, again=False) for each in messages]):
        assert report.acknowledged, report


class NoticeTests(StageCase):
    """
    The notice itself.
    """

    async def test_a_notice_says_everything_twitch_knows(self) -> None:
        """
        The receiver is told of the streamer and of the broadcast, with tags, numbers and the picture's bytes.
        """
        stage = self.stage()
        stage.add_streamer(
            "tanuki",
            'additional_tags = ["VIP"]',
            name="Tanuki",
            title="Pottery night",
            game="Art",
            tags=("Deutsch", "Keramik"),
            language="de",
            followers=12345,
            viewers=7,
            description="Pots and pans.",
        )
        await stage.started()
        await stage.subscribed()
        stream = stage.twitch.world.go_live("tanuki")
        (report,) = await stage.twitch.announce(stream)
        self.assertTrue(report.acknowledged, report)

        payload = (await stage.receiver.delivery("/tanuki")).payload

        channel = stream.channel
        image = payload.pop("image")
        broadcast = payload.pop("stream")
        self.assertEqual(
            {key: value for key, value in payload.items() if key not in ("id", "timestamp")},
            {
                "streamer_login": "tanuki",
                "streamer_name": "Tanuki",
                "streamer_id": channel.id,
                "url": "https://twitch.tv/tanuki",
                "view_count": 7,
                "followers_count": 12345,
                "tags": ["Deutsch", "Keramik", "VIP"],
                "language": "de",
                "description": "Pots and pans.",
                "additional_tags": ["VIP"],
                "event": "stream.online",
            },
        )
        self.assertEqual(
            {key: broadcast[key] for key in ("id", "type", "started_at", "title", "game_name", "viewer_count", "tags")},
            {
                "id": stream.id,
                "type": "live",
                "started_at": stream.started_at,
                "title": "Pottery night",
                "game_name": "Art",
                "viewer_count": 7,
                "tags": ["Deutsch", "Keramik"],
            },
        )
        self.assertEqual((image["mime_type"], b64decode(image["data"])), ("image/png", avatar(channel.id)))

    async def test_a_receiver_can_verify_both_signatures(self) -> None:
        """
        What arrives is signed over its exact bytes: by the HMAC in the header that was asked for, and as the library of
        Standard Webhooks verifies it.
        """
        stage = self.stage()
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        stage.add_streamer(
            "tanuki",
            f'target_webhook_secret = "{secret}"\ntarget_webhook_signature = "both"\n'
            'target_webhook_header = "X-Signature"\ntarget_webhook_hashing = "SHA-512"\n',
        )
        await stage.started()
        await go_live(stage, "tanuki")

        received = await stage.receiver.delivery("/tanuki")

        expected = hmac.new(secret.encode(), received.body, "sha512").hexdigest()
        self.assertEqual(received.headers["x-signature"], f"sha512={expected}")
        Webhook(secret).verify(received.body, dict(received.headers))
        self.assertEqual(received.headers["webhook-id"], received.payload["id"])

    async def test_a_filtered_broadcast_is_told_to_nobody(self) -> None:
        """
        A streamer whose tags are not in the filter: the receiver is not called and the journal says why; one whose tags
        are, in whatever case, is announced.
        """
        stage = self.stage()
        stage.add_streamer("tanuki", 'tag_filter = ["speedrun"]', tags=("Keramik",))
        stage.add_streamer("kitsune", 'tag_filter = ["SpeedRun"]', tags=("Speedrun", "English"))
        await stage.started()
        await go_live(stage, "tanuki")
        await go_live(stage, "kitsune")

        account = await stage.settled(stage.reactor)

        self.assertEqual((account.filtered, account.delivered), (1, 1))
        (filtered,) = stage.journal.list(State.FILTERED)
        self.assertEqual((filtered.streamer, filtered.attempts), ("tanuki", 0))
        self.assertIn("tag_filter", filtered.reason)
        self.assertEqual([each.path for each in stage.receiver.received], ["/kitsune"])

    async def test_only_the_configured_types_of_broadcasts_are_announced(self) -> None:
        """
        A rerun is announced only where ``types`` names it, and the journal says why not elsewhere; what has no type
        counts as live.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        stage.add_streamer("kitsune", 'types = ["rerun"]')
        daemon = await stage.started()
        broadcasts = [("tanuki", "rerun"), ("tanuki", ""), ("kitsune", "rerun"), ("kitsune", "live")]
        for login, kind in broadcasts:
            await acknowledged(stage, stage.message(stage.twitch.world.go_live(login, kind=kind)))

        account = await stage.settled(stage.reactor)

        self.assertEqual((account.filtered, account.delivered), (2, 2))
        self.assertEqual(
            {each.reason for each in stage.journal.list(State.FILTERED)},
            {
                "a broadcast of type rerun is not among the types live",
                "a broadcast of type live is not among the types rerun",
            },
        )
        told = {(each.path, each.payload["stream"]["type"]) for each in stage.receiver.received}
        self.assertEqual(told, {("/tanuki", ""), ("/kitsune", "rerun")})
        await daemon.said(": kitsune began a broadcast of type rerun")


class OnceTests(StageCase):
    """
    One broadcast, one notice.
    """

    async def test_a_broadcast_is_announced_once_however_often_twitch_tells_of_it(self) -> None:
        """
        The same message, sent three times at once and again later, and the same broadcast under another id: all are
        acknowledged and one notice is sent, also when the daemon is started anew in between.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        daemon = await stage.started()
        stream = stage.twitch.world.go_live("tanuki")
        message, under_another_id = stage.message(stream), stage.message(stream)
        await acknowledged(stage, message, message, message)
        await stage.settled(stage.reactor)
        await acknowledged(stage, message, under_another_id)
        self.assertEqual(await daemon.stop(), 0)

        daemon = await stage.started()
        await acknowledged(stage, message, under_another_id, stage.message(stream))
        # A daemon that was told to stop has no more to send.
        self.assertEqual(await daemon.stop(), 0)

        account = stage.accounting()
        self.assertEqual((account.wanted, account.delivered), (1, 1))
        self.assertEqual(len(stage.receiver.received), 1)

    async def test_the_next_broadcast_is_announced_again(self) -> None:
        """
        A streamer who goes live a second time is announced a second time, under another id.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        await stage.started()
        await go_live(stage, "tanuki")
        await go_live(stage, "tanuki")

        first, second = [await stage.receiver.delivery("/tanuki", number) for number in (1, 2)]

        self.assertNotEqual(first.payload["id"], second.payload["id"])
        self.assertNotEqual(first.payload["stream"]["id"], second.payload["stream"]["id"])


class IndependenceTests(StageCase):
    """
    What others do, or fail to do, does not keep a notice from arriving.
    """

    async def test_receivers_that_hang_delay_nobody_else(self) -> None:
        """
        While more receivers than there are slots for second attempts are still being waited for, a healthy one hears.
        """
        crowd = 70
        stage = self.stage(settings='[retry]\ntimeout = "10m"\n')
        hanging = [f"slow{number}" for number in range(crowd)]
        for login in hanging:
            stage.add_streamer(login)
            stage.receiver.script.plan(f"/{login}", then=HANG)
        stage.add_streamer("tanuki")
        await stage.started()
        for login in hanging:
            await go_live(stage, login)
        await gatherResults([stage.receiver.delivery(f"/{login}") for login in hanging])

        await go_live(stage, "tanuki")

        await stage.receiver.delivery("/tanuki")
        await stage.until(lambda: stage.accounting().delivered == 1)
        self.assertEqual(stage.accounting().pending, crowd)
        self.assertEqual({each.attempts for each in stage.journal.list(State.PENDING)}, {0})

    async def test_without_twitchs_api_a_notice_says_what_the_event_said(self) -> None:
        """
        Every request to Twitch fails, even that for a token: the notice goes out with what the event itself held.
        """
        await self.tell_with(Behaviour(status=503))

    async def test_when_twitchs_api_hangs_a_notice_does_not_wait_for_it(self) -> None:
        """
        No request to Twitch is ever answered: the notice goes out when the time for enrichment is up.
        """
        await self.tell_with(HANG)

    async def tell_with(self, behaviour: Behaviour) -> None:
        """
        Deliver a notice while Twitch's API behaves like that.
        """
        stage = self.stage(settings='[enrich]\ntimeout = "500ms"\n')
        stage.add_streamer("tanuki", 'additional_tags = ["VIP"]', name="Tanuki", title="Pottery night", tags=("Art",))
        for endpoint in HELIX:
            stage.twitch.faults.plan(endpoint, then=behaviour)
        await stage.started()
        message = await go_live(stage, "tanuki")

        # A single request to Twitch is given more time than that.
        arrived = stage.receiver.delivery("/tanuki").addTimeout(4, stage.reactor)
        payload = (await arrived).payload

        event = json.loads(message.body)["event"]
        self.assertEqual(
            {key: payload[key] for key in ("streamer_login", "streamer_name", "streamer_id", "url", "language")},
            {
                "streamer_login": "tanuki",
                "streamer_name": "Tanuki",
                "streamer_id": event["broadcaster_user_id"],
                "url": "https://twitch.tv/tanuki",
                "language": "en",
            },
        )
        # Unknown tags are not the same as none.
        self.assertNotIn("tags", payload)
        self.assertNotIn("image", payload)
        broadcast = payload["stream"]
        self.assertEqual((broadcast["id"], broadcast["started_at"]), (event["id"], event["started_at"]))
        self.assertEqual((broadcast["title"], broadcast["tags"], broadcast["viewer_count"]), ("", None, None))

    async def test_one_endpoint_that_hangs_costs_only_what_it_knows(self) -> None:
        """
        Followers and images hang, Get Streams fails: title, game and tags are the channel's, and the picture is there
        with its address only.
        """
        stage = self.stage(settings='[enrich]\ntimeout = "500ms"\n')
        stage.add_streamer("tanuki", title="Pottery night", game="Art", tags=("Keramik",), followers=5, viewers=7)
        stage.twitch.faults.plan("channels/followers", then=HANG)
        stage.twitch.faults.plan("images", then=HANG)
        stage.twitch.faults.plan("streams", then=Behaviour(status=500))
        await stage.started()
        await go_live(stage, "tanuki")

        payload = (await stage.receiver.delivery("/tanuki")).payload

        self.assertEqual(
            (payload["stream"]["title"], payload["stream"]["game_name"], payload["tags"]),
            ("Pottery night", "Art", ["Keramik"]),
        )
        self.assertTrue(payload["image"]["url"].startswith("http://127.0.0.1:"), payload["image"])
        self.assertNotIn("data", payload["image"])
        self.assertNotIn("followers_count", payload)


class RetryTests(StageCase):
    """
    What becomes of a notice that a receiver does not take.
    """

    def impatient(self, more: str = "") -> Stage:
        """
        A stage whose daemon tries again at once.
        """
        return self.stage(
            settings=f'[retry]\ninitial_delay = "100ms"\nmax_delay = "100ms"\njitter = 0\n{more}\n'
            "[output]\nenabled = true\n"
        )

    def output(self, stage: Stage) -> list[dict[str, Any]]:
        """
        What is in the output file.
        """
        path = stage.folder / "data" / "output.json"
        found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        return found

    async def test_a_receiver_that_fails_is_tried_again_until_it_takes_the_same_notice(self) -> None:
        """
        It answers 503, drops the connection, and then takes the notice, which is the same to the byte.
        """
        stage = self.impatient()
        stage.add_streamer("tanuki")
        stage.receiver.script.plan("/tanuki", Behaviour(status=503), Behaviour(drop=True))
        await stage.started()
        await go_live(stage, "tanuki")

        account = await stage.settled(stage.reactor)

        self.assertEqual((account.wanted, account.delivered), (1, 1))
        self.assertEqual([each.status for each in stage.receiver.received], [503, 0, 200])
        self.assertEqual(len({each.body for each in stage.receiver.received}), 1)

    async def test_the_output_file_is_corrected_when_a_retry_succeeds(self) -> None:
        """
        While the receiver fails the file has the notice with its error; once it is delivered, the same entry says so.
        """
        stage = self.impatient("max_attempts = 10000")
        stage.add_streamer("tanuki")
        stage.receiver.script.plan("/tanuki", then=Behaviour(status=503))
        await stage.started()
        await go_live(stage, "tanuki")
        (failed,) = await stage.until(lambda: self.output(stage))
        self.assertFalse(failed["success"])
        self.assertIn("503", failed["error"])

        stage.receiver.script.plan("/tanuki", then=Behaviour())
        await stage.settled(stage.reactor)

        (delivered,) = await stage.until(lambda: [each for each in self.output(stage) if each["success"]])
        self.assertNotIn("error", delivered)
        self.assertEqual(delivered["delivery"], failed["delivery"])
        self.assertEqual(delivered["payload"], failed["payload"])
        self.assertEqual(len(self.output(stage)), 1)

    async def test_a_notice_that_nobody_takes_becomes_a_dead_letter(self) -> None:
        """
        When its attempts are used up it is dead: with the reason, and with the receiver's last answer.
        """
        stage = self.impatient("max_attempts = 3")
        stage.add_streamer("tanuki")
        stage.receiver.script.plan("/tanuki", then=Behaviour(status=500, body=b"the database is away"))
        daemon = await stage.started()
        await go_live(stage, "tanuki")

        account = await stage.settled(stage.reactor)

        self.assertEqual((account.wanted, account.dead), (1, 1))
        (dead,) = stage.journal.list(State.DEAD)
        self.assertEqual((dead.reason, dead.attempts), ("exhausted", 3))
        last = stage.journal.show(dead.id).deliveries[0].attempts[-1]
        self.assertEqual((last.reason, last.status, last.response), ("http_500", 500, "the database is away"))
        await self.assert_no_more(stage, daemon, 3)

    async def test_a_receiver_that_is_gone_is_not_tried_again(self) -> None:
        """
        410 ends a notice at its first attempt.
        """
        stage = self.impatient()
        stage.add_streamer("tanuki")
        stage.receiver.script.plan("/tanuki", Behaviour(status=410))
        daemon = await stage.started()
        await go_live(stage, "tanuki")

        account = await stage.settled(stage.reactor)

        self.assertEqual((account.wanted, account.dead), (1, 1))
        (dead,) = stage.journal.list(State.DEAD)
        self.assertEqual((dead.reason, dead.attempts), ("gone", 1))
        await self.assert_no_more(stage, daemon, 1)

    async def test_a_retry_survives_a_crash(self) -> None:
        """
        Killed between a failed attempt and the next one, the daemon makes that one after its restart, once.
        """
        stage = self.stage(settings='[retry]\ninitial_delay = "3s"\njitter = 0\n')
        stage.add_streamer("tanuki")
        stage.receiver.script.plan("/tanuki", Behaviour(status=503))
        daemon = await stage.started()
        await go_live(stage, "tanuki")
        (pending,) = await stage.until(lambda: [each for each in stage.journal.list(State.PENDING) if each.attempts])
        await daemon.kill()
        self.assertEqual(len(stage.receiver.received), 1)

        daemon = await stage.started()
        account = await stage.settled(stage.reactor)

        self.assertEqual((account.wanted, account.delivered), (1, 1))
        first, second = stage.receiver.received
        self.assertEqual((first.status, second.status), (503, 200))
        self.assertEqual(first.body, second.body)
        # Its time had come before it was made: a restart is no reason to try earlier.
        self.assertGreaterEqual(second.at, pending.next_attempt_at)
        await self.assert_no_more(stage, daemon, 2)

    async def assert_no_more(self, stage: Stage, daemon: DaemonProcess, attempts: int) -> None:
        """
        The daemon has nothing more to send: it was called so often, and when it is told to stop it has not been called
        since.
        """
        self.assertEqual(await daemon.stop(), 0)
        self.assertEqual(len(stage.receiver.received), attempts)
