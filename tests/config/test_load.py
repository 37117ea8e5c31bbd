"""
Tests for :mod:`itsjustintv.config.load` and what it is made of.
"""

from __future__ import annotations

import os
import sys
import tomllib
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.keys import Leaf, leaves
from itsjustintv.config.load import Loaded, load, parse
from itsjustintv.config.secrets import SECRETS
from itsjustintv.config.sections import Config, StreamerEntry, Twitch
from itsjustintv.errors import ConfigError, Problem
from itsjustintv.support.regular_files import read_again

_DATA = Path(__file__).parents[1] / "data" / "config"

REQUIRED = """
[twitch]
client_id = "id"
client_secret = "client secret"
webhook_secret = "webhook secret"
"""

_SENT = 'target_webhook_url = "https://receiver.example.org/hook/{}?token=abcdef"'

_TWITCH = Twitch(client_id="id", client_secret="client secret", webhook_secret="webhook secret")

#: What each type of key may be set to in the environment, and what that becomes.
_VARIABLES: Mapping[str, tuple[str, object]] = {
    "image": ("url", "url"),
    "server.listen_addr": ("::1", "::1"),
    "server.port": ("443", 443),
    "server.external_domain": ("hooks.example.org:8443", "hooks.example.org:8443"),
    "server.tls.enabled": ("TRUE", True),
    "server.tls.domains": ("a.example.org, b.example.org,", ("a.example.org", "b.example.org")),
    "server.tls.agree_to_terms": ("true", True),
    "server.tls.challenge": ("both", "both"),
    "server.tls.eab_kid": ("kid", "kid"),
    "server.tls.eab_hmac": ("c2VjcmV0", "c2VjcmV0"),
    "server.tls.renew_fraction": ("0.5", 0.5),
    "twitch.webhook_secret": ("from the environment", "from the environment"),
    "twitch.incoming_webhook_url": ("https://hooks.example.org/", "https://hooks.example.org/"),
    "retry.max_age": ("90m", 5400.0),
    "retry.timeout": ("7.5", 7.5),
    "retry.jitter": ("0.5", 0.5),
    "retry.backoff_factor": ("3", 3.0),
    "output.enabled": ("0", False),
    "telemetry.endpoint": ("http://localhost:4318", "http://localhost:4318"),
    "filter.on_error": ("hold", "hold"),
}


