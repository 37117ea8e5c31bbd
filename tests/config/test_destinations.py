"""
Tests of ``[destinations]``, with a type that no line of the configuration knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, field, fields_dict, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config import destination_checks
from itsjustintv.config.diff import fingerprint
from itsjustintv.config.load import Loaded, parse
from itsjustintv.config.secrets import readable_by_others, secret_files, secrets
from itsjustintv.destinations.kinds import KINDS
from itsjustintv.destinations.webhook import Webhook
from itsjustintv.errors import ConfigError, KindUnavailable
from itsjustintv.interfaces import DestinationKind
from itsjustintv.model import DestinationFilter, DestinationPolicy
from itsjustintv.routing import Routing

from .test_load import REQUIRED, document

URL = "https://board.example/api/1234567890/a-token-of-many-letters"


@frozen(kw_only=True)
class BoardSettings:
    """
    What only a board has.
    """

    url: str = field(repr=False)
    thread: str = ""
    password: str = field(default="", repr=False)
    pinned: bool = False
    columns: int = 2
    ttl: float = 0.0
    labels: tuple[str, ...] = ()


def _check(settings: BoardSettings) -> Iterator[tuple[str, str]]:
    if not settings.url.startswith("https://"):
        yield "url", "must begin with https://"
    if settings.columns > 9:
        yield "columns", "must be at most 9"


BOARD = DestinationKind(
    name="board",
    open=Webhook,
    settings=BoardSettings,
    check=_check,
    place=lambda settings: (settings.url, settings.thread),
    edits=True,
    deletes=True,
    mentions=frozenset({"everyone", "role"}),
    fields=("content",),
)
PAGER = DestinationKind(name="pager", open=Webhook, settings=BoardSettings)
TABLE: Mapping[str, DestinationKind] = {"webhook": KINDS["webhook"], "board": BOARD, "pager": PAGER}


def loaded(
    tables: Mapping[str, Any],
    environ: Mapping[str, str] = {},
    base: Path = Path(),
    kinds: Mapping[str, DestinationKind] = TABLE,
) -> Loaded:
    """
    Load a configuration with these tables.
    """
    return parse(document(dict(tables)) + REQUIRED, environ, base, kinds=kinds)


class DestinationTests(SynchronousTestCase):
    """
    What a table of a destination says.
    """

    def problems(
        self,
        tables: Mapping[str, Any],
        environ: Mapping[str, str] = {},
        kinds: Mapping[str, DestinationKind] = TABLE,
    ) -> dict[str, str]:
        """
        What is wrong, by path; each path once.
        """
        found = self.assertRaises(ConfigError, loaded, tables, environ, kinds=kinds).problems
        self.assertEqual(len(found), len({each.path for each in found}), found)
        return {each.path: each.message for each in found}

    def test_a_type_of_the_table(self) -> None:
        """
        Its settings are an instance of its class, with values of every type.
        """
        about = {"type": "board", "url": URL, "pinned": True, "columns": 3, "ttl": "5m", "labels": ["a"]}
        entry = loaded({"destinations": {"main": about}}).config.destinations["main"]
        self.assertEqual(BoardSettings(url=URL, pinned=True, columns=3, ttl=300.0, labels=("a",)), entry.settings)
        self.assertEqual(("board", False), (entry.type, entry.default))

    def test_usual_policy(self) -> None:
        """
        Where posts can be edited, a destination hears of everything and edits; elsewhere of beginnings only.
        """
        tables = {"a": {"type": "board", "url": URL}, "b": {"type": "pager", "url": URL}}
        found = loaded({"destinations": tables}).config.destinations
        self.assertEqual((("online", "offline", "update"), "edit", "edit"), self.changes(found["a"].policy))
        self.assertEqual((("online",), "post", "post"), self.changes(found["b"].policy))

    def test_what_the_settings_allow(self) -> None:
        """
        Where it depends on the settings whether posts can be edited or deleted, so do the defaults and what is refused.
        """
        slate = evolve(BOARD, edits=lambda settings: settings.pinned, deletes=lambda settings: bool(settings.password))
        kinds = {**TABLE, "board": slate}
        about = {"type": "board", "url": URL}
        tables = {"a": {**about, "pinned": True}, "b": about, "c": {**about, "password": "x", "on_offline": "delete"}}
        found = loaded({"destinations": tables}, kinds=kinds).config.destinations
        self.assertEqual((("online", "offline", "update"), "edit", "edit"), self.changes(found["a"].policy))
        self.assertEqual((("online",), "post", "post"), self.changes(found["b"].policy))
        self.assertEqual("delete", found["c"].policy.on_offline)
        wrong = {"destinations": {"a": {**about, "on_offline": "delete", "on_update": "edit"}}}
        problems = self.assertRaises(ConfigError, loaded, wrong, kinds=kinds).problems
        self.assertEqual(
            {
                "destinations.a.on_offline": 'must be "post", since posts of the type board cannot be deleted with'
                " these settings",
                "destinations.a.on_update": 'must be "post", since posts of the type board cannot be edited with these'
                " settings",
            },
            {each.path: each.message for each in problems},
        )

    def changes(self, policy: Any) -> tuple[object, ...]:
        """
        What becomes of a post.
        """
        return policy.events, policy.on_offline, policy.on_update

    def test_policy(self) -> None:
        """
        Every key of the policy is read.
        """
        about = {
            "type": "board",
            "url": URL,
            "default": True,
            "events": ["online", "offline"],
            "on_offline": "delete",
            "late": "tell",
            "recreate": True,
            "mention": ["role:5", "everyone"],
            "cooldown": "30m",
            "quiet_hours": ["23:00-07:00"],
            "quiet": "drop",
            "timezone": "Europe/Berlin",
            "edit_max_age": "2h",
            "filter": {"categories": ["Art", "!Slots"], "title": ["!rerun", "/day \\d+/"], "types": ["live"]},
            "messages": {"online": {"content": "{{ name }}"}},
        }
        entry = loaded({"destinations": {"main": about}}).config.destinations["main"]
        self.assertTrue(entry.default)
        policy = entry.policy
        self.assertEqual((("online", "offline"), "delete", "edit"), self.changes(policy))
        self.assertEqual(("tell", True, "drop"), (policy.late, policy.recreate, policy.quiet))
        self.assertEqual((1800.0, 7200.0), (policy.cooldown, policy.edit_max_age))
        self.assertEqual(
            DestinationFilter(categories=("Art", "!Slots"), title=("!rerun", "/day \\d+/"), types=("live",)),
            policy.filter,
        )
        self.assertEqual({"online": {"content": "{{ name }}"}}, policy.messages)

    def test_every_mistake(self) -> None:
        """
        Each mistake is reported at its key.
        """
        about = {
            "type": "board",
            "url": "http://board.example/",
            "events": ["online", "begin"],
            "on_offline": "ignore",
            "on_update": "delete",
            "late": "never",
            "mention": ["here"],
            "quiet_hours": ["23-7"],
            "quiet": "hold",
            "timezone": "Europe/Berln",
            "edit_max_age": 0,
            "columns": 10,
            "filter": {"title": ["/(/"], "types": ["lives"], "tags": ["!"]},
            "messages": {"online": {"contents": "x"}, "begin": {}},
        }
        found = self.problems({"destinations": {"main": about}})
        keys = {*about, "filter.title", "filter.types", "filter.tags", "messages.online.contents", "messages.begin"}
        self.assertEqual(
            {f"destinations.main.{each}" for each in keys - {"type", "filter", "messages"}}, set(found), found
        )
        self.assertIn('leave "offline" out of events', found["destinations.main.on_offline"])
        self.assertIn("did you mean Europe/Berlin?", found["destinations.main.timezone"])
        self.assertIn("did you mean content?", found["destinations.main.messages.online.contents"])

    def test_what_a_type_cannot(self) -> None:
        """
        Editing, deleting, mentioning and messages are errors where the type has none of them.
        """
        about = {
            "type": "pager",
            "url": URL,
            "on_offline": "delete",
            "on_update": "edit",
            "mention": ["everyone"],
            "messages": {"online": {"content": ""}},
        }
        found = self.problems({"destinations": {"main": about}})
        self.assertEqual(
            {f"destinations.main.{key}" for key in ("on_offline", "on_update", "mention", "messages.online")},
            set(found),
        )
        self.assertIn("posts of the type pager cannot be deleted", found["destinations.main.on_offline"])
        self.assertIn("posts of the type pager cannot be edited", found["destinations.main.on_update"])

    def test_ids_of_services(self) -> None:
        """
        An id that cannot be one of the service is an error, since the message would mention no one, or be refused.
        """
        bot = {"token": "123456:AAFakeFakeFakeFake", "chat": "-1001"}
        for about, right, wrong in (
            ({"type": "discord", "url": "https://discord.com/api/webhooks/1/a"}, "role:77", "role:@tanuki"),
            ({"type": "slack", "url": "https://hooks.slack.com/services/T/B/x"}, "role:S77", "role:77"),
            ({"type": "slack", "url": "https://hooks.slack.com/services/T/B/x"}, "user:U88", "user:<!here>"),
            ({"type": "telegram", **bot}, "user:88", "user:<a>"),
            ({"type": "telegram", **bot}, "user:@tanuki", "user:@1"),
        ):
            with self.subTest(wrong):
                found = self.problems({"destinations": {"main": {**about, "mention": [right, wrong]}}}, kinds=KINDS)
                self.assertEqual(["destinations.main.mention"], [*found])
                self.assertIn("number 2 must have", found["destinations.main.mention"])

    def test_unknown_keys(self) -> None:
        """
        An unknown key is an error that names the type and the key that may be meant, whose value is checked, too.
        """
        tables = {"destinations": {"main": {"type": "board", "ulr": URL, "colums": 10, "zzz": 1}}}
        self.assertEqual(
            [
                'destinations.main.colums: unknown key of the type "board"; did you mean columns?',
                'destinations.main.ulr: unknown key of the type "board"; did you mean url?',
                'destinations.main.zzz: unknown key of the type "board"',
                "destinations.main.colums: must be at most 9",
            ],
            [str(each) for each in self.assertRaises(ConfigError, loaded, tables).problems],
        )

    def test_types(self) -> None:
        """
        A type that is missing or unknown is the only thing that is said of its table.
        """
        found = self.problems({"destinations": {"a": {"url": 1}, "b": {"type": "bored", "x": 1}, "c": {"type": 1}}})
        known = '"board", "pager", "webhook"'
        self.assertEqual(["destinations.a.type", "destinations.b.type", "destinations.c.type"], sorted(found))
        self.assertIn(f"must be given: one of {known}", found["destinations.a.type"])
        self.assertEqual(f'must be one of {known}; did you mean "board"?', found["destinations.b.type"])

    def test_a_type_that_cannot_be_loaded(self) -> None:
        """
        A type of a package that is broken is an error at the type, with the words of the table.
        """

        class Broken(dict[str, DestinationKind]):
            def __missing__(self, key: str) -> DestinationKind:
                raise KindUnavailable("is of the package foo, which is broken")

            def __contains__(self, key: object) -> bool:
                return True

            def get(self, key: str, default: object = None) -> Any:
                return self[key]

        text = document({"destinations": {"a": {"type": "foo"}}}) + REQUIRED
        [problem] = self.assertRaises(ConfigError, parse, text, {}, kinds=Broken()).problems
        self.assertEqual("destinations.a.type: is of the package foo, which is broken", str(problem))

    def test_names(self) -> None:
        """
        Names are short, in small letters, and no word that has a meaning.
        """
        good = ("a", "0", "a-b_c", "x" * 64)
        bad = ("", "A", "a.b", "-a", "é", "x" * 65, "global_webhook", "none")
        about = {"type": "board", "url": URL}
        self.assertEqual(set(good), set(loaded({"destinations": dict.fromkeys(good, about)}).config.destinations))
        self.assertEqual(len(bad), len(self.problems({"destinations": dict.fromkeys(bad, about)})))

    def test_tables_that_are_none(self) -> None:
        """
        What is no table is reported once, in words of the configuration.
        """
        self.assertEqual(["destinations"], list(self.problems({"destinations": 3})))
        self.assertEqual(["destinations.main"], list(self.problems({"destinations": {"main": 3}})))
        main = {"type": "board", "url": URL}
        streamer = {"login": "tanuki", "destinations": ["main"]}
        for path, tables in (
            ("destinations", {"destinations": [main]}),
            ("streamers", {"streamers": [streamer], "destinations": {"main": main}}),
            (
                "streamers.tanuki.at",
                {"streamers": {"tanuki": {**streamer, "at": "main"}}, "destinations": {"main": main}},
            ),
            ("destinations.main.messages", {"destinations": {"main": {**main, "messages": "live"}}}),
            ("destinations.main.messages.online", {"destinations": {"main": {**main, "messages": {"online": "live"}}}}),
        ):
            self.assertEqual({path: "must be a table"}, self.problems(tables))

    def test_required(self) -> None:
        """
        A setting without a default must be given, wherever it comes from; a wrong one is not also missing.
        """
        found = self.problems(
            {"destinations": {"main": {"type": "board", "url": ""}, "other": {"type": "board", "url": 1}}}
        )
        self.assertEqual(
            {
                "destinations.main.url": "must be given, here, in url_file, or in the environment as"
                " ITSJUSTINTV_DESTINATIONS_MAIN_URL",
                "destinations.other.url": "must be a text in quotes",
            },
            found,
        )


class SecretTests(SynchronousTestCase):
    """
    Secrets of destinations.
    """

    def test_files(self) -> None:
        """
        A secret is read from its file, which is watched, and must not be readable by others.
        """
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        path = folder / "board"
        path.write_text(f"{URL}\n", encoding="utf-8")
        path.chmod(0o644)
        config = loaded({"destinations": {"main": {"type": "board", "url_file": "board"}}}, base=folder).config
        self.assertEqual(URL, config.destinations["main"].settings.url)
        self.assertEqual([str(path)], list(secret_files(config)))
        [problem] = readable_by_others(folder / "none", config)
        self.assertEqual(f"destinations.main.url_file {path}", problem.path)
        path.chmod(0o600)
        self.assertEqual([], list(readable_by_others(folder / "none", config)))

    def test_both(self) -> None:
        """
        A secret and its file, or a file that cannot be read, is one error.
        """
        tables = {"a": {"type": "board", "url": URL, "url_file": "x"}, "b": {"type": "board", "url_file": "/no/file"}}
        error = self.assertRaises(ConfigError, loaded, {"destinations": tables})
        self.assertEqual(["destinations.a.url_file", "destinations.b.url_file"], [each.path for each in error.problems])

    def test_a_secret_in_place_of_its_file(self) -> None:
        """
        An address where the name of a file belongs is not quoted.
        """
        tables = {"destinations": {"main": {"type": "board", "url_file": URL}}}
        [problem] = self.assertRaises(ConfigError, loaded, tables).problems
        self.assertEqual(
            "destinations.main.url_file: must name a file, and is a URL: if that is the secret, move it to url",
            str(problem),
        )

    def test_a_token_in_place_of_its_file(self) -> None:
        """
        A text that may be a secret is not quoted where no file has that name; the name of a file is.
        """
        for name in ("123456789:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghi", "A.b-cdefghijk_m", "abcd efgh ijkl mnop"):
            tables = {"destinations": {"main": {"type": "board", "url": URL, "password_file": name}}}
            [problem] = self.assertRaises(ConfigError, loaded, tables).problems
            self.assertNotIn(name, str(problem))
            self.assertIn("if it is the secret itself, move it to password", problem.message)
        for name in ("password", "password-of-board.txt", "/run/secrets/password"):
            tables = {"destinations": {"main": {"type": "board", "url": URL, "password_file": name}}}
            [problem] = self.assertRaises(ConfigError, loaded, tables).problems
            self.assertIn(f"{name}': No such file", problem.message)

    def test_environment(self) -> None:
        """
        Every key has a variable, which wins over the file; of a secret over both keys.
        """
        environ = {
            "ITSJUSTINTV_DESTINATIONS_MY_BOARD_URL": URL,
            "ITSJUSTINTV_DESTINATIONS_MY_BOARD_COLUMNS": "4",
            "ITSJUSTINTV_DESTINATIONS_MY_BOARD_MENTION": "everyone, role:1",
            "ITSJUSTINTV_DESTINATIONS_MY_BOARD_TTL": "2m",
            "ITSJUSTINTV_DESTINATIONS_MY_BOARD_FILTER_TAGS": "English",
        }
        found = loaded({"destinations": {"my-board": {"type": "board", "url_file": "/no/file"}}}, environ)
        entry = found.config.destinations["my-board"]
        self.assertEqual((), found.warnings)
        self.assertEqual(BoardSettings(url=URL, columns=4, ttl=120.0), entry.settings)
        self.assertEqual(("everyone", "role:1"), entry.policy.mention)
        self.assertEqual(("English",), entry.policy.filter.tags)

    def test_variables_that_set_nothing(self) -> None:
        """
        A variable of a destination that the file does not have, or of a key that its type has not, is warned of; a
        mistake in a variable is reported with its name, and so is a name that two destinations share.
        """
        about = {"type": "board", "url": URL}
        environ = {f"ITSJUSTINTV_DESTINATIONS_{name}": "1" for name in ("MAIN_UURL", "OTHER_X")}
        warnings = loaded({"destinations": {"main": about}}, environ).warnings
        self.assertEqual(set(environ), {each.path for each in warnings})
        environ = {"ITSJUSTINTV_DESTINATIONS_A_B_COLUMNS": "x"}
        for names in (("a-b",), ("a-b", "a_b")):
            tables = {"destinations": dict.fromkeys(names, about)}
            error = self.assertRaises(ConfigError, loaded, tables, environ)
            self.assertEqual([*environ], [each.path for each in error.problems])

    def test_what_is_not_logged(self) -> None:
        """
        Secrets are kept out of the log, and so are the long parts of a URL; ``repr`` shows none.
        """
        about = {"type": "board", "url": URL, "password": "pass word", "labels": ["shown"]}
        config = loaded({"destinations": {"main": about}}).config
        hidden = set(secrets(config, {}))
        self.assertLessEqual({URL, "a-token-of-many-letters", "pass word"}, hidden)
        self.assertNotIn("1234567890", hidden)
        self.assertNotIn("a-token", repr(config))
        self.assertNotIn("pass word", repr(config))

    def test_accidents(self) -> None:
        """
        Probable mistakes in values are warned of, in secrets more closely; messages are left alone.
        """
        about = {"type": "board", "url": f"{URL}/<token>", "password": "changeme", "thread": " 1", "labels": ["a "]}
        about["messages"] = {"online": {"content": " x "}}  # type: ignore[assignment]
        warnings = loaded({"destinations": {"main": about}}).warnings
        self.assertEqual(
            [f"destinations.main.{key}" for key in ("labels", "password", "thread", "url")],
            sorted(each.path for each in warnings),
        )


class OverrideTests(SynchronousTestCase):
    """
    What a streamer says of destinations.
    """

    def setUp(self) -> None:
        self.main = {"type": "board", "url": URL, "filter": {"tags": ["English"]}}

    def tables(self, **streamer: object) -> Mapping[str, Any]:
        """
        A configuration with a streamer.
        """
        return {"destinations": {"main": self.main}, "streamers": {"tanuki": {"login": "tanuki", **streamer}}}

    def problems(self, **streamer: object) -> dict[str, str]:
        """
        What is wrong, by path.
        """
        found = self.assertRaises(ConfigError, loaded, self.tables(**streamer)).problems
        self.assertEqual(len(found), len({each.path for each in found}), found)
        return {each.path: each.message for each in found}

    def test_laid_over(self) -> None:
        """
        What is given for a streamer is laid over, table by table; the destination stays as it is.
        """
        over = {"mention": ["role:9"], "columns": 5, "filter": {"categories": ["Art"]}}
        config = loaded(self.tables(destinations=["main"], at={"main": over})).config
        entry = config.streamers["tanuki"].at["main"]
        self.assertEqual(("role:9",), entry.policy.mention)
        self.assertEqual(DestinationFilter(categories=("Art",), tags=("English",)), entry.policy.filter)
        self.assertEqual(BoardSettings(url=URL, columns=5), entry.settings)
        self.assertEqual(BoardSettings(url=URL), config.destinations["main"].settings)

    def test_what_cannot_differ(self) -> None:
        """
        Type, default, secrets, and what the place consists of are the same for all streamers.
        """
        over = {"type": "pager", "default": True, "url": URL, "password_file": "x", "thread": "5", "columns": 3}
        found = self.problems(destinations=["main"], at={"main": over})
        keys = ("type", "default", "url", "password_file", "thread")
        self.assertEqual({f"streamers.tanuki.at.main.{key}" for key in keys}, set(found))

    def test_where_a_mistake_is_reported(self) -> None:
        """
        A mistake in a key that is not given for the streamer is reported at the destination only; one in a key that is
        given, and a wrong type or an unknown key, at the streamer.
        """
        self.main["columns"] = 10
        self.main["late"] = "never"
        over = {"late": "always", "ttl": "x", "mentoin": [], "filter": {"title": ["/(/"]}}
        found = self.problems(destinations=["main"], at={"main": over})
        keys = ("late", "ttl", "mentoin", "filter.title")
        expected = {"destinations.main.columns", "destinations.main.late"}
        self.assertEqual(expected | {f"streamers.tanuki.at.main.{key}" for key in keys}, set(found), found)

    def test_references(self) -> None:
        """
        Destinations that are not configured are errors, and so are an empty list, and ``none`` with others.
        """
        self.assertIn("did you mean main?", self.problems(destinations=["mian"])["streamers.tanuki.destinations"])
        self.assertIn('write "none"', self.problems(destinations=[])["streamers.tanuki.destinations"])
        self.assertIn("none", self.problems(destinations=["none", "main"])["streamers.tanuki.destinations"])
        self.assertIn("not enabled", self.problems(destinations=["global_webhook"])["streamers.tanuki.destinations"])
        found = self.problems(destinations=["main"], at={"mian": {}})
        self.assertIn("did you mean main?", found["streamers.tanuki.at.mian"])

    def test_no_destination(self) -> None:
        """
        A streamer without any is an error, unless that is what it says.
        """
        self.assertEqual(["streamers.tanuki"], list(self.problems()))
        for none in ("none", ["none"]):
            entry = loaded(self.tables(destinations=none)).config.streamers["tanuki"]
            self.assertEqual(("none",), entry.destinations)
        self.main["default"] = True  # type: ignore[assignment]
        self.assertEqual((), loaded(self.tables()).config.streamers["tanuki"].destinations)

    def test_events_that_are_not_heard(self) -> None:
        """
        What is configured for an event that a destination does not hear of, by itself or for a streamer, is warned of.
        """
        self.main.update(events=["online"], on_offline="delete", messages={"update": {"content": "x"}})  # type: ignore[call-overload]
        tables = self.tables(destinations=["main"])
        self.assertEqual(
            ["destinations.main.messages.update", "destinations.main.on_offline"],
            sorted(each.path for each in loaded(tables).warnings),
        )
        tables = self.tables(destinations=["main"], at={"main": {"events": ["online", "offline", "update"]}})
        self.assertEqual((), tuple(loaded(tables).warnings))

    def test_defaults_of_one_place(self) -> None:
        """
        Two default destinations that are one place are warned of, once.
        """
        self.main["default"] = True  # type: ignore[assignment]
        tables = {**self.tables(), "destinations": {"main": self.main, "twin": self.main}}
        [warning] = loaded(tables).warnings
        self.assertEqual("destinations.twin.default", warning.path)

    def test_addresses_of_other_types(self) -> None:
        """
        The URL of a chat service in a destination of another type is warned of, without the URL.
        """
        discord = "https://discord.com/api/webhooks/123456789/aTokenOfDiscordThatIsLong"
        google = "https://chat.googleapis.com/v1/spaces/x/messages"
        connector = "https://acme.webhook.office.com/webhookb2/a/IncomingWebhook/b/c"
        for kind, url, words in (
            ("webhook", discord, 'set type to "discord"'),
            ("webhook", google, "accepts only its own message format"),
            ("teams", connector, "no longer works"),
        ):
            tables = {**self.tables(destinations=["main"]), "destinations": {"main": {"type": kind, "url": url}}}
            [warning] = loaded(tables, kinds=KINDS).warnings
            self.assertEqual("destinations.main.url", warning.path)
            self.assertIn(words, warning.message)
            self.assertNotIn(url, warning.message)

    def test_no_time_zones(self) -> None:
        """
        Where the machine knows no time zones, that is said of a name that is right elsewhere.
        """
        self.patch(destination_checks, "available_timezones", set)
        self.main["timezone"] = "Nowhere/Atall"  # type: ignore[assignment]
        found = self.problems(destinations=["main"])
        self.assertIn("install the package tzdata", found["destinations.main.timezone"])

    def test_no_effect(self) -> None:
        """
        What is given for a destination that the streamer does not have, and one place under two names, is warned of.
        """
        tables = dict(self.tables(destinations=["main", "twin"], at={"third": {}}))
        tables["destinations"] = {"main": self.main, "twin": self.main, "third": {**self.main, "thread": "1"}}
        self.assertEqual(
            ["streamers.tanuki.at.third", "streamers.tanuki.destinations"],
            sorted(each.path for each in loaded(tables).warnings),
        )


_VALUES = st.recursive(
    st.booleans()
    | st.integers(-3, 99)
    | st.text(max_size=6)
    | st.sampled_from(["edit", "role:1", "here", "/(a+)+/", "!x", "5m", "23:00-07:00", "Europe/Berlin", "none", URL]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["online", "content", "title", "x", ""]), inner, max_size=3)
    ),
    max_leaves=5,
)
_ABOUT = st.dictionaries(
    st.sampled_from(sorted({*fields_dict(DestinationPolicy), *fields_dict(BoardSettings), "url_file", "default", "x"})),
    _VALUES,
    max_size=5,
)
_TYPED = st.builds(lambda about, kind: {"type": kind, **about}, _ABOUT, st.sampled_from([*TABLE, "other"])) | _ABOUT
_NAMES = st.sampled_from(["main", "other", "none", "A b", ""])
_STREAMER = st.fixed_dictionaries(
    {"login": st.just("a")},
    optional={"destinations": _VALUES, "at": st.dictionaries(_NAMES, _ABOUT, max_size=2) | _VALUES},
)


class AnythingTests(SynchronousTestCase):
    """
    What holds for all tables whatsoever.
    """

    @settings(deadline=None)
    @given(
        st.dictionaries(_NAMES, _TYPED | _VALUES, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b c"]), _STREAMER, max_size=2),
        st.dictionaries(
            st.sampled_from([f"ITSJUSTINTV_DESTINATIONS_MAIN_{key}" for key in ("URL", "TTL", "PINNED", "MENTION")]),
            st.text(st.characters(exclude_characters="\0"), max_size=6),
        ),
    )
    def test_any_tables(self, destinations: dict[str, Any], streamers: dict[str, Any], environ: dict[str, str]) -> None:
        """
        They are loaded and make routes, or are refused with problems of one line each, none of them twice, and none
        with what may be a secret.
        """
        try:
            found = loaded({"destinations": destinations, "streamers": streamers}, environ)
        except ConfigError as error:
            self.assertEqual(len(error.problems), len(str(error).splitlines()))
            self.assertEqual(len(error.problems), len(set(error.problems)))
            self.assertNotIn("a-token", str(error))
        else:
            Routing.of(found.config).wanted_types()
            fingerprint(found.config)
            self.assertNotIn("a-token", repr(found.config))
            self.assertNotIn("a-token", str(found.warnings))
