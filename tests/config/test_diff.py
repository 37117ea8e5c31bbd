"""
Tests for :mod:`itsjustintv.config.diff`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_type_hints

import attrs
from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.diff import Changes, changes, fingerprint
from itsjustintv.config.sections import (
    TLS,
    Admin,
    Cache,
    Config,
    GlobalWebhook,
    Server,
    StreamerEntry,
    Twitch,
)

from .test_destinations import URL, loaded

PLAIN = Config(twitch=Twitch(client_id="id", client_secret="an old secret", webhook_secret="another old secret"))


def secrets(section: type = Config) -> Iterator[tuple[type, str]]:
    """
    Every attribute of the sections that is never shown, with its section.
    """
    for attribute in attrs.fields(section):
        kind = get_type_hints(section)[attribute.name]
        if attrs.has(kind):
            yield from secrets(kind)
        elif not attribute.repr:
            yield section, attribute.name


def said(old: Config, new: Config) -> list[str]:
    """
    What is said of a change.
    """
    return list(changes(old, new).lines())


class ChangesTests(SynchronousTestCase):
    """
    A log says what has changed.
    """

    def test_the_same_is_no_change(self) -> None:
        """
        Two configurations that are equal differ in nothing.
        """
        again = evolve(PLAIN, streamers=dict(PLAIN.streamers))
        self.assertEqual(changes(PLAIN, again), Changes())
        self.assertFalse(changes(PLAIN, again))

    def test_a_key_is_told_with_both_values(self) -> None:
        """
        A key in a table within a table is named in full, with what it was and what it is.
        """
        tls = evolve(PLAIN.server.tls, enabled=True, domains=("example.org",))
        new = evolve(PLAIN, server=Server(port=9090, tls=tls), cache=Cache(ttl=90.5))
        self.assertEqual(
            said(PLAIN, new),
            [
                "server.port: 8080 -> 9090",
                "server.tls.enabled: false -> true",
                'server.tls.domains: [] -> ["example.org"]',
                "cache.ttl: 2 h -> 90.5 s",
            ],
        )
        self.assertEqual(changes(PLAIN, new).count, 4)

    def test_no_secret_is_told(self) -> None:
        """
        Of every value that the sections hide only the fact of the change is told.
        """
        for section, name in secrets():
            with self.subTest(f"{section.__name__}.{name}"):
                if section is StreamerEntry:
                    old, new = (
                        evolve(PLAIN, streamers={"foo": StreamerEntry(**{name: value})}) for value in ("old", "new")
                    )
                    expected = [f"1 streamer changed: foo ({name})"]
                elif section is TLS:
                    old, new = (evolve(PLAIN, server=Server(tls=TLS(**{name: value}))) for value in ("old", "new"))
                    expected = [f"server.tls.{name}: changed"]
                else:
                    table = {Twitch: "twitch", GlobalWebhook: "global_webhook", Admin: "admin"}[section]
                    old, new = (evolve(PLAIN, **{table: section(**{name: value})}) for value in ("old", "new"))
                    expected = [f"{table}.{name}: changed"]
                self.assertEqual(said(old, new), expected)

    def test_an_address_is_a_secret(self) -> None:
        """
        No address is told, since many hold a token.
        """
        old = evolve(PLAIN, twitch=Twitch(incoming_webhook_url="https://one.example.org/twitch"))
        new = evolve(PLAIN, twitch=Twitch(incoming_webhook_url="https://two.example.org/twitch"))
        self.assertEqual(said(old, new), ["twitch.incoming_webhook_url: changed"])

    def test_streamers_are_told_by_what_became_of_them(self) -> None:
        """
        Streamers are added, removed and changed; for the last it is said in what.
        """
        old = evolve(
            PLAIN,
            streamers={
                "a b": StreamerEntry(login="a"),
                "gone": StreamerEntry(),
                "as is": StreamerEntry(login="c"),
            },
        )
        new = evolve(
            PLAIN,
            streamers={
                "as is": StreamerEntry(login="c"),
                "new": StreamerEntry(),
                "a b": StreamerEntry(login="b", tag_filter=("English",)),
            },
        )
        self.assertEqual(
            said(old, new),
            ["1 streamer added: new", "1 streamer removed: gone", '1 streamer changed: "a b" (login, tag_filter)'],
        )

    def test_thousands_of_streamers_are_one_line(self) -> None:
        """
        Of many streamers the first few are named, and the rest counted.
        """
        new = evolve(PLAIN, streamers={f"s{number}": StreamerEntry() for number in range(10_000)})
        (line,) = said(PLAIN, new)
        self.assertTrue(line.startswith("10000 streamers added: s0, s1, "), line)
        self.assertTrue(line.endswith(", s19 and 9980 more"), line)

    def test_an_order_is_no_change(self) -> None:
        """
        Streamers in another order are the same streamers.
        """
        streamers = {"a": StreamerEntry(login="a"), "b": StreamerEntry(login="b")}
        old = evolve(PLAIN, streamers=streamers)
        new = evolve(PLAIN, streamers=dict(reversed(streamers.items())))
        self.assertFalse(changes(old, new))
        self.assertEqual(fingerprint(old), fingerprint(new))

    def test_destinations_are_told_by_what_became_of_them(self) -> None:
        """
        Destinations are added, removed and changed; for the last the keys are named, without values. So is a streamer
        for which one differs.
        """
        old = loaded(
            {
                "destinations": {
                    "gone": {"type": "board", "url": URL},
                    "main": {"type": "board", "url": URL, "columns": 1},
                    "other": {"type": "board", "url": URL},
                },
                "streamers": {"a": {"login": "a", "destinations": ["main"]}},
            }
        ).config
        new = loaded(
            {
                "destinations": {
                    "main": {
                        "type": "board",
                        "url": f"{URL}-2",
                        "columns": 2,
                        "mention": ["everyone"],
                        "default": True,
                    },
                    "new": {"type": "board", "url": URL},
                    "other": {"type": "pager", "url": URL, "events": ["online", "offline", "update"]},
                },
                "streamers": {"a": {"login": "a", "destinations": ["main"], "at": {"main": {"cooldown": "5m"}}}},
            }
        ).config
        self.assertEqual(
            said(old, new),
            [
                "destinations.gone: removed",
                "destinations.main: changed (default, mention, url, columns)",
                "destinations.other: changed (type, on_offline, on_update)",
                "destinations.new: added",
                "1 streamer changed: a (at)",
            ],
        )
        self.assertEqual(5, changes(old, new).count)
        self.assertNotEqual(fingerprint(old), fingerprint(new))
        self.assertEqual([], said(old, old))


class FingerprintTests(SynchronousTestCase):
    """
    Configurations are told apart by a few digits.
    """

    def test_every_change_shows(self) -> None:
        """
        Another value gives another fingerprint, a secret among them; the same values give the same.
        """
        others = [
            evolve(PLAIN, image="url"),
            evolve(PLAIN, twitch=evolve(PLAIN.twitch, client_secret="a new secret")),
            evolve(PLAIN, twitch=evolve(PLAIN.twitch, webhook_secret="a new secret")),
            evolve(PLAIN, streamers={"é": StreamerEntry(login="foo")}),
        ]
        prints = {fingerprint(config) for config in [PLAIN, *others]}
        self.assertEqual(len(prints), 5)
        self.assertIn(fingerprint(evolve(PLAIN)), prints)
        for each in prints:
            self.assertRegex(each, "^[0-9a-f]{16}$")

    def test_swapping_two_secrets_shows(self) -> None:
        """
        The secrets are not mixed into one key.
        """
        twitch = PLAIN.twitch
        swapped = evolve(twitch, client_secret=twitch.webhook_secret, webhook_secret=twitch.client_secret)
        self.assertNotEqual(fingerprint(PLAIN), fingerprint(evolve(PLAIN, twitch=swapped)))