def _problems(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    try:
        parse(text, environ or {})
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def _needed(leaf: Leaf) -> bool:
    """
    Whether it is a secret, where one is read from, or what Twitch or an authority has given.
    """
    name = leaf.keys[-1].removesuffix("_file")
    return (*leaf.keys[:-1], name) in SECRETS or leaf.keys[-1] in {"client_id", "eab_kid"}


def _get(config: Config, path: str) -> object:
    value: Any = config
    for key in path.split("."):
        value = getattr(value, key)
    return value


class BrokenFilesTests(SynchronousTestCase):
    """
    The files in tests/data/config, each with the problems that it must be told, one a line.
    """

    def test_every_problem_is_told_at_once(self) -> None:
        """
        A broken file is answered with exactly the problems listed beside it.
        """
        for path in sorted(_DATA.glob("*.toml")):
            expected = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
            self.assertEqual(expected, _problems(path.read_text(encoding="utf-8")), path.name)

    def test_no_message_quotes_a_secret(self) -> None:
        """
        Nothing that stands where a secret or a webhook URL belongs shows up in a message.
        """
        for path in _DATA.glob("*.txt"):
            self.assertNotIn("planted", path.read_text(encoding="utf-8"), path.name)


class LoadTests(SynchronousTestCase):
    """
    Reading the file.
    """

    def setUp(self) -> None:
        """
        Have a folder that should stay as it is.
        """
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "config.toml"

    def _told(self) -> tuple[Problem, ...]:
        with self.assertRaises(ConfigError) as caught:
            load(self.path, {})
        return caught.exception.problems

    def test_loading_creates_nothing(self) -> None:
        """
        A configuration full of paths is loaded, and no file or folder appears.
        """
        self.path.write_text(f'{REQUIRED}token_file = "{self.folder}/data/tokens.json"', encoding="utf-8")
        load(self.path, {})
        self.assertEqual([self.path], list(self.folder.iterdir()))

    def test_missing_file_is_one_problem(self) -> None:
        """
        A file that is not there is named, with the ways to name another.
        """
        expected = Problem(str(self.path), "does not exist; give --config, or write one with itsjustintv init")
        self.assertEqual((expected,), self._told())

    def test_a_file_that_is_gone_while_the_daemon_runs(self) -> None:
        """
        Who has given ``--config`` is not told to give it.
        """
        with self.assertRaises(ConfigError) as caught:
            load(self.path, {}, read_file=read_again)
        self.assertEqual((Problem(str(self.path), "does not exist; put it back"),), caught.exception.problems)

    def test_folder_is_not_a_file(self) -> None:
        """
        A file that cannot be read is named with the system's reason.
        """
        self.path.mkdir()
        self.assertEqual(
            (Problem(str(self.path), "cannot be read: it is a directory, use a regular file"),), self._told()
        )

    def test_what_is_not_a_regular_file(self) -> None:
        """
        A named pipe, a device and an endless file are one problem each, at once and without memory.
        """
        os.mkfifo(self.path)
        problem = Problem(str(self.path), "cannot be read: it is a named pipe, use a regular file")
        self.assertEqual((problem,), self._told())
        self.path.unlink()
        self.path.symlink_to("/dev/zero")
        problem = Problem(str(self.path), "cannot be read: it is a device, use a regular file")
        self.assertEqual((problem,), self._told())
        self.path.unlink()
        self.path.touch()
        os.truncate(self.path, 6 * 1024**3)
        self.assertEqual((Problem(str(self.path), "cannot be read: it is larger than 16 MiB"),), self._told())

    def test_not_utf8(self) -> None:
        """
        A file in another encoding is refused, saying where it stops to be UTF-8.
        """
        self.path.write_bytes(b'image = "\xe4"')
        self.assertEqual((Problem(str(self.path), "is not UTF-8 (at byte 9)"),), self._told())

    def test_not_toml(self) -> None:
        """
        A syntax error names the file and the line.
        """
        self.path.write_text('image = "url"\nserver\n[twitch]', encoding="utf-8")
        [problem] = self._told()
        self.assertEqual(str(self.path), problem.path)
        self.assertIn("line 2", problem.message)

    def test_byte_order_mark(self) -> None:
        """
        The mark that some editors put first is not part of the text.
        """
        self.path.write_bytes(b"\xef\xbb\xbf" + REQUIRED.encode())
        self.assertEqual(Config(twitch=_TWITCH), load(self.path, {}, Path()).config)

    def test_nested_too_deeply(self) -> None:
        """
        A file that only a stack overflow could read is refused.
        """
        self.assertIn("nested too deeply", " ".join(_problems("a = " + "[" * 10000)))

    def test_number_too_long_for_python(self) -> None:
        """
        A number of thousands of digits is refused.
        """
        self.assertIn("is not TOML", " ".join(_problems("a = " + "1" * 5000)))


class ParseTests(SynchronousTestCase):
    """
    What a configuration becomes.
    """

    def test_defaults(self) -> None:
        """
        With the three required values and nothing else, everything else is the default.
        """
        self.assertEqual(Config(twitch=_TWITCH), parse(REQUIRED, {}).config)

    def test_streamers(self) -> None:
        """
        A table of streamers becomes entries under the operator's names.
        """
        text = f"""{REQUIRED}
            [streamers."Foo Bar"]
            login = "Foo"
            user_id = "12"
            target_webhook_url = "http://localhost:9000/hook"
            tag_filter = ["English"]
            target_webhook_hashing = "sha-512"
        """
        entry = StreamerEntry(
            login="Foo",
            user_id="12",
            target_webhook_url="http://localhost:9000/hook",
            tag_filter=("English",),
            target_webhook_hashing="sha-512",
        )
        self.assertEqual({"Foo Bar": entry}, parse(text, {}).config.streamers)

    def test_global_webhook_is_enough_for_a_streamer(self) -> None:
        """
        A streamer without a URL is all right while the global webhook is enabled.
        """
        streamer = '[streamers.a]\nlogin = "a"'
        enabled = '[global_webhook]\nenabled = true\nurl = "https://hooks.example.org/"'
        self.assertNotEqual([], _problems(f"{REQUIRED}{streamer}"))
        self.assertEqual([], _problems(f"{REQUIRED}{enabled}\n{streamer}"))

    def test_standard_webhooks_secret(self) -> None:
        """
        A ``whsec_`` secret of 24 bytes satisfies the signature of Standard Webhooks.
        """
        secret = "whsec_" + b64encode(bytes(24)).decode()
        text = f"""{REQUIRED}
            [global_webhook]
            enabled = true
            url = "https://hooks.example.org/"
            target_webhook_signature = "both"
            target_webhook_secret = "{secret}"
        """
        self.assertEqual(secret, parse(text, {}).config.global_webhook.target_webhook_secret)

    def test_limits_are_allowed(self) -> None:
        """
        The bounds belong to what is allowed.
        """
        for text in (
            "[server]\nport = 1",
            "[server]\nport = 65535",
            "[server]\nlisten_addr = ''",
            "[server]\nlisten_addr = 'localhost'",
            "[retry]\nmax_attempts = 1\nbackoff_factor = 1\njitter = 0\nconcurrency = 1",
            "[retry]\ninitial_delay = 5\nmax_delay = 5",
            "[retry]\njitter = 1",
            "[output]\nmax_lines = 1",
        ):
            self.assertEqual([], _problems(f"{REQUIRED}{text}"), text)
        for length, told in ((9, 1), (10, 0), (100, 0), (101, 1)):
            problems = _problems(REQUIRED, {"ITSJUSTINTV_TWITCH_WEBHOOK_SECRET": "x" * length})
            self.assertEqual(told, len(problems), length)

    def test_ports_of_the_external_domain(self) -> None:
        """
        A port of an external domain must be one.
        """
        for domain, told in (("a.example.org:1", 0), ("a.example.org:0", 1), ("a:65536", 1), ("a:", 1), ("a:b", 1)):
            problems = _problems(f'{REQUIRED}[server]\nexternal_domain = "{domain}"')
            self.assertEqual(told, len(problems), domain)

    def test_urls(self) -> None:
        """
        A URL is taken exactly when it is one that a delivery can be sent to.
        """
        for url in (
            *(
                "https://a.example.org/x?y=1",
                "http://a:81",
                "https://my_service/",
                "https://a.b./",
                "http://a_:8080",
                "HTTP://a/",
                "https://xn--bcher-kva.example/",
            ),
            *("http://1.2.3.4", "https://[::1]:8443/", "http://a?b"),
        ):
            self.assertEqual([], _problems(f"{REQUIRED}incoming_webhook_url = '{url}'"), url)
        for url in (
            *("a.example.org", "//a", "ftp://a/", "https:///x", "https://a:0/", "https://a:99999/", "https://a:b/"),
            *("https://[::1/", "https://a..b/", "https://a/#b", "https://$$/", "https://user:pass@a/"),
            *("https://a b/", "https://a/\\n", "https://b\u00fccher.example/", "https://a/\u00fc", " https://a/"),
        ):
            self.assertEqual(1, len(_problems(f'{REQUIRED}incoming_webhook_url = "{url}"')), url)

    def test_a_wrong_type_is_not_also_missing(self) -> None:
        """
        What could not be read is not judged: the problem is told once.
        """
        for text, path in (
            ("twitch = 1", "twitch"),
            (f"streamers = []\n{REQUIRED}", "streamers"),
            (f"{REQUIRED}[streamers.a]\nlogin = 1\ntarget_webhook_url = 'https://a/'", "streamers.a.login"),
            (f"{REQUIRED}[streamers.a]\nlogin = 'a'\ntarget_webhook_url = 1", "streamers.a.target_webhook_url"),
            (f"{REQUIRED}[streamers.a]\nlogin = 'a'\nwebhook_url = 'https://a/'", "streamers.a.webhook_url"),
            (
                REQUIRED.replace('client_secret = "client secret"', "client_secret_file = 1"),
                "twitch.client_secret_file",
            ),
            (f"{REQUIRED}[retry]\nmax_delay = 1\ninitial_delay = 'x'", "retry.initial_delay"),
        ):
            self.assertEqual([path], [problem.split(":")[0] for problem in _problems(text)])


class EnvironmentTests(SynchronousTestCase):
    """
    What the environment has to say.
    """

    def test_wins_over_the_file(self) -> None:
        """
        A variable replaces what the file says, or fails to say.
        """
        file = f"{REQUIRED}[server]\nport = 'nonsense'\nlisten_addr = '127.0.0.1'\n[output]\nenabled = true"
        environ = {_variable(path): text for path, (text, _) in _VARIABLES.items()}
        config = parse(file, environ).config
        for path, (_, expected) in _VARIABLES.items():
            self.assertEqual(expected, _get(config, path), path)

    def test_every_key_has_its_variable(self) -> None:
        """
        Each key is set by ``ITSJUSTINTV_``, its section and its name, and each of these is different.
        """
        self.assertEqual(len(list(leaves())), len({leaf.variable for leaf in leaves()}))
        for leaf in leaves():
            told = [problem for problem in _problems(REQUIRED, {leaf.variable: "\0"}) if leaf.variable in problem]
            known = leaf.type in (str, tuple[str, ...])
            self.assertTrue(told or known, leaf.variable)
            warned = [problem.message for problem in _warnings({leaf.variable: ""})]
            empty = ["is empty, which counts as not set"] * _needed(leaf)
            self.assertEqual(empty, warned, leaf.variable)

    def test_original_name_of_tls(self) -> None:
        """
        ``ITSJUSTINTV_TLS_ENABLED`` still switches TLS on; the full name wins over it.
        """
        environ = {
            "ITSJUSTINTV_TLS_ENABLED": "true",
            "ITSJUSTINTV_SERVER_TLS_DOMAINS": "a.example.org",
            "ITSJUSTINTV_SERVER_TLS_AGREE_TO_TERMS": "true",
        }
        self.assertTrue(parse(REQUIRED, environ).config.server.tls.enabled)
        environ["ITSJUSTINTV_SERVER_TLS_ENABLED"] = "false"
        self.assertFalse(parse(REQUIRED, environ).config.server.tls.enabled)

    def test_nothing_is_not_a_value(self) -> None:
        """
        A variable that is set to nothing leaves the file's value.
        """
        self.assertEqual("id", parse(REQUIRED, {"ITSJUSTINTV_TWITCH_CLIENT_ID": ""}).config.twitch.client_id)

    def test_malformed_values_name_the_variable(self) -> None:
        """
        A value that cannot be read, and one that is out of range, are told under the variable's name.
        """
        for variable, text in (
            ("ITSJUSTINTV_SERVER_PORT", "99x"),
            ("ITSJUSTINTV_SERVER_PORT", "٣"),
            ("ITSJUSTINTV_SERVER_PORT", "-1"),
            ("ITSJUSTINTV_SERVER_PORT", "9" * 5000),
            ("ITSJUSTINTV_OUTPUT_MAX_LINES", "9" * 19),
            ("ITSJUSTINTV_RETRY_MAX_AGE", "soon"),
            ("ITSJUSTINTV_RETRY_JITTER", "nan"),
            ("ITSJUSTINTV_RETRY_JITTER", "0.1_0"),
            ("ITSJUSTINTV_RETRY_JITTER", " 0.5"),
            ("ITSJUSTINTV_TLS_ENABLED", "yes"),
            ("ITSJUSTINTV_IMAGE", "none"),
            ("ITSJUSTINTV_TWITCH_CLIENT_ID", "\udcff"),
        ):
            [problem] = _problems(REQUIRED, {variable: text})
            self.assertEqual(variable, problem.split(":")[0])

    def test_a_malformed_value_still_replaces_that_of_the_file(self) -> None:
        """
        When both the variable and the file are wrong, only the variable is: the file's value would not be used.
        """
        told = _problems(f"{REQUIRED}[server]\nport = 'x'", {"ITSJUSTINTV_SERVER_PORT": "99x"})
        self.assertEqual(["ITSJUSTINTV_SERVER_PORT: must be a whole number"], told)

    def test_strangers_are_warned_of(self) -> None:
        """
        A variable that sets nothing is a warning, with the name that was probably meant; others are not ours.
        """
        environ = {
            "ITSJUSTINTV_CONFIG": "config.toml",
            "ITSJUSTINTV_SERVER_PROT": "1",
            "ITSJUSTINTV_STREAMERS_FOO_LOGIN": "foo",
            "ITSJUSTINTV_": "",
            "PATH": "/bin",
        }
        self.assertEqual(
            [
                ("ITSJUSTINTV_", "is ignored: there is no such key"),
                (
                    "ITSJUSTINTV_SERVER_PROT",
                    "is ignored: there is no such key; did you mean ITSJUSTINTV_SERVER_PORT?",
                ),
                ("ITSJUSTINTV_STREAMERS_FOO_LOGIN", "is ignored: streamers can be configured in the file only"),
            ],
            [(problem.path, problem.message) for problem in _warnings(environ)],
        )

    def test_section_that_is_no_table(self) -> None:
        """
        A variable below something that is not a table does not hide that.
        """
        told = _problems(
            f"server = 1\n{REQUIRED}", {"ITSJUSTINTV_SERVER_PORT": "80", "ITSJUSTINTV_SERVER_TLS_CERT_DIR": "x"}
        )
        self.assertEqual(["server: must be a table"], told)


class SecretFilesTests(SynchronousTestCase):
    """
    Secrets in files of their own.
    """

    def setUp(self) -> None:
        """
        Have a file with a secret.
        """
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.secret = self.folder / "secret"
        self.secret.write_bytes(b"from a file\n")

    def _twitch(self, text: str, environ: Mapping[str, str] | None = None) -> Twitch:
        return parse(text, environ or {}, base=self.folder).config.twitch

    def _told(self, content: bytes) -> str:
        self.secret.write_bytes(content)
        text = REQUIRED.replace('webhook_secret = "webhook secret"', f'webhook_secret_file = "{self.secret}"')
        [problem] = _problems(text)
        return problem

    def test_every_secret_can_be_in_a_file(self) -> None:
        """
        Each of the five kinds of secret is read from the file that its key names.
        """
        text = """
            [server.tls]
            eab_hmac_file = "encoded"
            [twitch]
            client_id = "id"
            client_secret_file = "secret"
            webhook_secret_file = "secret"
            [global_webhook]
            target_webhook_secret_file = "secret"
            [streamers."a.b"]
            login = "a"
            target_webhook_url = "https://hooks.example.org/"
            target_webhook_secret_file = "secret"
        """
        (self.folder / "encoded").write_bytes(b"c2VjcmV0\n")
        config = parse(text, {}, base=self.folder).config
        self.assertEqual("c2VjcmV0", config.server.tls.eab_hmac)
        self.assertEqual("from a file", config.twitch.client_secret)
        self.assertEqual("from a file", config.twitch.webhook_secret)
        self.assertEqual("from a file", config.global_webhook.target_webhook_secret)
        self.assertEqual("from a file", config.streamers["a.b"].target_webhook_secret)

    def test_relative_paths_start_at_the_current_directory(self) -> None:
        """
        Not at the configuration file, as the original's paths do not either.
        """
        text = REQUIRED.replace('"client secret"', '""') + f'client_secret_file = "{os.path.relpath(self.secret)}"'
        (self.folder / "config.toml").write_text(text, encoding="utf-8")
        self.assertEqual("from a file", load(self.folder / "config.toml", {}).config.twitch.client_secret)

    def test_one_newline_is_dropped(self) -> None:
        """
        Only the newline that an editor adds is not part of the secret.
        """
        text = REQUIRED.replace('client_secret = "client secret"', 'client_secret_file = "secret"')
        for content, expected in ((b"a", "a"), (b"a\n", "a"), (b"a\r\n", "a"), (b" a \n\n", " a \n")):
            self.secret.write_bytes(content)
            self.assertEqual(expected, self._twitch(text).client_secret)

    def test_environment_displaces_either_form(self) -> None:
        """
        A secret from the environment wins over a file named in the configuration, and the other way round.
        """
        by_file = REQUIRED.replace('client_secret = "client secret"', 'client_secret_file = "secret"')
        displaced = self._twitch(by_file, {"ITSJUSTINTV_TWITCH_CLIENT_SECRET": "from the environment"})
        self.assertEqual(("from the environment", ""), (displaced.client_secret, displaced.client_secret_file))
        displaced = self._twitch(REQUIRED, {"ITSJUSTINTV_TWITCH_CLIENT_SECRET_FILE": "secret"})
        self.assertEqual("from a file", displaced.client_secret)

    def test_both_in_the_environment(self) -> None:
        """
        Both forms in the environment contradict each other as they do in the file.
        """
        environ = {"ITSJUSTINTV_TWITCH_CLIENT_SECRET_FILE": str(self.secret), "ITSJUSTINTV_TWITCH_CLIENT_SECRET": "x"}
        self.assertEqual(
            ["ITSJUSTINTV_TWITCH_CLIENT_SECRET_FILE: must not be given together with client_secret"],
            _problems(REQUIRED, environ),
        )

    def test_wrong_content_names_the_key_of_the_file(self) -> None:
        """
        A secret that breaks a rule is told where the operator must look, without the secret.
        """
        rule = "must be at least 10 characters, and has 5"
        self.assertEqual(f"twitch.webhook_secret_file: {rule}", self._told(b"short\n"))
        environ = {"ITSJUSTINTV_TWITCH_WEBHOOK_SECRET_FILE": str(self.secret)}
        self.assertEqual(
            [f"ITSJUSTINTV_TWITCH_WEBHOOK_SECRET_FILE: {rule}"],
            _problems(REQUIRED, environ),
        )

    def test_unusable_content(self) -> None:
        """
        An empty file, a file that is not text and one that is far too long are told once, by name.
        """
        where = f"twitch.webhook_secret_file: {str(self.secret)!r}"
        self.assertEqual(f"{where} is empty", self._told(b"\n"))
        self.assertEqual(f"{where} is not UTF-8", self._told(b"\xff"))
        self.assertEqual(f"{where} holds more than 65536 bytes; a secret is shorter", self._told(b"x" * 65537))

    def test_a_secret_that_is_not_in_a_regular_file(self) -> None:
        """
        Neither a named pipe nor a device is opened; the problem names the key and the path, for every kind of secret.
        """
        os.mkfifo(self.folder / "pipe")
        (self.folder / "zero").symlink_to("/dev/zero")
        (self.folder / "folder").mkdir()
        text = """
            [server.tls]
            eab_hmac_file = "pipe"
            [twitch]
            client_id = "id"
            client_secret_file = "zero"
            webhook_secret_file = "pipe"
            [global_webhook]
            target_webhook_secret_file = "folder"
            [streamers.a]
            login = "a"
            target_webhook_url = "https://hooks.example.org/"
            target_webhook_secret_file = "pipe"
            [admin]
            token_file = "pipe"
        """
        with self.assertRaises(ConfigError) as caught:
            parse(text, {}, base=self.folder)
        told = [str(each) for each in caught.exception.problems if "_file: cannot read" in str(each)]
        kinds = {"pipe": "a named pipe", "zero": "a device", "folder": "a directory"}
        expected = [
            f"{key}_file: cannot read {str(self.folder / name)!r}: it is {kinds[name]}, use a regular file"
            for key, name in (
                ("server.tls.eab_hmac", "pipe"),
                ("twitch.client_secret", "zero"),
                ("twitch.webhook_secret", "pipe"),
                ("global_webhook.target_webhook_secret", "folder"),
                ("admin.token", "pipe"),
                ("streamers.a.target_webhook_secret", "pipe"),
            )
        ]
        self.assertEqual(sorted(expected), sorted(told))


class DoubtTests(SynchronousTestCase):
    """
    What is allowed and yet seldom meant.
    """

    def test_telemetry_is_no_doubt(self) -> None:
        """
        Traces and metrics can be asked for without a warning.
        """
        text = f"""{REQUIRED}
            [server.tls]
            enabled = true
            domains = ["a.example.org"]
            agree_to_terms = true
            [telemetry]
            enabled = true
            endpoint = "http://localhost:4318"
        """
        self.assertEqual((), tuple(parse(text, {}).warnings))


class CatchUpTests(SynchronousTestCase):
    """
    How far back missed broadcasts are announced.
    """

    def test_further_than_what_is_remembered_is_a_warning(self) -> None:
        """
        An age beyond the memory of what was announced is not used as it is, unless nothing is caught up at all.
        """
        callback = f'{REQUIRED}incoming_webhook_url = "https://hooks.example.org/"\n'
        self.assertEqual((), parse(f'{callback}[catch_up]\nmax_age = "2h"', {}).warnings)
        [warning] = parse(f'{callback}[catch_up]\nmax_age = "121m"', {}).warnings
        self.assertEqual("catch_up.max_age", warning.path)
        self.assertEqual((), parse(f'{callback}[catch_up]\nmax_age = "121m"\nenabled = false', {}).warnings)


def _variable(path: str) -> str:
    return Leaf(tuple(path.split(".")), str).variable


def _warnings(environ: Mapping[str, str]) -> tuple[Problem, ...]:
    return parse(f'{REQUIRED}incoming_webhook_url = "https://hooks.example.org/"', environ).warnings


# Whatever TOML can hold, under names that are known as often as not.
_SCALARS = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["1h", "https://a/", "both", "whsec_", "SHA-1", "[::1]:1", "a.b"]),
    st.datetimes(),
)
_NAMES = st.sampled_from(
    sorted({key for leaf in (*leaves(), *leaves(StreamerEntry)) for key in leaf.keys} | {"streamers", "foo"})
) | st.text(max_size=8)
_TABLES = st.recursive(
    _SCALARS | st.lists(_SCALARS, max_size=3), lambda inner: st.dictionaries(_NAMES, inner, max_size=4), max_leaves=20
)
_SECTIONS = st.dictionaries(_NAMES, _TABLES, max_size=5)
_ENVIRON = st.dictionaries(
    st.sampled_from([leaf.variable for leaf in leaves() if not leaf.keys[-1].endswith("_file")]) | st.text(max_size=12),
    st.text(st.characters(), max_size=12) | st.sampled_from(["1", "true", "1h", "https://a/"]),
    max_size=5,
)


