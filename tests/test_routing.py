"""
Tests of :mod:`itsjustintv.routing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import Config, GlobalWebhook, StreamerEntry
from itsjustintv.model import Destination, DestinationPolicy, Event, Owner, hash_place
from itsjustintv.routing import Routing

from .config.test_destinations import URL, BoardSettings, loaded

EVENT = Event(
    id="e",
    message_id="m",
    stream_id="1",
    broadcaster_id="42",
    broadcaster_login="a_new_name",
    broadcaster_name="",
    type="live",
    started_at="2026-01-02T03:04:05Z",
    received_at=0.0,
)


class RoutingTests(SynchronousTestCase):
    """
    Routes that change.
    """

    def setUp(self) -> None:
        self.config = Config(
            streamers={
                "tanuki": StreamerEntry(login="Tanuki", target_webhook_url="https://a.example/"),
                "kitsune": StreamerEntry(user_id="43", login="kitsune", target_webhook_url="https://b.example/"),
            }
        )
        self.routing = Routing.of(self.config)

    def key(self, event: Event = EVENT) -> str | None:
        """
        Whom an event is about, if anybody wants to know.
        """
        return next((each.key for each in self.routing.match(event)), None)

    def test_an_id_that_is_told_finds_a_streamer_under_any_login(self) -> None:
        """
        Once Twitch has told whose id it is, an event is matched by it, whatever the login is by now.
        """
        self.assertIsNone(self.key())
        self.routing.set_user_ids({"tanuki": "42"})
        self.assertEqual(self.key(), "tanuki")

    def renamed(self, **entry: str) -> str | None:
        """
        Where a delivery to ``streamers.tanuki`` goes when that table has another name.
        """
        entries = {**self.config.streamers, "raccoon": StreamerEntry(**entry)}
        del entries["tanuki"]
        self.routing.configure(evolve(self.config, streamers=entries))
        found = self.routing.destination("streamers.tanuki")
        return None if found is None else found.url

    def test_a_renamed_table_keeps_its_deliveries(self) -> None:
        """
        What waits for a streamer goes where the table of another name says, by the same login or the same id; nothing
        goes to another streamer's receiver.
        """
        self.assertEqual(self.renamed(login="tanuki", target_webhook_url="https://c.example/"), "https://c.example/")
        self.routing.configure(self.config)
        found = self.routing.destination("streamers.tanuki")
        self.assertEqual(found and found.url, "https://a.example/")
        self.routing.set_user_ids({"tanuki": "42"})
        self.assertEqual(self.renamed(user_id="42", target_webhook_url="https://d.example/"), "https://d.example/")
        self.routing.configure(self.config)
        self.assertIsNone(self.renamed(user_id="44", login="raccoon", target_webhook_url="https://d.example/"))

    def test_a_login_that_passed_to_another_channel_is_no_new_name(self) -> None:
        """
        Nor is an entry of the same channel that was there before, and got its own delivery.
        """
        self.routing.set_user_ids({"tanuki": "42"})
        self.assertIsNone(self.renamed(user_id="44", login="tanuki", target_webhook_url="https://d.example/"))
        twin = StreamerEntry(user_id="42", target_webhook_url="https://d.example/")
        self.routing.configure(evolve(self.config, streamers={**self.config.streamers, "twin": twin}))
        self.routing.configure(Config(streamers={"twin": twin}))
        self.assertIsNone(self.routing.destination("streamers.tanuki"))

    def test_a_table_that_is_renamed_again(self) -> None:
        """
        What waits since the first name goes where the last one says.
        """
        self.renamed(login="tanuki", target_webhook_url="https://c.example/")
        last = StreamerEntry(login="tanuki", target_webhook_url="https://e.example/")
        self.routing.configure(Config(streamers={"last": last}))
        urls = [self.routing.destination(f"streamers.{key}") for key in ("tanuki", "raccoon")]
        self.assertEqual([each and each.url for each in urls], [last.target_webhook_url] * 2)

    def test_what_is_for_everybody_goes_to_no_single_streamer(self) -> None:
        """
        The global webhook is nobody's own: switched off while a table is renamed, its deliveries go nowhere.
        """
        shared = GlobalWebhook(enabled=True, url="https://all.example/")
        self.routing.configure(Config(streamers={"tanuki": StreamerEntry(login="tanuki")}, global_webhook=shared))
        own = StreamerEntry(login="tanuki", target_webhook_url="https://c.example/")
        self.routing.configure(Config(streamers={"raccoon": own}))
        self.assertIsNone(self.routing.destination("global_webhook"))

    def test_a_table_that_was_renamed_before_the_start(self) -> None:
        """
        The journal says whose deliveries they are; those that got their own beside them are somebody else.
        """
        for owner, found in (
            (Owner("43", "an_old_login"), True),
            (Owner("", "kitsune"), True),
            (Owner("44", "kitsune"), False),
            (Owner("43", "kitsune", {"kitsune"}), False),
        ):
            routing = Routing.of(self.config)
            routing.set_owners({"streamers.an old name": owner, "global_webhook": owner})
            destination = routing.destination("streamers.an old name")
            self.assertEqual(destination and destination.url, "https://b.example/" if found else None)
            self.assertIsNone(routing.destination("global_webhook"))

    def test_a_streamer_is_there_by_key_or_by_id(self) -> None:
        """
        A table that was renamed is still the same streamer.
        """
        self.assertTrue(self.routing.is_configured("kitsune", ""))
        self.assertTrue(self.routing.is_configured("an old name", "43"))
        self.assertFalse(self.routing.is_configured("an old name", "44"))
        self.assertFalse(self.routing.is_configured("an old name", ""))

    def test_a_new_configuration_keeps_known_ids(self) -> None:
        """
        A streamer that stays, or comes back, is found by the id that was told before.
        """
        self.routing.set_user_ids({"tanuki": "42"})
        self.routing.configure(Config())
        self.assertIsNone(self.key())
        self.routing.configure(self.config)
        self.assertEqual(self.key(), "tanuki")

    def test_a_new_configuration_has_its_own_destinations(self) -> None:
        """
        A destination is what the configuration of the moment says.
        """
        self.assertIsNotNone(self.routing.destination("streamers.tanuki"))
        entry = evolve(self.config.streamers["tanuki"], target_webhook_url="https://c.example/")
        self.routing.configure(Config(streamers={"tanuki": entry}))
        moved = self.routing.destination("streamers.tanuki")
        self.assertEqual(
            (moved and moved.url, self.routing.destination("streamers.kitsune")), (entry.target_webhook_url, None)
        )

    def test_who_is_wanted(self) -> None:
        """
        Subscriptions are for those whose id is known, and the others are to be looked up by login.
        """
        self.assertEqual((self.routing.keys_by_user_id(), self.routing.logins()), ({"43": "kitsune"}, ["tanuki"]))
        self.routing.set_user_ids({"tanuki": "42"})
        self.assertEqual(self.routing.keys_by_user_id(), {"42": "tanuki", "43": "kitsune"})

    def test_a_channel_with_two_entries_is_told_once(self) -> None:
        """
        When Twitch tells that a login is a channel that is configured by id as well, one warning names both entries and
        what to do, health has it as long as it is so, and an event is for both.
        """
        with capturedLogs() as logs:
            self.routing.set_user_ids({"tanuki": "43"})
            self.routing.set_user_ids({"tanuki": "43"})
        [said] = [formatEvent(each) for each in logs]
        self.assertIn("streamers.kitsune and streamers.tanuki are the same channel, 43", said)
        self.assertIn("remove all but one", said)
        self.assertEqual(
            self.routing.problem(), "streamers.kitsune and streamers.tanuki are the same channel: one entry is enough"
        )
        event = evolve(EVENT, broadcaster_id="43")
        self.assertEqual([each.key for each in self.routing.match(event)], ["kitsune", "tanuki"])
        self.routing.configure(evolve(self.config, streamers={"tanuki": self.config.streamers["tanuki"]}))
        self.assertIsNone(self.routing.problem())
        self.assertEqual(self.key(event), "tanuki")
        with capturedLogs() as logs:
            self.routing.configure(self.config)
        self.assertEqual(len(logs), 1)


class NamedDestinationTests(SynchronousTestCase):
    """
    Destinations that streamers share.
    """

    def routing(self, streamers: Mapping[str, Any], **more: Any) -> Routing:
        """
        Routes of streamers to three destinations, of which ``usual`` is the default, and the third is the first again.
        """
        destinations = {
            "main": {"type": "board", "url": URL},
            "usual": {"type": "pager", "url": URL, "default": True},
            "twin": {"type": "board", "url": URL},
            "ended": {"type": "webhook", "url": "https://e.example/", "events": ["offline"], "secret": "s"},
        }
        about = {key: {"user_id": "42", **entry} for key, entry in streamers.items()}
        return Routing.of(loaded({"destinations": destinations, "streamers": about, **more}).config)

    def names(self, routing: Routing, event_type: str = "stream.online") -> Sequence[str]:
        """
        Where an event is sent to.
        """
        found = routing.match(evolve(EVENT, event_type=event_type))
        return [name for each in found for name in each.destinations]

    def test_which_ones_a_streamer_has(self) -> None:
        """
        Its URL alone; its URL and those it names; those it names; or the default ones and the global webhook.
        """
        url = {"target_webhook_url": "https://a.example/"}
        shared = {"global_webhook": {"enabled": True, "url": "https://g.example/"}}
        for entry, wanted in (
            (url, ["streamers.a"]),
            ({**url, "destinations": ["main"]}, ["streamers.a", "main"]),
            ({"destinations": ["main", "global_webhook"]}, ["main", "global_webhook"]),
            ({}, ["usual", "global_webhook"]),
            ({"destinations": "none"}, []),
            ({**url, "destinations": "none"}, ["streamers.a"]),
        ):
            self.assertEqual(wanted, self.names(self.routing({"a": entry}, **shared)), entry)

    def test_an_event_goes_where_it_is_to_be_heard(self) -> None:
        """
        Only destinations that hear of a type get it; a streamer without any is not matched.
        """
        routing = self.routing({"a": {"destinations": ["main", "usual", "ended"]}})
        self.assertEqual(["main", "usual"], self.names(routing))
        self.assertEqual(["main", "ended"], self.names(routing, "stream.offline"))
        self.assertEqual(["main"], self.names(routing, "channel.update"))
        self.assertEqual([], self.names(routing, "channel.raid"))
        self.assertEqual((), self.routing({"a": {"destinations": "none"}}).match(EVENT))

    def test_one_place_once(self) -> None:
        """
        Two names of one place get one notice, within a streamer and over two entries of one channel.
        """
        self.assertEqual(["main"], self.names(self.routing({"a": {"destinations": ["main", "twin"]}})))
        both = self.routing(
            {"a": {"destinations": ["twin"]}, "b": {"user_id": "", "login": "b", "destinations": ["main", "usual"]}}
        )
        both.set_user_ids({"b": "42"})
        self.assertEqual(["twin", "usual"], self.names(both))

    def test_what_is_asked_of_twitch(self) -> None:
        """
        The types are those that some destination of a streamer is to hear of, and beginnings with them.
        """
        online, offline, update = "stream.online", "stream.offline", "channel.update"
        override = {"destinations": ["main"], "at": {"main": {"events": ["online", "update"]}}}
        for entry, wanted in (
            ({"destinations": ["main"]}, {online, offline, update}),
            ({"destinations": ["usual"]}, {online}),
            ({"destinations": ["ended"]}, {online, offline}),
            ({"destinations": "none"}, set()),
            ({"target_webhook_url": "https://a.example/"}, {online}),
            (override, {online, update}),
        ):
            self.assertEqual({"42": wanted}, self.routing({"a": entry}).wanted_types(), entry)

    def test_what_a_destination_is(self) -> None:
        """
        It has the kind's address, settings, place and secrets; one of the type ``webhook`` is what those of today are.
        """
        routing = self.routing({"a": {}})
        main = routing.destination("main")
        assert main is not None
        self.assertEqual(("board", URL, BoardSettings(url=URL)), (main.kind, main.url, main.settings))
        self.assertEqual(hash_place("board", URL, ""), main.place)
        self.assertTrue(main.keeps_posts)
        self.assertIn("a-token-of-many-letters", main.secrets)
        policy = DestinationPolicy(events=("offline",), on_offline="post", on_update="post")
        own = routing.destination("ended")
        assert own is not None
        today = Destination(name="ended", url="https://e.example/", secret="s", policy=policy, edits=False)
        self.assertEqual(evolve(own, settings=None, secrets=("s",)), today)

    def test_what_differs_for_a_streamer(self) -> None:
        """
        A destination is another one for a streamer that says so, with the same place; it is made once.
        """
        routing = self.routing({"a": {"destinations": ["main"], "at": {"main": {"mention": ["role:9"]}}}})
        for_all, for_one = routing.destination("main", "b"), routing.destination("main", "a")
        assert for_all is not None and for_one is not None
        self.assertEqual(((), ("role:9",)), (for_all.policy.mention, for_one.policy.mention))
        self.assertEqual(for_all.place, for_one.place)
        self.assertIs(for_one, routing.destination("main", "a"))
        self.assertIs(for_all, routing.destination("main"))

    def test_a_removed_one_belongs_to_no_streamer(self) -> None:
        """
        What waits for a shared destination that is removed waits for it, not for another one of the streamer.
        """
        routing = self.routing({"a": {"destinations": ["main"]}})
        routing.configure(Config(streamers={"b": StreamerEntry(user_id="42", target_webhook_url="https://a.example/")}))
        self.assertIsNone(routing.destination("main"))
