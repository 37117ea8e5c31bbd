"""
Tests for :mod:`itsjustintv.routing` and :mod:`itsjustintv.config.sections`.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import TLS, Config, Filter, GlobalWebhook, Server, StreamerEntry, Twitch, callback_url
from itsjustintv.model import Destination, Streamer
from itsjustintv.routing import GLOBAL, Routes


def _routes(**streamers: StreamerEntry) -> Routes:
    return Routes.of(
        Config(streamers=streamers, global_webhook=GlobalWebhook(enabled=True, url="https://everybody.example.org/"))
    )


def _key(streamers: Sequence[Streamer]) -> str | None:
    return streamers[0].key if streamers else None


class MatchTests(SynchronousTestCase):
    """
    Which entry a broadcaster has.
    """

    def test_by_id_before_login(self) -> None:
        """
        An id decides; a login only when no entry has the id.
        """
        routes = _routes(by_id=StreamerEntry(user_id="1"), by_login=StreamerEntry(login="foo"))
        self.assertEqual("by_id", _key(routes.match("1", "foo")))
        self.assertEqual("by_login", _key(routes.match("2", "foo")))
        self.assertEqual((), routes.match("2", "bar"))

    @settings(deadline=None)
    @given(st.text("abcXYZ_09", min_size=1, max_size=25), st.data())
    def test_login_in_any_case(self, login: str, data: st.DataObject) -> None:
        """
        The case of a login, here or at Twitch, makes no difference.
        """
        respelt = "".join(data.draw(st.sampled_from([c.lower(), c.upper()])) for c in login)
        self.assertEqual("a", _key(_routes(a=StreamerEntry(login=login)).match("1", respelt)))

    def test_entry_with_id_is_not_found_by_login(self) -> None:
        """
        A login that passed to somebody else does not bring its former owner's entry along.
        """
        routes = _routes(a=StreamerEntry(user_id="1", login="foo"))
        self.assertEqual((), routes.match("2", "foo"))
        self.assertEqual("a", _key(routes.match("1", "renamed")))

    def test_an_empty_id_or_login_finds_nobody(self) -> None:
        """
        What is unknown on both sides is not the same.
        """
        routes = _routes(a=StreamerEntry(user_id="1"), b=StreamerEntry(login="foo"))
        self.assertEqual((), routes.match("", ""))

    def test_order_and_content(self) -> None:
        """
        Streamers keep the order of the file; logins are lower-case.
        """
        routes = _routes(
            z=StreamerEntry(user_id="1", login="FOO", tag_filter=("Chess",), additional_tags=("x",)),
            a=StreamerEntry(login="Bar", target_webhook_url="https://bar.example.org/"),
        )
        self.assertEqual(
            (
                Streamer(
                    key="z",
                    user_id="1",
                    login="foo",
                    tag_filter=("Chess",),
                    types=("live",),
                    additional_tags=("x",),
                    destinations=("global_webhook",),
                ),
                Streamer(key="a", login="bar", types=("live",), destinations=("streamers.a",)),
            ),
            routes.streamers,
        )

    def test_types(self) -> None:
        """
        Those of the streamer count, else those of ``[filter]``; ``all``, or none at all, are all there are.
        """
        entries = {"own": StreamerEntry(login="a", types=("rerun",)), "usual": StreamerEntry(login="b")}
        for usual, expected in ((("live", "premiere"), ("live", "premiere")), (("all",), ()), ((), ())):
            config = Config(filter=Filter(types=usual), streamers=entries)
            self.assertEqual([each.types for each in Routes.of(config).streamers], [("rerun",), expected])


class WithIdsTests(SynchronousTestCase):
    """
    Ids that are found out later.
    """

    def test_ids_are_filled_in(self) -> None:
        """
        An entry by login is then found by its id, whatever the login has become.
        """
        before = _routes(a=StreamerEntry(login="Foo"))
        after = before.with_ids({"fOO": "7"})
        self.assertEqual("7", after.streamers[0].user_id)
        self.assertEqual("a", _key(after.match("7", "renamed")))
        self.assertEqual("", before.streamers[0].user_id)
        self.assertIsNotNone(after.destination("global_webhook"))

    def test_a_known_id_is_not_found_by_login(self) -> None:
        """
        Whoever takes the login of somebody whose id is known is not that streamer; without an id, the login decides.
        """
        routes = _routes(a=StreamerEntry(login="foo"), b=StreamerEntry(login="bar")).with_ids({"foo": "7"})
        self.assertEqual((), routes.match("8", "foo"))
        self.assertEqual("b", _key(routes.match("8", "bar")))

    def test_configured_ids_stay(self) -> None:
        """
        What Twitch says of a login does not change an id that the operator gave.
        """
        routes = _routes(a=StreamerEntry(user_id="1", login="foo")).with_ids({"foo": "2"})
        self.assertEqual("1", routes.streamers[0].user_id)
        self.assertEqual((), routes.match("2", "foo"))

    def test_later_ids_replace_earlier_ones(self) -> None:
        """
        A login that has passed to somebody else is followed; one that is not mentioned keeps its id.
        """
        routes = _routes(a=StreamerEntry(login="foo"), b=StreamerEntry(login="bar"))
        routes = routes.with_ids({"foo": "1", "bar": "2"}).with_ids({"foo": "3"})
        self.assertEqual(["3", "2"], [streamer.user_id for streamer in routes.streamers])
        self.assertEqual((), routes.match("1", "other"))

    def test_entry_by_id_wins_over_the_same_broadcaster_by_login(self) -> None:
        """
        When a login turns out to be a broadcaster that has an entry by id, that entry is the one, in either order.
        """
        by_id, by_login = StreamerEntry(user_id="1"), StreamerEntry(login="foo")
        for routes in (_routes(a=by_id, b=by_login), _routes(b=by_login, a=by_id)):
            self.assertEqual("a", _key(routes.with_ids({"foo": "1"}).match("1", "foo")))

    def test_every_entry_of_a_channel_is_told_and_nobody_twice(self) -> None:
        """
        Of several entries that turn out to be the same channel each has its own destinations, in an order that does not
        depend on the file as far as ids go; one that has the URL of another, or the same global webhook, is left out.
        """
        one, two = "https://one.example.org/", "https://two.example.org/"
        routes = _routes(
            by_login=StreamerEntry(login="foo", target_webhook_url=two),
            by_id=StreamerEntry(user_id="1", target_webhook_url=one),
            same_url=StreamerEntry(login="bar", target_webhook_url=one),
            everybody=StreamerEntry(login="baz"),
            as_well=StreamerEntry(login="qux"),
        )
        alike = routes.with_ids(dict.fromkeys(("foo", "bar", "baz", "qux"), "1"))
        self.assertEqual(
            [("by_id", ("streamers.by_id",)), ("by_login", ("streamers.by_login",)), ("everybody", (GLOBAL,))],
            [(each.key, each.destinations) for each in alike.match("1", "whoever")],
        )
        self.assertEqual({"1": "by_id"}, alike.keys_by_user_id())
        self.assertEqual(
            ["by_id", "by_login", "same_url", "everybody", "as_well"], [t.key for t in alike.duplicates["1"]]
        )
        # Not even twitch has to be asked to know that whoever streams under a login has it.
        self.assertEqual(["by_id", "by_login"], [each.key for each in routes.match("1", "Foo")])
        self.assertEqual({}, routes.duplicates)


class DestinationTests(SynchronousTestCase):
    """
    Where a notice is sent.
    """

    def test_own_webhook_with_its_own_signing(self) -> None:
        """
        A streamer's URL comes with the streamer's secret, header, hash and signature, or the defaults: never with those
        of the global webhook.
        """
        shared = GlobalWebhook(
            enabled=True,
            url="https://everybody.example.org/",
            target_webhook_secret="shared",
            target_webhook_header="X-Shared",
            target_webhook_hashing="sha-1",
            target_webhook_signature="both",
        )
        plain = StreamerEntry(login="a", target_webhook_url="https://a.example.org/")
        signed = StreamerEntry(
            login="b",
            target_webhook_url="https://b.example.org/",
            target_webhook_secret="own",
            target_webhook_header="X-Own",
            target_webhook_hashing="Sha-512",
            target_webhook_signature="standard",
        )
        routes = Routes.of(Config(global_webhook=shared, streamers={"a": plain, "b": signed}))
        self.assertEqual(
            Destination(name="streamers.a", url="https://a.example.org/"), routes.destination("streamers.a")
        )
        self.assertEqual(
            Destination(
                name="streamers.b",
                url="https://b.example.org/",
                secret="own",
                header="X-Own",
                hashing="sha512",
                signature="standard",
            ),
            routes.destination("streamers.b"),
        )
        self.assertEqual(
            Destination(
                name="global_webhook",
                url="https://everybody.example.org/",
                secret="shared",
                header="X-Shared",
                hashing="sha1",
                signature="both",
            ),
            routes.destination("global_webhook"),
        )

    def test_unknown_names(self) -> None:
        """
        A destination that is not configured any more, or not enabled, is ``None``.
        """
        routes = Routes.of(Config(streamers={"a": StreamerEntry(login="a", target_webhook_url="https://a/")}))
        self.assertIsNone(routes.destination("streamers.b"))
        self.assertIsNone(routes.destination("global_webhook"))

    def test_url_and_secret_are_not_shown(self) -> None:
        """
        Neither is part of ``repr``.
        """
        entry = StreamerEntry(login="a", target_webhook_url="https://a/planted", target_webhook_secret="planted")
        self.assertNotIn("planted", repr(_routes(a=entry)))


class CallbackTests(SynchronousTestCase):
    """
    The callback's address.
    """

    def test_first_that_is_given(self) -> None:
        """
        The whole URL wins over the external domain, that over the first TLS domain, and that over the address.
        """
        tls = TLS(domains=("first.example.org", "second.example.org"))
        url = "https://whole.example.org/some/where"
        self.assertEqual(
            url,
            callback_url(
                Config(
                    server=Server(external_domain="external.example.org", tls=tls),
                    twitch=Twitch(incoming_webhook_url=url),
                )
            ),
        )
        for server, expected in (
            (Server(external_domain="external.example.org", tls=tls), "https://external.example.org/twitch"),
            (Server(tls=tls, port=8443), "https://first.example.org/twitch"),
            (Server(tls=TLS(domains=("2001:db8::1",))), "https://[2001:db8::1]/twitch"),
            (Server(), "http://localhost:8080/twitch"),
            (Server(listen_addr=""), "http://localhost:8080/twitch"),
            (Server(listen_addr="::", port=81), "http://localhost:81/twitch"),
            (Server(listen_addr="127.0.0.1"), "http://127.0.0.1:8080/twitch"),
            (Server(listen_addr="::1"), "http://[::1]:8080/twitch"),
        ):
            self.assertEqual(expected, callback_url(Config(server=server)))
