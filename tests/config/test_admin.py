"""
Tests of :mod:`itsjustintv.config.checks`.
"""

from __future__ import annotations

from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.diff import changes
from itsjustintv.config.load import parse
from itsjustintv.config.secrets import secret_files
from itsjustintv.errors import ConfigError

from .test_load import REQUIRED, document

TOKEN = "0123456789abcdef"


class CheckTests(SynchronousTestCase):
    """
    Who could come in is judged before anything starts.
    """

    def told(self, **admin: object) -> list[str]:
        """
        What is wrong with a section.
        """
        try:
            parse(document({"admin": {"enabled": True, **admin}}) + REQUIRED, {})
        except ConfigError as error:
            return [problem.path for problem in error.problems]
        return []

    def test_this_machine_needs_no_token(self) -> None:
        """
        Without a token it can be served on any loopback address, and by that name.
        """
        for listen in ("127.0.0.1:8081", "127.9.9.9:1", "[::1]:8081", "localhost:8081", "LOCALHOST:8081"):
            self.assertEqual(self.told(listen=listen), [], listen)

    def test_others_need_a_token(self) -> None:
        """
        On any other address, and on a name that may be any, a token is required.
        """
        for listen in ("0.0.0.0:8081", "[::]:8081", "192.0.2.1:8081", "admin.example.org:8081", "[::ffff:1.2.3.4]:80"):
            self.assertEqual(self.told(listen=listen), ["admin.token"], listen)
            self.assertEqual(self.told(listen=listen, token=TOKEN), [], listen)

    def test_nothing_is_asked_of_what_is_not_served(self) -> None:
        """
        While it is not enabled, the place may be anywhere.
        """
        self.assertEqual(self.told(enabled=False, listen="0.0.0.0:8081"), [])

    def test_a_token_is_long_and_plain(self) -> None:
        """
        A token has at least 16 characters that fit into a header.
        """
        for token in ("short", "a" * 15, "0123456789 abcdef", "0123456789abcdéf"):
            self.assertEqual(self.told(token=token), ["admin.token"], token)

    def test_a_place_has_a_port(self) -> None:
        """
        The place is host and port, and not that of the messages of Twitch.
        """
        for listen in ("8081", "localhost", "::1:8081", "localhost:0", "0.0.0.0:8080"):
            self.assertEqual(self.told(listen=listen, token=TOKEN), ["admin.listen"], listen)

    def test_a_token_from_a_file(self) -> None:
        """
        A file may hold the token; it is looked after like the other files of secrets.
        """
        file = Path(self.mktemp())
        file.write_text(TOKEN + "\n", encoding="ascii")
        text = document({"admin": {"enabled": True, "listen": "0.0.0.0:8081", "token_file": str(file)}}) + REQUIRED
        config = parse(text, {}).config
        self.assertEqual(config.admin.token, TOKEN)
        self.assertIn(str(file), secret_files(config))

    def test_a_change_does_not_show_the_token(self) -> None:
        """
        That the token has changed is told, and neither token is.
        """
        old = parse(REQUIRED, {}).config
        new = evolve(old, admin=evolve(old.admin, token=TOKEN))
        self.assertEqual(changes(old, new).keys, ("admin.token: changed",))
        self.assertNotIn(TOKEN, repr(new))
