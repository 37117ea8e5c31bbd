"""
Tests of what the configuration says of ``[egress]``.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.load import parse
from itsjustintv.destinations.kinds import KINDS
from itsjustintv.errors import ConfigError
from tests.config.test_load import REQUIRED


def warnings(allow: str, url: str) -> list[str]:
    """
    The warnings about a streamer's URL and a destination's, which are the same.
    """
    text = f"""{REQUIRED}
[egress]
allow = {allow}
[destinations.home]
type = "webhook"
url = "{url}"
[streamers.tanuki]
login = "tanuki"
target_webhook_url = "{url}"
"""
    return [str(each) for each in parse(text, {}, kinds=KINDS).warnings]


class EgressTests(SynchronousTestCase):
    """
    Addresses that will be refused.
    """

    def test_warned(self) -> None:
        """
        A URL with a refused address is a warning that names the address and nothing else of the URL, unless it is
        allowed; names and private addresses are none.
        """
        said = "has the address 169.254.1.9, which is refused (egress): add it to egress.allow if that is meant"
        self.assertEqual(
            warnings("[]", "http://169.254.1.9/hook"),
            [f"streamers.tanuki.target_webhook_url: {said}", f"destinations.home.url: {said}"],
        )
        self.assertEqual(len(warnings("[]", "http://[::ffff:169.254.169.254]:8080/")), 2)
        self.assertEqual(warnings('["169.254.1.0/24"]', "http://169.254.1.9/hook"), [])
        for url in ("http://127.0.0.1/", "http://10.0.0.7:8080/hook", "http://[fd00::1]/", "https://gotify.lan/"):
            self.assertEqual(warnings("[]", url), [])

    def test_everything_allowed(self) -> None:
        """
        A network of all addresses is a warning.
        """
        for network in ("0.0.0.0/0", "::/0"):
            [warning] = warnings(f'["{network}"]', "https://gotify.lan/")
            self.assertIn("egress.allow: allows every address", warning)

    def test_wrong(self) -> None:
        """
        What is no network is an error, which does not hide others.
        """
        with self.assertRaises(ConfigError) as raised:
            warnings('["home"]', "http://169.254.1.9/hook")
        self.assertIn("egress.allow: must be a list of addresses and networks", str(raised.exception))
