"""
Everything that is wrong with a configuration is told in one run, whatever it is and in whatever company.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.load import parse
from itsjustintv.errors import ConfigError
from tests import examples

from .test_load import document


@define
class World:
    """
    A configuration that is right, until something is made wrong in it.

    :ivar wrong: where something is told.
    """

    tables: dict[str, Any] = field(
        factory=lambda: {
            "twitch": {"client_id": "id", "client_secret": "client secret", "webhook_secret": "webhook secret"},
            "streamers": {},
        }
    )
    environ: dict[str, str] = field(factory=dict)
    wrong: list[str] = field(factory=list)

    def set(self, path: str, value: object) -> None:
        """
        Set a value.
        """
        *above, last = path.split(".")
        table = self.tables
        for key in above:
            table = table.setdefault(key, {})
        table[last] = value

    def streamer(self, **about: object) -> str:
        """
        Add a streamer, as sound as these are.

        :return: the path of its table.
        """
        number = len(self.tables["streamers"])
        whole = {"login": f"login_{number}", "target_webhook_url": "https://hooks.example.org/", **about}
        self.tables["streamers"][f"s{number}"] = {key: value for key, value in whole.items() if value is not None}
        return f"streamers.s{number}"


Fault = Callable[[World], list[str]]


def value(path: str, *values: object, told: int = 1) -> Fault:
    """
    A wrong value somewhere.
    """

    def make(world: World) -> list[str]:
        world.set(path, values[0])
        return [path] * told

    return make


def streamer(key: str, told: int = 1, **about: object) -> Fault:
    """
    A streamer with something wrong, told at a key or, if that is empty, at the table.
    """
    return lambda world: [f"{world.streamer(**about)}.{key}".removesuffix(".")] * told


def variable(name: str, text: str) -> Fault:
    """
    A variable that is wrong.
    """

    def make(world: World) -> list[str]:
        world.environ[name] = text
        return [name]

    return make


def misspelt(world: World) -> list[str]:
    """
    A table by a wrong name, with something wrong in it.
    """
    world.set("teletry", {"endpoint": "ftp://h.example/", "enabled": "yes"})
    return ["teletry", "teletry.endpoint", "teletry.enabled"]


def twins(world: World) -> list[str]:
    """
    Two streamers that are one.
    """
    world.streamer(login="twin", user_id="12345")
    return [f"{world.streamer(login='Twin')}.login", f"{world.streamer(login=None, user_id='12345')}.user_id"]


#: None of them rests on another.
FAULTS: Mapping[str, Fault] = {
    "unknown table": value("zzz", {"a": 1}),
    "unknown key": value("server.zzz", 1),
    "misspelt key": value("retry.max_attemps", 3),
    "misspelt key with a wrong value": value("retry.backof_factor", 0.5, told=2),
    "misspelt key of another type": value("logging.levl", 5),
    "misspelt table": misspelt,
    "type": value("server.port", "80"),
    "range": value("output.max_lines", 0),
    "url": value("twitch.api_url", "https://user@h.example:0/?a", told=3),
    "duration": value("cache.ttl", "1d"),
    "list": value("server.trusted_proxies", ["10.0.0.1/8", "nowhere", "10.0.0.0/8"], told=2),
    "list of types": value("logging.levels", ["a", 1]),
    "order": value("retry.max_delay", "1s"),
    "secret": value("twitch.webhook_secret", "short"),
    "file of a secret": value("admin.token_file", "no/such/file"),
    "words": value("image", "none"),
    "variable of a type": variable("ITSJUSTINTV_RETRY_CONCURRENCY", "two"),
    "variable with a value": variable("ITSJUSTINTV_FILTER_ON_ERROR", "drop"),
    "variable for a file": variable("ITSJUSTINTV_GLOBAL_WEBHOOK_TARGET_WEBHOOK_SECRET_FILE", "no/such/file"),
    "streamer without a login": streamer("", login=None),
    "streamer with a wrong login": streamer("login", told=2, login="no login " * 9),
    "streamer with a misspelt login": streamer("logn", login=None, logn="a_b"),
    "streamer without a receiver": streamer("", target_webhook_url=None),
    "streamer with a wrong receiver": streamer("target_webhook_url", told=2, target_webhook_url="https://h..x/#a"),
    "streamer with the old name of its receiver": streamer(
        "webhook_url", told=2, target_webhook_url=None, webhook_url="ftp://h.example/"
    ),
    "streamer with a receiver of another type": streamer("target_webhook_url", target_webhook_url=["https://h/"]),
    "streamer with an unknown key": streamer("zzz", zzz={}),
    "streamer with an unknown hash": streamer("target_webhook_hashing", target_webhook_hashing="md5"),
    "streamer that cannot sign": streamer("target_webhook_secret", target_webhook_signature="standard"),
    "streamer without the file of its secret": streamer(
        "target_webhook_secret_file", target_webhook_signature="both", target_webhook_secret_file="no/such/file"
    ),
    "streamer with both": streamer(
        "target_webhook_secret_file", target_webhook_secret="a", target_webhook_secret_file="no/such/file"
    ),
    "streamer that is no table": lambda world: (world.tables["streamers"].update(table=1), ["streamers.table"])[1],
    "twins": twins,
}


def told(world: World) -> list[str]:
    """
    Where something is wrong.
    """
    try:
        parse(document(world.tables), world.environ, Path("/"))
    except ConfigError as error:
        return sorted(problem.path for problem in error.problems)
    return []


class EverythingTests(SynchronousTestCase):
    """
    Faults in company.
    """

    def test_each_alone(self) -> None:
        """
        Each fault is told as what it is, and as nothing else.
        """
        for name, fault in FAULTS.items():
            world = World()
            wrong = fault(world)
            self.assertEqual(sorted(wrong), told(world), name)

    def test_all_together(self) -> None:
        """
        All faults there are in one file are told in one run.
        """
        world = World()
        wrong = [path for fault in FAULTS.values() for path in fault(world)]
        self.assertEqual(sorted(wrong), told(world))

    @settings(deadline=None, max_examples=examples(60))
    @given(st.lists(st.sampled_from(sorted(FAULTS)), unique=True), st.randoms())
    def test_any_combination(self, names: list[str], random: Any) -> None:
        """
        No fault hides another, and none makes another.
        """
        world = World()
        random.shuffle(names)
        wrong = [path for name in names for path in FAULTS[name](world)]
        self.assertEqual(sorted(wrong), told(world))

    def test_a_misspelt_table_hides_nothing(self) -> None:
        """
        Streamers below a misspelt heading are judged as streamers, and told where they stand.
        """
        tables = World().tables
        tables["streamer"] = {"a": {"login": "not a login", "target_webhook_url": "ftp://h.example/"}, "b": {}}
        del tables["streamers"]
        world = World(tables=tables)
        expected = ["streamer", "streamer.a.login", "streamer.a.target_webhook_url", "streamer.b", "streamer.b"]
        self.assertEqual(expected, told(world))

    def test_a_misspelt_table_beside_the_right_one(self) -> None:
        """
        What a misspelt table holds is judged where it stands although the table is there under its right name as well;
        what both hold is judged once.
        """
        tables = World().tables
        tables["streamers"] = {"a": {"login": "a", "target_webhook_url": "https://h.example/"}}
        tables["streamer"] = {"b": {"login": "not a login"}, "a": {"login": "!", "types": ["x"]}, "c": 3}
        tables["server"] = {"port": 80, "tls": {"enabled": False}}
        tables["sever"] = {"port": 0, "tls": {"enabled": "yes", "eab_kidd": "a b"}, "external_domain": "a_b"}
        expected = ["sever", "sever.external_domain", "sever.tls.eab_kidd", "sever.tls.eab_kidd", "streamer"]
        expected += ["streamer.a.types", "streamer.b", "streamer.b.login", "streamer.c"]
        self.assertEqual(expected, told(World(tables=tables)))

    def test_required_values_below_a_misspelt_heading(self) -> None:
        """
        What is required and stands below a misspelt heading is not told to be missing.
        """
        tables = World().tables
        tables["twich"] = tables.pop("twitch")
        self.assertEqual(["twich"], told(World(tables=tables)))

    def test_a_variable_overrides_what_is_misspelt(self) -> None:
        """
        What is wrong with a variable is told although the file has its key misspelt.
        """
        world = World(environ={"ITSJUSTINTV_RETRY_MAX_AGE": "soon"})
        world.set("retry.max_agee", "1h")
        self.assertEqual(["ITSJUSTINTV_RETRY_MAX_AGE", "retry.max_agee"], told(world))

    def test_what_may_be_why(self) -> None:
        """
        What is seldom meant is told beside what is wrong: a blank in the name of a variable may be why another value is
        missing.
        """
        tables = World().tables
        del tables["twitch"]["client_secret"]
        tables["twitch"]["webhook_secret"] = "'webhook secret'"
        tables["streamers"]["a"] = {"login": "a", "target_webhook_url": "https://hooks.slack.com/services/<token>"}
        tables["cache"] = {"ttl": "1 h"}
        with self.assertRaises(ConfigError) as caught:
            parse(document(tables), {"ITSJUSTINTV_TWITCH_CLIENT_SECRET ": "x"})
        self.assertEqual(["cache.ttl", "twitch.client_secret"], [each.path for each in caught.exception.problems])
        url = "streamers.a.target_webhook_url"
        expected = ['"ITSJUSTINTV_TWITCH_CLIENT_SECRET "', "twitch.webhook_secret", url, url]
        self.assertEqual(expected, [each.path for each in caught.exception.warnings])
        self.assertEqual(6, len(list(caught.exception.lines())))

    def test_what_is_no_toml(self) -> None:
        """
        A file that is no TOML does not hide what is wrong with the environment.
        """
        environ = {"ITSJUSTINTV_SERVER_PORT": "x", "ITSJUSTINTV_TWITCH_API_URL": "ftp://h.example/"}
        with self.assertRaises(ConfigError) as caught:
            parse("[twitch", environ)
        paths = [problem.path for problem in caught.exception.problems]
        self.assertEqual(["config.toml", "ITSJUSTINTV_SERVER_PORT", "ITSJUSTINTV_TWITCH_API_URL"], paths)
