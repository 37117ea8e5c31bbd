"""
Tests for :mod:`itsjustintv.cli.certs`.
"""

from __future__ import annotations

import json
from pathlib import Path
from time import time
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli.main import main
from itsjustintv.config.sections import TLS
from itsjustintv.tls.certificate import Bundle
from itsjustintv.tls.renewal_policy import Record
from itsjustintv.tls.settings import fingerprint
from itsjustintv.tls.store import CertificateStore
from tests.tls.authority import DAY
from tests.tls.doubles import NAME, bundle

DIRECTORY = "http://127.0.0.1:9/directory"


class CertsCase(SynchronousTestCase):
    """
    A configuration, and a folder of certificates.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.root = self.folder / "certs"
        self.tls = TLS(enabled=True, domains=(NAME,), agree_to_terms=True, directory=DIRECTORY)
        self.store = CertificateStore.of(self.root, DIRECTORY, (NAME,), execute)

    def keep(self, held: Bundle | None = None, record: Record | None = None) -> None:
        """
        Leave something as the daemon does.
        """
        if held is not None:
            self.successResultOf(self.store.store(NAME, held.objects()))
        if record is not None:
            self.successResultOf(Deferred.fromCoroutine(self.store.remember(NAME, record)))

    def run_command(self, *arguments: str, settings: str = "", server: str = "") -> Result:
        """
        What ``itsjustintv certs`` says.
        """
        mode = (
            settings or f'enabled = true\ndirectory = "{DIRECTORY}"\ncert_dir = "{self.root}"\nagree_to_terms = true\n'
        )
        path = self.folder / "config.toml"
        path.write_text(
            f'[server]\n{server}\n[server.tls]\ndomains = ["{NAME}"]\n{mode}'
            '[twitch]\nclient_id = "an-id-of-tests"\nclient_secret = "a-secret-of-tests"\n'
            'webhook_secret = "a secret of tests"\n'
            '[streamers.tanuki]\nlogin = "tanuki"\ntarget_webhook_url = "https://receiver.example.org/live"\n',
            encoding="utf-8",
        )
        return CliRunner().invoke(main, ["certs", *arguments, "--config", str(path)])

    def listed(self, **more: str) -> Any:
        """
        What is told of the one name.
        """
        result = self.run_command("list", "--json", **more)
        self.assertEqual(result.exit_code, 0, result.output)
        [found] = json.loads(result.stdout)["certificates"]
        return found


class ListTests(CertsCase):
    """
    ``itsjustintv certs list``.
    """

    def test_a_good_certificate(self) -> None:
        """
        The days that are left, and the moment of the renewal by our own rule, when a third is left.
        """
        start = time() - 30 * DAY
        self.keep(bundle(start=start))
        found = self.listed()
        self.assertEqual((found["level"], found["days_left"], found["problem"]), ("ok", 60.0, ""))
        self.assertRegex(found["next"], "^renewed at ")
        shown = self.run_command("list").stdout.splitlines()
        self.assertEqual(len(shown), 2, shown)
        self.assertEqual(shown[1].split()[:3], [NAME, "ok", "60.0"])

    def test_nothing_yet(self) -> None:
        """
        A name without a certificate is critical, and nothing is made by looking.
        """
        found = self.listed()
        self.assertEqual((found["level"], found["days_left"]), ("critical", None))
        self.assertEqual(found["next"], "ordered once the daemon runs")
        self.assertFalse(self.root.exists())

    def test_what_went_wrong_last(self) -> None:
        """
        The last problem, with its advice, and when it is tried again.
        """
        record = Record(failures=2, last_attempt=time(), next_attempt=time() + DAY, problem="refused: correct the name")
        self.keep(record=record)
        found = self.listed()
        self.assertEqual((found["problem"], found["failures"]), ("refused: correct the name", 2))
        self.assertRegex(found["next"], "^retried at ")
        self.assertIn("refused: correct the name", self.run_command("list").stdout)

    def test_what_is_given_up(self) -> None:
        """
        A name that the authority refuses for good is said to wait for another configuration.
        """
        self.keep(record=Record(failures=1, problem="no", blocked_by=fingerprint(self.tls, NAME)))
        self.assertEqual(self.listed()["next"], "not retried: correct [server.tls], or run itsjustintv certs renew")

    def test_a_damaged_file_is_named_and_stays(self) -> None:
        """
        A file that is of no use is told of, and is left for the daemon to set aside.
        """
        self.keep(bundle())
        path = next(self.root.rglob("*.pem"))
        path.write_bytes(b"damaged")
        self.assertIn("invalid certificate", self.listed()["problem"])
        self.assertEqual(path.read_bytes(), b"damaged")

    def test_a_certificate_of_the_operators_own(self) -> None:
        """
        It is judged by its file, and by whether it is for the name.
        """
        own, settings = (
            self.folder / "own.pem",
            f'enabled = true\nmode = "files"\ncert_file = "{self.folder}/own.pem"\n',
        )
        settings += f'key_file = "{own}"\n'
        own.write_bytes(b"".join(each.as_bytes() for each in bundle(start=time() - DAY).objects()))
        found = self.listed(settings=settings)
        self.assertEqual((found["level"], found["days_left"], found["next"]), ("ok", 89.0, "replaced by the operator"))
        own.write_bytes(b"".join(each.as_bytes() for each in bundle("other.example.test", start=time()).objects()))
        self.assertIn("is not valid for this name", self.listed(settings=settings)["problem"])
        own.unlink()
        self.assertIn("No such file", self.listed(settings=settings)["problem"])

    def test_without_https(self) -> None:
        """
        Where HTTPS is not served there is nothing to look at, which is said.
        """
        result = self.run_command("list", settings="enabled = false\n")
        self.assertEqual(
            (result.exit_code, result.stderr.strip()), (1, "Error: HTTPS is off: server.tls.enabled is false")
        )


class RenewTests(CertsCase):
    """
    ``itsjustintv certs renew``, as far as it comes without an authority.
    """

    def test_a_name_that_is_not_configured(self) -> None:
        """
        It is refused with the name that is like it, and nothing is made.
        """
        result = self.run_command("renew", "stranger.example.test")
        self.assertEqual(
            (result.exit_code, result.stderr.strip()),
            (1, f"Error: not in server.tls.domains: stranger.example.test; did you mean {NAME}?"),
        )
        self.assertFalse(self.root.exists())

    def test_a_certificate_of_the_operators_own(self) -> None:
        """
        Nobody orders what the operator looks after.
        """
        settings = f'enabled = true\nmode = "files"\ncert_file = "{self.folder}/own.pem"\nkey_file = "own.key"\n'
        result = self.run_command("renew", settings=settings)
        self.assertEqual(result.exit_code, 1)
        self.assertIn("replace the certificate files yourself", result.stderr)
