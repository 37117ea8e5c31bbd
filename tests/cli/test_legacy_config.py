"""
Tests for :mod:`itsjustintv.cli.legacy_config`.
"""

from __future__ import annotations

import tomllib

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli.legacy_config import ConvertedConfig, convert
from itsjustintv.errors import ConfigError

GOOD = """# of years
[twitch]
client_id = "an-id-of-tests"
client_secret = "a-secret-of-tests"
webhook_secret = "a secret of tests"

[streamers.tanuki]
login = "tanuki"
target_webhook_url = "https://receiver.example.org/live"
"""


WANTED = {"discord": True, "slack": False}


class AcceptTests(SynchronousTestCase):
    """
    What becomes of the original's configuration.
    """

    def accepted(self, more: str, text: str = GOOD) -> ConvertedConfig:
        """
        A good one with something added, which can be used.
        """
        found = convert(text + more, {})
        self.assertEqual(list(found.problems), [])
        assert found.loaded is not None
        tomllib.loads(found.text)
        return found

    def test_a_good_one_stays_as_it_is(self) -> None:
        """
        Nothing is changed that need not be, comments included.
        """
        found = self.accepted("")
        self.assertEqual((found.text, list(found.repairs)), (GOOD, []))

    def test_addresses_of_chat_services_become_destinations(self) -> None:
        """
        What the original could deliver nothing to becomes a destination, once for each address, with what belonged to
        it commented out; an address of a program stays, and so does everything where that is not wished.
        """
        url = "https://discord.com/api/webhooks/1/a"
        more = f'''target_webhook_secret = "x"

[streamers.kitsune]
login = "kitsune"
target_webhook_url = "{url}"  # ours
target_webhook_secret = "a secret"

[streamers.mujina]
login = "mujina"
target_webhook_url = "https://hooks.slack.com/services/T00/B00/q7Z"

[global_webhook]
enabled = true
url = "{url}"
'''
        found = convert(GOOD + more, {}, moving=True)
        assert found.loaded is not None
        config = found.loaded.config
        self.assertEqual({name: each.default for name, each in config.destinations.items()}, WANTED)
        self.assertEqual(config.streamers["kitsune"].destinations, ("discord",))
        self.assertEqual(config.streamers["mujina"].destinations, ("slack",))
        self.assertEqual(config.streamers["tanuki"].target_webhook_url, "https://receiver.example.org/live")
        self.assertFalse(config.global_webhook.enabled)
        self.assertEqual(len(found.repairs), 3)
        self.assertNotIn(url, str(found.repairs))
        self.assertEqual(convert(GOOD + more, {}).text, GOOD + more)

    def test_what_is_unknown_becomes_a_comment(self) -> None:
        """
        Keys and tables that nobody knows, and that the original ignored, are commented out, values of several lines and
        tables below them included; what is beside them stays.
        """
        more = 'webhook_url = [\n  "a", # b\n  "c",\n]\n[discord]\nid = 5\n[discord.more]\nx = """\n[y]\n"""\n'
        found = self.accepted(f"{more}[output]\nmax_lines = 7\n")
        self.assertCountEqual([each.path for each in found.repairs], ["discord", "streamers.tanuki.webhook_url"])
        self.assertIn('# webhook_url = [\n#   "a", # b\n#   "c",\n# ]\n# [discord]\n# id = 5\n', found.text)
        assert found.loaded is not None
        self.assertEqual(found.loaded.config.output.max_lines, 7)

    def test_a_key_in_another_case(self) -> None:
        """
        The original knew keys in any case; here they are spelt as they should be, and keep their values.
        """
        found = self.accepted("Tag_Filter = ['x']\n[Retry]\n[output]\nMAX_LINES = 7 # MAX\n")
        assert found.loaded is not None
        self.assertEqual(found.loaded.config.streamers["tanuki"].tag_filter, ("x",))
        self.assertIn("max_lines = 7 # MAX\n", found.text)

    def test_an_unknown_hash_function(self) -> None:
        """
        What the original took for SHA-256 says so, so that receivers go on to get what they got.
        """
        found = self.accepted('target_webhook_hashing = "MD5-typo"\n')
        [repair] = found.repairs
        self.assertEqual(repair.path, "streamers.tanuki.target_webhook_hashing")
        assert found.loaded is not None
        self.assertEqual(found.loaded.config.streamers["tanuki"].target_webhook_hashing, "SHA-256")

    def test_what_a_person_has_to_decide(self) -> None:
        """
        What cannot be mended without a decision is a problem, and stays; the rest is repaired all the same.
        """
        found = convert(GOOD + '[streamers.other]\nlogin = "Tanuki"\ncolour = "red"\n', {})
        self.assertIsNone(found.loaded)
        paths = [each.path for each in found.problems]
        self.assertIn("streamers.other", paths)
        self.assertIn("streamers.other.login", paths)
        self.assertEqual([each.path for each in found.repairs], ["streamers.other.colour"])
        self.assertIn('login = "Tanuki"', found.text)

    def test_within_a_table_on_one_line(self) -> None:
        """
        An unknown key in a table that stands on one line is left to a person.
        """
        found = convert("server = { port = 80, prot = 81 }\n" + GOOD, {})
        self.assertEqual([each.path for each in found.problems], ["server.prot"])

    def test_the_environment_counts(self) -> None:
        """
        What the environment gives need not be in the file; what it gives wrongly cannot be repaired there.
        """
        text = GOOD.replace('client_id = "an-id-of-tests"\n', "")
        self.assertIsNotNone(convert(text, {"ITSJUSTINTV_TWITCH_CLIENT_ID": "an-id-of-tests"}).loaded)
        found = convert(GOOD, {"ITSJUSTINTV_SERVER_PORT": "no"})
        self.assertEqual([each.path for each in found.problems], ["ITSJUSTINTV_SERVER_PORT"])

    def test_what_is_no_toml(self) -> None:
        """
        There is nothing to be taken over from what is no TOML.
        """
        self.assertIn("is not TOML", str(self.assertRaises(ConfigError, convert, "a = = b", {}).problems[0]))
