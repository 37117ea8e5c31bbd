"""
The requests of Twitch's own command line tool, as :mod:`tests.functional.official` has them from its source, sent to
the real daemon. :mod:`tests.functional.test_twitch_command` does the same with the tool itself.
"""

from __future__ import annotations

from email.message import Message

from twisted.internet.defer import Deferred, gatherResults

from itsjustintv.simulator.loopback import listen
from tests.functional.official import MockAPI, Tool, nanoseconds
from tests.functional.stage import SECRET, Stage, StageCase


class ToolCase(StageCase):
    """
    Tests with the tool's requests.
    """

    async def daemon(self) -> tuple[Stage, Tool, str]:
        """
        A daemon for one streamer, the tool, and the streamer's id.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        await stage.started()
        return stage, Tool(stage.reactor, stage.port), stage.twitch.world.channel("tanuki").id

    async def told(self, stage: Stage, tool: Tool, user: str) -> int:
        """
        How many deliveries there have been, once one that is sent last has arrived.
        """
        answer = await tool.send(tool.trigger(to_user=user, secret=SECRET))
        self.assertEqual(answer.status, 200)
        await stage.settled(stage.reactor)
        return len(stage.receiver.received) - 1


class VerifyTests(ToolCase):
    """
    ``twitch event verify-subscription stream.online``.
    """

    def test_the_three_checks_pass(self) -> Deferred[None]:
        """
        The answer is the challenge to the byte, of the media type ``text/plain``, with a status of 2xx.
        """

        async def scenario() -> None:
            _, tool, user = await self.daemon()
            request, challenge = tool.verify_subscription(broadcaster=user, secret=SECRET)
            answer = await tool.send(request)
            self.assertEqual(answer.body, challenge.encode())
            media = Message()
            media["Content-Type"] = answer.headers["content-type"]
            self.assertEqual(media.get_content_type(), "text/plain")
            self.assertEqual(answer.status, 200)

        return Deferred.fromCoroutine(scenario())

    def test_a_wrong_secret_is_refused(self) -> Deferred[None]:
        """
        A challenge that somebody else has signed is not answered with its text.
        """

        async def scenario() -> None:
            _, tool, user = await self.daemon()
            request, challenge = tool.verify_subscription(broadcaster=user, secret="somebody else's")
            answer = await tool.send(request)
            self.assertEqual(answer.status, 403)
            self.assertNotIn(challenge.encode(), answer.body)

        return Deferred.fromCoroutine(scenario())


class TriggerTests(ToolCase):
    """
    ``twitch event trigger stream.online``.
    """

    def test_an_event_is_delivered(self) -> Deferred[None]:
        """
        The tool's event of a configured streamer arrives at the destination, with what the tool says of it.
        """

        async def scenario() -> None:
            stage, tool, user = await self.daemon()
            answer = await tool.send(tool.trigger(to_user=user, secret=SECRET))
            self.assertEqual((answer.status, answer.body), (200, b'{"status":"processed"}'))
            told = (await stage.receiver.delivery("/tanuki")).payload
            self.assertEqual((told["streamer_id"], told["streamer_login"]), (user, "testBroadcaster"))
            self.assertEqual(told["stream"]["type"], "live")

        return Deferred.fromCoroutine(scenario())

    def test_one_message_sent_twice_is_delivered_once(self) -> Deferred[None]:
        """
        ``-I same-id -c 2`` sends two broadcasts under one message id: both are acknowledged, the first is delivered.
        """

        async def scenario() -> None:
            stage, tool, user = await self.daemon()
            for _ in range(2):
                answer = await tool.send(tool.trigger(to_user=user, secret=SECRET, event_id="same-id"))
                self.assertEqual((answer.status, answer.body), (200, b'{"status":"processed"}'))
            self.assertEqual(await self.told(stage, tool, user), 1)

        return Deferred.fromCoroutine(scenario())

    def test_many_at_once_are_all_delivered(self) -> Deferred[None]:
        """
        ``-c 20``, with an id each, are twenty deliveries.
        """

        async def scenario() -> None:
            stage, tool, user = await self.daemon()
            requests = [tool.trigger(to_user=user, secret=SECRET) for _ in range(20)]
            answers = await gatherResults([Deferred.fromCoroutine(tool.send(request)) for request in requests])
            self.assertEqual({answer.status for answer in answers}, {200})
            self.assertEqual(await self.told(stage, tool, user), 20)

        return Deferred.fromCoroutine(scenario())

    def test_a_wrong_secret_is_refused(self) -> Deferred[None]:
        """
        ``-s`` with another secret is answered 403, and nothing is delivered.
        """

        async def scenario() -> None:
            stage, tool, user = await self.daemon()
            answer = await tool.send(tool.trigger(to_user=user, secret="somebody else's"))
            self.assertEqual(answer.status, 403)
            self.assertEqual(await self.told(stage, tool, user), 0)

        return Deferred.fromCoroutine(scenario())

    def test_without_a_secret_it_is_refused(self) -> Deferred[None]:
        """
        Without ``-s`` the tool sends neither signature nor timestamp: 403, and nothing is delivered.
        """

        async def scenario() -> None:
            stage, tool, user = await self.daemon()
            answer = await tool.send(tool.trigger(to_user=user, secret=""))
            self.assertEqual(answer.status, 403)
            self.assertEqual(await self.told(stage, tool, user), 0)

        return Deferred.fromCoroutine(scenario())

    def test_an_old_message_is_refused(self) -> Deferred[None]:
        """
        ``--timestamp`` eleven minutes ago, or in a year long past, is answered 403; nine minutes ago is not too old.
        """

        async def scenario() -> None:
            stage, tool, user = await self.daemon()
            now = stage.reactor.seconds()
            for timestamp, status in (
                (nanoseconds(now - 660), 403),
                ("2017-04-13T14:34:23Z", 403),
                (nanoseconds(now - 540), 200),
            ):
                answer = await tool.send(tool.trigger(to_user=user, secret=SECRET, timestamp=timestamp))
                self.assertEqual(answer.status, status, timestamp)
            self.assertEqual(await self.told(stage, tool, user), 1)

        return Deferred.fromCoroutine(scenario())

    def test_the_second_may_have_any_number_of_digits(self) -> Deferred[None]:
        """
        Go leaves out the zeros at the end of a second, and so from none to nine digits come: all are understood.
        """

        async def scenario() -> None:
            stage, tool, user = await self.daemon()
            second = nanoseconds(int(stage.reactor.seconds())).removesuffix("Z")
            for digits in range(10):
                timestamp = f"{second}{'.' if digits else ''}{'123456789'[:digits]}Z"
                answer = await tool.send(tool.trigger(to_user=user, secret=SECRET, timestamp=timestamp))
                self.assertEqual(answer.status, 200, timestamp)
            self.assertEqual(await self.told(stage, tool, user), 10)

        return Deferred.fromCoroutine(scenario())

    def test_a_timestamp_that_was_not_signed_as_it_is_sent(self) -> Deferred[None]:
        """
        The tool signs ``.12`` when it is given ``.120`` and sends that: the header's bytes count, so it is refused.
        """

        async def scenario() -> None:
            stage, tool, user = await self.daemon()
            second = nanoseconds(int(stage.reactor.seconds())).removesuffix("Z")
            for fraction, status in (("120", 403), ("12", 200)):
                timestamp = f"{second}.{fraction}Z"
                answer = await tool.send(tool.trigger(to_user=user, secret=SECRET, timestamp=timestamp))
                self.assertEqual(answer.status, status, timestamp)

        return Deferred.fromCoroutine(scenario())

    def test_a_revocation_is_acknowledged(self) -> Deferred[None]:
        """
        ``-r user_removed`` turns the message into a revocation: 200, a line in the log, nothing delivered.
        """

        async def scenario() -> None:
            stage = self.stage()
            stage.add_streamer("tanuki")
            daemon = await stage.started()
            tool, user = Tool(stage.reactor, stage.port), stage.twitch.world.channel("tanuki").id
            request = tool.trigger(to_user=user, secret=SECRET, subscription_status="user_removed")
            answer = await tool.send(request)
            self.assertEqual((answer.status, answer.body), (200, b'{"status":"ignored"}'))
            await daemon.said("user_removed")
            self.assertEqual(await self.told(stage, tool, user), 0)

        return Deferred.fromCoroutine(scenario())

    def test_other_events_and_other_streamers_are_ignored(self) -> Deferred[None]:
        """
        ``stream.offline``, and anybody who is not configured, are answered 200 and come to nothing.
        """

        async def scenario() -> None:
            stage, tool, user = await self.daemon()
            for request in (
                tool.trigger(to_user=user, secret=SECRET, topic="stream.offline"),
                tool.trigger(to_user="99999999", secret=SECRET),
            ):
                answer = await tool.send(request)
                self.assertEqual((answer.status, answer.body), (200, b'{"status":"ignored"}'))
            self.assertEqual(await self.told(stage, tool, user), 0)

        return Deferred.fromCoroutine(scenario())

    def test_a_message_that_is_triggered_again(self) -> Deferred[None]:
        """
        ``twitch event retrigger`` sends id and body again under a new time: acknowledged, and not delivered again.
        """

        async def scenario() -> None:
            stage, tool, user = await self.daemon()
            first = tool.trigger(to_user=user, secret=SECRET, event_id="again")
            second = tool.retrigger(first, secret=SECRET)
            self.assertNotEqual(first, second)
            for request in (first, second):
                answer = await tool.send(request)
                self.assertEqual((answer.status, answer.body), (200, b'{"status":"processed"}'))
            self.assertEqual(await self.told(stage, tool, user), 1)

        return Deferred.fromCoroutine(scenario())


class MockTests(StageCase):
    """
    ``twitch mock-api start``.
    """

    def test_an_event_is_enriched(self) -> Deferred[None]:
        """
        With ``twitch.api_url`` and ``twitch.auth_url`` pointing at the mock, a notice has what the mock knows. That it
        keeps followers from an app costs neither the rest nor a token for each event.
        """

        async def scenario() -> None:
            stage = self.stage()
            mock = MockAPI()
            listening = listen(stage.reactor, mock.app.resource())
            self.addCleanup(lambda: Deferred.fromCoroutine(listening.stop()))
            stage.add_streamer("tanuki", user_id=mock.user_id)
            daemon = stage.daemon(
                env={
                    "ITSJUSTINTV_TWITCH_API_URL": f"{listening.url}/mock",
                    "ITSJUSTINTV_TWITCH_AUTH_URL": f"{listening.url}/auth",
                    "ITSJUSTINTV_TWITCH_CLIENT_ID": mock.client_id,
                    "ITSJUSTINTV_TWITCH_CLIENT_SECRET": mock.client_secret,
                    # The mock's pictures are on the real Twitch.
                    "ITSJUSTINTV_IMAGE": "url",
                }
            )
            daemon.start()
            await daemon.ready()
            tool = Tool(stage.reactor, stage.port)
            for number in range(1, 4):
                answer = await tool.send(tool.trigger(to_user=mock.user_id, secret=SECRET))
                self.assertEqual(answer.status, 200)
                payload = (await stage.receiver.delivery("/tanuki", number)).payload
                self.assertEqual(payload["stream"]["title"], "Sample stream!", daemon.output)
                self.assertEqual(payload["stream"]["game_name"], "Just Chatting")
                self.assertEqual(payload["image"]["url"].rpartition("/")[2], "profile_image-300x300.png")
                self.assertNotIn("followers_count", payload)
            self.assertIn("channels/followers", mock.asked)
            # One, and another one in case it was the token's fault.
            self.assertLessEqual(mock.tokens, 2)

        return Deferred.fromCoroutine(scenario())