def toml(value: object) -> str:
    """
    Write a value as TOML does, tables inline.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08X}" for c in value) + '"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return str(value)


def document(tables: Mapping[str, object]) -> str:
    """
    Write a whole document.
    """
    return "\n".join(f"{toml(key)} = {toml(value)}" for key, value in tables.items())


class AnythingTests(SynchronousTestCase):
    """
    What holds for every configuration whatsoever.
    """

    @settings(deadline=None)
    @given(st.text() | st.binary().map(lambda data: data.decode("latin-1")), _ENVIRON)
    def test_any_text(self, text: str, environ: Mapping[str, str]) -> None:
        """
        Any text at all is loaded or refused with a ``ConfigError``.
        """
        self._try(text, environ)

    @settings(deadline=None)
    @given(_SECTIONS, _ENVIRON)
    def test_any_tables(self, tables: dict[str, object], environ: Mapping[str, str]) -> None:
        """
        Any TOML at all is loaded or refused with a ``ConfigError`` whose problems are one line each.
        """
        self._try(document(tables), environ)

    def _try(self, text: str, environ: Mapping[str, str]) -> None:
        try:
            self.assertIsInstance(parse(text, environ), Loaded)
        except ConfigError as error:
            self.assertNotEqual((), error.problems)
            self.assertEqual(len(error.problems), len(str(error).splitlines()))

    @settings(deadline=None)
    @given(_SECTIONS)
    def test_the_writer_of_these_tests(self, tables: dict[str, object]) -> None:
        """
        What the tests above write is TOML.
        """
        tomllib.loads(document(tables))

    @settings(deadline=None)
    @given(
        st.text(st.characters(codec="utf-8"), min_size=0, max_size=80),
        st.sampled_from(["text", "list", "table"]),
        st.booleans(),
        _SECTIONS,
    )
    def test_no_secret_is_ever_shown(self, tail: str, form: str, whole: bool, tables: dict[str, Any]) -> None:
        """
        A secret in every place for secrets, of the right type or not, shows neither in an error nor in ``repr``.
        """
        secret = f"q7ZsecretZ7q{tail}"
        planted: object = {"text": secret, "list": [secret], "table": {"x": secret}}[form]
        hidden = {"client_secret": planted, "webhook_secret": planted}
        signing = {"target_webhook_secret": planted, "target_webhook_signature": "standard"}
        target = {"target_webhook_url": "https://a.example.org/" if whole else planted}
        streamer = {"login": "a", **signing, **target}
        full = {
            "server": {"tls": {"enabled": True, "domains": ["a.example.org"], "eab_hmac": planted}},
            "twitch": {"client_id": "a", **hidden},
            "global_webhook": {"enabled": True, "url": planted, **signing},
            "streamers": {"a": streamer, "b": {"user_id": "1", **target}},
        }
        environ = {"ITSJUSTINTV_TWITCH_CLIENT_SECRET": secret} if whole and "\0" not in secret else {}
        for name, section in tables.items():
            full.setdefault(name, section)
        try:
            shown = repr(parse(document(full), environ))
        except ConfigError as error:
            shown = f"{error}{error!r}{error.problems!r}"
        self.assertNotIn("q7ZsecretZ7q", shown)

    @settings(deadline=None)
    @given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=0, max_size=80))
    def test_no_secret_is_shown_by_what_is_right(self, tail: str) -> None:
        """
        A configuration that is right hides its secrets and its webhook URLs.
        """
        secret = f"q7ZsecretZ7q{tail}"
        url = "https://a.example.org/q7ZsecretZ7q"
        loaded = parse(
            document(
                {
                    "server": {"tls": {"eab_hmac": "q7ZsecretZ7q"}},
                    "twitch": {"client_id": "a", "client_secret": secret, "webhook_secret": "q7ZsecretZ7q"},
                    "global_webhook": {"enabled": True, "url": url, "target_webhook_secret": secret},
                    "streamers": {"a": {"login": "a", "target_webhook_url": url, "target_webhook_secret": secret}},
                }
            ),
            {},
        )
        self.assertEqual(secret, loaded.config.streamers["a"].target_webhook_secret)
        self.assertNotIn("q7ZsecretZ7q", repr(loaded))


class ProxiesTests(SynchronousTestCase):
    """
    Which proxies are believed.
    """

    def test_networks(self) -> None:
        """
        Addresses and networks of both kinds are taken from the file and from the environment; all of the internet is
        allowed, with a warning.
        """
        listed = f'{REQUIRED}\n[server]\ntrusted_proxies = ["10.0.0.0/8", "::1"]\nproxy_protocol = true\n'
        self.assertEqual(parse(listed, {}).config.server.trusted_proxies, ("10.0.0.0/8", "::1"))
        everybody = parse(REQUIRED, {"ITSJUSTINTV_SERVER_TRUSTED_PROXIES": "0.0.0.0/0"})
        self.assertEqual([each.path for each in everybody.warnings], ["ITSJUSTINTV_SERVER_TRUSTED_PROXIES"])

    def test_what_is_no_network(self) -> None:
        """
        A name, a network with bits beyond its mask, and the PROXY protocol of nobody are refused with their keys.
        """
        for text, path in (
            ('trusted_proxies = ["proxy.example.org"]', "server.trusted_proxies"),
            ('trusted_proxies = ["10.0.0.1/8"]', "server.trusted_proxies"),
            ("proxy_protocol = true", "server.proxy_protocol"),
        ):
            with self.assertRaises(ConfigError) as caught:
                parse(f"{REQUIRED}\n[server]\n{text}\n", {})
            self.assertEqual([each.path for each in caught.exception.problems], [path])


class EffortTests(SynchronousTestCase):
    """
    What it takes to check a configuration, in calls of functions: time differs from machine to machine.
    """

    def _calls(self, streamers: int, more: str = "") -> int:
        text = REQUIRED + "".join(
            f'[streamers.s{number}]\nlogin = "streamer_{number}"\ntarget_webhook_secret = "secret-{number}-abcdef"\n'
            f'tag_filter = ["english"]\n{more or _SENT.format(number)}\n'
            for number in range(streamers)
        )
        counted = 0

        def count(_: object, event: str, __: object) -> None:
            nonlocal counted
            counted += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            parse(text, {})
        except ConfigError:
            pass
        finally:
            sys.setprofile(before)
        return counted

    def test_thousands_of_streamers(self) -> None:
        """
        A streamer takes a bounded number of steps, most of which are those of reading TOML.
        """
        self._calls(1)
        self.assertLess((self._calls(200) - self._calls(100)) / 100, 500)

    def test_thousands_of_mistakes(self) -> None:
        """
        The effort does not grow with the square of the number of mistakes.
        """
        few, many = (self._calls(number, 'target_webhook_header = "a b"') for number in (100, 400))
        self.assertLess(many, 5 * few)
