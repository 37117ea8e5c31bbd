"""
Tests for :mod:`itsjustintv.cli.legacy_config`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli.legacy_config import differences
from itsjustintv.config.load import parse

BASE = (
    '[twitch]\nclient_id = "an-id-of-tests"\nclient_secret = "a-secret-of-tests"\n'
    'webhook_secret = "a secret of tests"\n'
    '[streamers.tanuki]\nlogin = "tanuki"\ntarget_webhook_url = "https://receiver.example.org/live"\n'
)


class DifferencesTests(SynchronousTestCase):
    """
    What is told depends on the configuration.
    """

    def told(self, more: str = "", environ: Mapping[str, str] = {}) -> Mapping[str, str]:
        """
        The differences, by what they are about.
        """
        text = BASE + more
        return {each.about: each.text for each in differences(tomllib.loads(text), parse(text, {}).config, environ)}

    def test_defaults_that_are_others(self) -> None:
        """
        A default that was another is told with both values, unless the file sets it, in whatever case.
        """
        told = self.told()
        self.assertIn(
            "the default is now unlimited, retry.max_age ends the retries; it was 3", told["retry.max_attempts"]
        )
        self.assertIn("the default is now 30 s; it was 1 s", told["retry.initial_delay"])
        self.assertIn("the default is now 30 min; it was 5 min", told["retry.max_delay"])
        said = self.told('[retry]\nmax_attempts = 5\ninitial_delay = "2s"\n')
        self.assertEqual([key for key in said if key in ("retry.max_attempts", "retry.initial_delay")], [])

    def test_what_applies_to_everybody(self) -> None:
        """
        Redirects, the answers to Twitch and the log are always told.
        """
        self.assertLessEqual({"redirects", "/twitch", "answers to Twitch", "subscriptions", "log"}, set(self.told()))

    def test_what_applies_to_some(self) -> None:
        """
        Tags, certificates, catching up, the output file and a variable are told to whom they concern.
        """
        some = {"streamers.*.additional_tags", "server.tls.cert_dir", "ITSJUSTINTV_SERVER_EXTERNAL_DOMAIN"}
        self.assertEqual(some & set(self.told()), set())
        more = (
            'additional_tags = ["vip"]\n[server.tls]\nenabled = true\nagree_to_terms = true\ndomains = ["a.example"]\n'
            '[telemetry]\nenabled = true\nendpoint = "http://127.0.0.1:4318"\n'
        )
        told = self.told(more, {"ITSJUSTINTV_SERVER_EXTERNAL_DOMAIN": "x"})
        self.assertLessEqual(some | {"catch_up.enabled", "output.file_path", "telemetry"}, set(told))
        quiet = self.told("[catch_up]\nenabled = false\n[output]\nenabled = false\n")
        self.assertEqual({"catch_up.enabled", "output.file_path"} & set(quiet), set())

    def test_a_conduit_is_offered(self) -> None:
        """
        Webhooks stay, and it is said that a conduit would need no port; not where there is a conduit.
        """
        self.assertIn("no domain, certificate or open port is needed", self.told()["twitch.transport"])
        config = parse(BASE, {"ITSJUSTINTV_TWITCH_TRANSPORT": "conduit"}).config
        self.assertNotIn("twitch.transport", [each.about for each in differences(tomllib.loads(BASE), config, {})])

    def test_two_entries_for_one_broadcaster(self) -> None:
        """
        Whoever is in the file twice, by id or by login in any case, is named with what the original made of it.
        """
        text = (
            BASE + '[streamers."t 2"]\nlogin = "TANUKI"\n[streamers.a]\nuser_id = "4"\n[streamers.b]\nuser_id = "4"\n'
        )
        told = {each.about: each.text for each in differences(tomllib.loads(text), parse(BASE, {}).config, {})}
        self.assertIn("is the same broadcaster as tanuki", told['streamers."t 2"'])
        self.assertIn("at random", told["streamers.b"])

    def test_tables_that_are_none(self) -> None:
        """
        Something else where a table belongs is passed over.
        """
        tables = {"streamers": {"tanuki": 5}, "retry": 7}
        self.assertTrue(list(differences(tables, parse(BASE, {}).config, {})))
        self.assertTrue(list(differences({"streamers": 5}, parse(BASE, {}).config, {})))
