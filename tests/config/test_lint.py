"""
Tests for :mod:`itsjustintv.config.lint`, and that every secret and id is held to it, wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.keys import Leaf, dotted
from itsjustintv.config.lint import mistakes
from itsjustintv.config.load import parse, read
from itsjustintv.config.secrets import SECRETS
from itsjustintv.errors import ConfigError, Problem

from .test_load import REQUIRED, document

#: What a sound secret becomes, and what is said of it.
ACCIDENTS: Mapping[str, str] = {
    '"{}"': 'is in quotes (")',
    "'{}'": "is in quotes (')",
    "\u201c{}\u201d": "is in quotes (U+201C (left double quotation mark))",
    '"{}': 'begins with a quote (")',
    "{}'": "ends with a quote (')",
    " {}": "begins with a space (U+0020)",
    "{} ": "ends with a space (U+0020)",
    "{}\t": "ends with a tab (U+0009)",
    "{}\r": "ends with a carriage return (U+000D)",
    "{}\r\n": "ends with a carriage return (U+000D) and a newline (U+000A)",
    "{}\n\n": "ends with a newline (U+000A) 2 times",
    "\ufeff{}": "begins with U+FEFF (byte order mark)",
    "{}\u00a0": "ends with U+00A0 (no-break space)",
    "{}\u200b": "ends with U+200B (zero width space)",
    "ab\u200d{}": "holds U+200D (zero width joiner)",
    "ab\u00a0{}": "holds U+00A0 (no-break space)",
    "ab\u2013{}": "holds U+2013 (en dash)",
    "ab\ufffd{}": "holds U+FFFD (replacement character",
    "ab\x00{}": "holds U+0000 (NUL)",
    "${{{}}}": "is a variable that was not expanded",
    "{{{{ {} }}}}": "is a variable that was not expanded",
    "<{}>": "is a placeholder",
    "CLIENT_SECRET={}": "begins with a name and =",
    "export CLIENT_SECRET={}": "begins with a name and =",
    "{} # mine": "holds a # after a blank",
}

PLACEHOLDERS = (
    *(
        "...",
        "\u2026",
        "changeme",
        "CHANGE_ME",
        "change-me",
        "your-client-secret",
        "YOUR_TOKEN",
        "xxxxxxxx",
        "********",
    ),
    *("placeholder", "todo", "[redacted]", "insert-secret-here", "$CLIENT_SECRET", "%SECRET%", '"changeme"'),
)

SOUND = "0123456789abcdef"


def warned(text: str, environ: Mapping[str, str] | None = None, base: Path = Path()) -> list[Problem]:
    """
    What is warned of.
    """
    return list(parse(text, environ or {}, base=base).warnings)


class AccidentTests(SynchronousTestCase):
    """
    Values.
    """

    def test_each_accident_is_named(self) -> None:
        """
        What got around or into a secret is named, and the secret itself is not.
        """
        for form, sentence in ACCIDENTS.items():
            told = list(mistakes(form.format(SOUND)))
            self.assertEqual(1, len(told), (form, told))
            self.assertTrue(told[0].startswith(sentence), (form, told))
            self.assertNotIn(SOUND, told[0])

    def test_several_at_once(self) -> None:
        """
        Each of several accidents is told.
        """
        self.assertEqual(4, len(list(mistakes('\ufeff"ab\u200bcd"\r\n'))))

    def test_placeholders(self) -> None:
        """
        What stands in examples is not a secret.
        """
        for text in PLACEHOLDERS:
            self.assertRegex(" ".join(mistakes(text)), "is a placeholder|is a variable that was not expanded", text)

    def test_what_can_be_meant(self) -> None:
        """
        Secrets as programs and people make them say nothing, with blanks and letters of any alphabet inside.
        """
        for text in (
            "correct horse battery staple",
            "p\u00e4ssw\u00f6rter",
            "whsec_MfKQ9r8GKYqrTwjU==",
            "a=b",
            "#a",
            "$ecret",
        ):
            self.assertEqual([], list(mistakes(text)), text)

    @given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\"'`"), min_size=16))
    def test_no_part_of_a_secret_is_quoted(self, secret: str) -> None:
        """
        Whatever is said of a secret, it is not in what is said.
        """
        for form in ACCIDENTS:
            self.assertNotIn(secret, " ".join(mistakes(form.format(secret))))


class SourceTests(SynchronousTestCase):
    """
    Where values come from.
    """

    def setUp(self) -> None:
        """
        Have a folder for files of secrets.
        """
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()

    def tables(self, keys: tuple[str, ...], value: str) -> str:
        """
        A configuration with a value at a key, and everything else as it must be.
        """
        tables: dict[str, dict[str, object]] = {
            "twitch": {"client_id": "id", "client_secret": SOUND, "webhook_secret": SOUND},
            "streamers": {"a": {"login": "a", "target_webhook_url": "https://hooks.example.org/"}},
        }
        table: dict[str, object] = tables  # type: ignore[assignment]
        for key in keys[:-1]:
            table = table.setdefault(key, {})  # type: ignore[assignment]
        table.pop(keys[-1].removesuffix("_file"), None)
        table[keys[-1]] = value
        return document(tables)

    def test_every_secret_from_every_source(self) -> None:
        """
        A secret in quotes is warned of at its key, at its variable, or at the key of its file with the name of that.
        """
        for keys in (*SECRETS, ("streamers", "a", "target_webhook_secret")):
            if keys[-1] in ("eab_hmac", "token"):
                continue
            path, secret = dotted(keys), f'"{SOUND}"'
            sentence = 'is in quotes ("), which are part of the value: remove them'
            self.assertEqual([Problem(path, sentence)], warned(self.tables(keys, secret)))
            file = self.folder / "secret"
            file.write_text(f"{secret}\n", encoding="utf-8")
            named = f"{str(file)!r}, without the one newline that may end it, {sentence}"
            by_file = (*keys[:-1], f"{keys[-1]}_file")
            self.assertEqual([Problem(f"{path}_file", named)], warned(self.tables(by_file, str(file))))
            if keys[0] != "streamers":
                variable = Leaf(keys, str).variable
                text = self.tables(keys, SOUND)
                self.assertEqual([Problem(variable, sentence)], warned(text, {variable: secret}))
                self.assertEqual([Problem(f"{variable}_FILE", named)], warned(text, {f"{variable}_FILE": str(file)}))

    def test_the_other_two(self) -> None:
        """
        A token in quotes is warned of, and so is the key id of an authority; its secret in quotes is an error.
        """
        self.assertEqual(["admin.token"], [each.path for each in warned(self.tables(("admin", "token"), f"'{SOUND}'"))])
        tables = self.tables(("server", "tls", "eab_kid"), "'kid'")
        self.assertEqual(["server.tls.eab_kid"], [each.path for each in warned(tables)])
        self.assertRaises(ConfigError, parse, self.tables(("server", "tls", "eab_hmac"), "'c2VjcmV0'"), {})

    def test_one_newline_at_the_end_of_a_file(self) -> None:
        """
        One newline, LF or CRLF, is dropped in silence. Whatever else is there stays, and is warned of by name.
        """
        for content, expected, sentence in (
            (b"a secret", "a secret", ""),
            (b"a secret\n", "a secret", ""),
            (b"a secret\r\n", "a secret", ""),
            (b"a secret\r", "a secret\r", "ends with a carriage return (U+000D)"),
            (b"a secret\n\r", "a secret\n\r", "ends with a newline (U+000A) and a carriage return (U+000D)"),
            (b"a secret\n\n", "a secret\n", "ends with a newline (U+000A)"),
            (b"a secret\r\n\r\n", "a secret\r\n", "ends with a carriage return (U+000D) and a newline (U+000A)"),
            (b"a secret \n", "a secret ", "ends with a space (U+0020)"),
            (b"\xef\xbb\xbfa secret\n", "\ufeffa secret", "begins with U+FEFF (byte order mark)"),
            (b" \n", " ", "holds only blanks"),
        ):
            (self.folder / "secret").write_bytes(content)
            loaded = parse(self.tables(("twitch", "client_secret_file"), "secret"), {}, base=self.folder)
            self.assertEqual(expected, loaded.config.twitch.client_secret)
            told = [each.message for each in loaded.warnings]
            self.assertEqual(bool(sentence), len(told) == 1, (content, told))
            self.assertIn(sentence, "".join(told))
            self.assertIn(str(self.folder / "secret") if sentence else "", "".join(told))

    def test_names_of_files(self) -> None:
        """
        Where there is no file, quotes and blanks around its name are told.
        """
        with self.assertRaises(ConfigError) as caught:
            parse(self.tables(("twitch", "client_secret_file"), '"secret"'), {}, base=self.folder)
        self.assertIn('No such file or directory; its name is in quotes (")', str(caught.exception))
        with self.assertRaises(ConfigError) as caught:
            read(self.folder / "config.toml ")
        self.assertIn("does not exist; its name ends with a space (U+0020)", str(caught.exception))

    def test_what_a_shell_would_have_replaced(self) -> None:
        """
        A path with ~ or a variable is told that it is taken as it is: a folder of that name is seldom meant.
        """
        for path, character in (("~/a.db", "~"), ("~bot/a.db", "~"), ("$HOME/a.db", "$"), ("data/${NAME}.db", "$")):
            [warning] = warned(f'{_GLOBAL}[storage]\npath = "{path}"')
            self.assertEqual("storage.path", warning.path)
            self.assertTrue(warning.message.startswith(f"holds {character}, which is not expanded"), warning)
            with self.assertRaises(ConfigError) as caught:
                parse(self.tables(("twitch", "client_secret_file"), path), {}, base=self.folder)
            self.assertIn(f"No such file or directory; its name holds {character}, which", str(caught.exception))
        self.assertEqual([], warned(f'{_GLOBAL}[storage]\npath = "data/a~1$.db"'))

    def test_letters_that_twitch_never_gives(self) -> None:
        """
        A letter of another alphabet in the client's secret, which looks like one of ASCII, is warned of.
        """
        sentence = (
            "holds U+0430 (cyrillic small letter a), but Twitch issues ASCII letters and digits only: copy it again"
        )
        secret = f"{SOUND}\N{CYRILLIC SMALL LETTER A}"
        expected = [Problem("twitch.client_secret", sentence)]
        self.assertEqual(expected, warned(self.tables(("twitch", "client_secret"), secret)))

    def test_a_file_in_another_encoding(self) -> None:
        """
        A file that an editor saved as UTF-16 is told how to be saved.
        """
        (self.folder / "secret").write_bytes("a secret".encode("utf-16"))
        with self.assertRaises(ConfigError) as caught:
            parse(self.tables(("twitch", "client_secret_file"), "secret"), {}, base=self.folder)
        self.assertIn("is UTF-16, not UTF-8: save it as UTF-8", str(caught.exception))

    def test_other_values(self) -> None:
        """
        Quotes around what is no secret are warned of as well, and named where nothing but the value in them is right.
        """
        [warning] = warned(REQUIRED, {"ITSJUSTINTV_STORAGE_PATH": '"data/a.db"'})
        self.assertEqual(("ITSJUSTINTV_STORAGE_PATH", True), (warning.path, "is in quotes" in warning.message))
        [warning] = warned(document({"streamers": {"a": {"login": "a", "tag_filter": ["b", "c "]}}}) + _GLOBAL)
        self.assertEqual("streamers.a.tag_filter", warning.path)
        self.assertTrue(warning.message.startswith("number 2 ends with a space"), warning)
        for variable, value, rule in (
            ("ITSJUSTINTV_SERVER_PORT", '"8080"', "must be a whole number: it is in quotes"),
            ("ITSJUSTINTV_SERVER_PORT", "8080 ", "must be a whole number: it ends with a space"),
            ("ITSJUSTINTV_OUTPUT_ENABLED", "'true'", "must be true or false (or 1 or 0): it is in quotes"),
            ("ITSJUSTINTV_RETRY_MAX_AGE", '"1h"', "must be a duration without quotes around it"),
            ("ITSJUSTINTV_TWITCH_API_URL", '"https://a/"', "must hold the URL alone: it is in quotes"),
            ("ITSJUSTINTV_IMAGE", '"url"', 'must be "embed" or "url": it is in quotes'),
            ("ITSJUSTINTV_IMAGE", "URL", 'must be "embed" or "url": write "url"'),
            (
                "ITSJUSTINTV_GLOBAL_WEBHOOK_TARGET_WEBHOOK_HASHING",
                "sha-256 ",
                "must be SHA-1 or SHA-256 or SHA-512, in any case: it ends with a space",
            ),
            (
                "ITSJUSTINTV_TWITCH_CLIENT_SECRET_FILE",
                "'s'",
                "cannot read \"'s'\": No such file or directory; its name is in quotes",
            ),
        ):
            with self.assertRaises(ConfigError) as caught:
                parse(REQUIRED, {variable: value})
            [problem] = caught.exception.problems
            self.assertEqual(variable, problem.path)
            self.assertTrue(problem.message.startswith(rule), problem)

    def test_tags_that_never_match(self) -> None:
        """
        A filter with a tag that no broadcast can have is warned of; a tag to add may be any.
        """
        tags = ["English", "two words", "#English", "a" * 26]
        about = {"login": "a", "tag_filter": tags, "additional_tags": tags}
        told = warned(document({"streamers": {"a": about}}) + _GLOBAL)
        self.assertEqual(["streamers.a.tag_filter"] * 3, [each.path for each in told])
        ends = ("holds a space", "holds #", "has more than 25 characters")
        for number, (each, end) in enumerate(zip(told, ends, strict=True), 2):
            self.assertEqual(f"number {number} never matches: no tag of Twitch {end}", each.message)


_GLOBAL = f'{REQUIRED}[global_webhook]\nenabled = true\nurl = "https://hooks.example.org/"\n'


class NameTests(SynchronousTestCase):
    """
    Names of variables.
    """

    def test_what_is_in_a_name(self) -> None:
        """
        A variable whose name has a blank, an unseen character, or small letters is named as such, with the right name.
        """
        meant = "; the variable is ITSJUSTINTV_TWITCH_CLIENT_ID"
        for name, shown, sentence in (
            ("ITSJUSTINTV_TWITCH_CLIENT_ID ", '"ITSJUSTINTV_TWITCH_CLIENT_ID "', "its name holds a space (U+0020)"),
            (" ITSJUSTINTV_TWITCH_CLIENT_ID", '" ITSJUSTINTV_TWITCH_CLIENT_ID"', "its name holds a space (U+0020)"),
            ("export ITSJUSTINTV_TWITCH_CLIENT_ID", '"export ITSJUSTINTV_TWITCH_CLIENT_ID"', "its name holds a space"),
            ("\ufeffITSJUSTINTV_TWITCH_CLIENT_ID", '"\\uFEFFITSJUSTINTV_TWITCH_CLIENT_ID"', "holds U+FEFF (byte order"),
            ("ITSJUSTINTV_TWITCH_CLIENT_ID\r", '"ITSJUSTINTV_TWITCH_CLIENT_ID\\u000D"', "holds a carriage return"),
            (
                "ITSJUSTINTV_TWITCH_CLIENT\u200b_ID",
                '"ITSJUSTINTV_TWITCH_CLIENT\\u200B_ID"',
                "U+200B (zero width space)",
            ),
            ("itsjustintv_twitch_client_id", "itsjustintv_twitch_client_id", "its name is not in capitals"),
            ("ITSJUSTINTV-TWITCH-CLIENT-ID", "ITSJUSTINTV-TWITCH-CLIENT-ID", "its name holds -"),
            ("ITSJUSTINTV.TWITCH.CLIENT_ID", '"ITSJUSTINTV.TWITCH.CLIENT_ID"', "its name holds ."),
        ):
            [warning] = warned(REQUIRED, {name: "x"})
            self.assertEqual(shown, warning.path)
            self.assertIn(sentence, warning.message)
            self.assertTrue(warning.message.endswith(meant), warning)
