"""
Tests for :mod:`itsjustintv.cli.doctor`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from time import time

from attrs import evolve
from click.testing import CliRunner
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli.certs import certificates
from itsjustintv.cli.doctor import _certificate, _daemon, _https, _subscriptions
from itsjustintv.cli.main import main
from itsjustintv.config.load import Loaded
from itsjustintv.config.sections import TLS, Config, Server, Storage
from itsjustintv.doctor import system_checks
from itsjustintv.doctor.findings import Finding, Severity
from itsjustintv.journal.sqlite.storage import SQLiteStorage
from itsjustintv.simulator.loopback import free_port
from tests.cli.test_health import Counter, said
from tests.tls.authority import DAY
from tests.tls.doubles import NAME, bundle


class ConfigurationTests(SynchronousTestCase):
    """
    Without a configuration there is nothing else to look at.
    """

    def test_what_cannot_be_used(self) -> None:
        """
        Every problem is to be mended, for people and for programs.
        """
        path = Path(self.mktemp())
        path.write_text('[server]\nport = "x"\n[retry]\njitter = 2\n')
        # The switches of the tests are no settings, about which there would be a hint.
        runner = CliRunner(env={name: None for name in os.environ if name.startswith("ITSJUSTINTV_")})
        result = runner.invoke(main, ["doctor", "--config", str(path)])
        self.assertEqual(result.exit_code, 1)
        self.assertIn("error: configuration: server.port: must be a whole number", result.output)
        self.assertIn("5 errors found", result.output)
        result = runner.invoke(main, ["doctor", "--json", "--config", str(path)])
        content = json.loads(result.stdout)
        self.assertEqual((content["mend"], content["hints"], result.exit_code), (5, 0, 1))
        self.assertEqual({each["area"] for each in content["findings"]}, {"configuration"})


class DaemonTests(SynchronousTestCase):
    """
    What the daemon says of itself.
    """

    def found(self, answer: bytes | None, running: bool | None = True) -> list[Finding]:
        """
        What is found when somebody answers so; nobody when there is no answer.
        """
        counter = None if answer is None else Counter(answer)
        path = Path(self.mktemp())
        path.write_text(f"[server]\nport = {free_port() if counter is None else counter.port}\n")
        found = list(_daemon(path, running))
        if counter is not None:
            counter.close()
        return found

    def test_ready(self) -> None:
        """
        One that is ready is as it should be.
        """
        [found] = self.found(said("200 OK", {"status": "ready"}))
        self.assertEqual(found.severity, Severity.OK)

    def test_not_ready(self) -> None:
        """
        Each reason is to be mended, unless it is looked at here as well.
        """
        reasons = [{"check": "journal", "reason": "full"}, {"check": "subscriptions", "reason": "missing"}]
        found = self.found(said("503 Unavailable", {"status": "not ready", "reasons": reasons}))
        self.assertEqual([each.severity for each in found], [Severity.ERROR, Severity.WARNING])
        self.assertIn("journal: full", found[0].text)

    def test_somebody_else(self) -> None:
        """
        Whoever answers otherwise is not the daemon.
        """
        for answer in (said("404 Not Found", b"no"), b"220 welcome\r\n"):
            self.assertEqual([each.severity for each in self.found(answer)], [Severity.ERROR])

    def test_nobody(self) -> None:
        """
        Nobody is to be mended if there should be somebody.
        """
        for running, verdict in ((True, Severity.ERROR), (None, Severity.WARNING), (False, Severity.WARNING)):
            [found] = self.found(None, running)
            self.assertEqual(found.severity, verdict, running)


class HTTPSTests(SynchronousTestCase):
    """
    HTTPS, if it is served here.
    """

    def verdicts(self, tls: TLS, running: bool = False) -> dict[str, Severity]:
        """
        What is found of each certificate.
        """
        server = Server(listen_addr="127.0.0.1", port=free_port(), tls=tls)
        folder = Path(self.mktemp())
        settings = Loaded(Config(server=server, storage=Storage(path=str(folder / "journal.db"))))
        return {each.text.partition(":")[0]: each.severity for each in _https(settings, running)}

    def test_by_a_proxy(self) -> None:
        """
        Where it is not served here only the port matters.
        """
        self.assertEqual(set(self.verdicts(TLS()).values()), {Severity.OK})

    def test_a_certificate_that_is_not_there_yet(self) -> None:
        """
        Before the first start there is none; a daemon that runs should have one.
        """
        tls = TLS(enabled=True, domains=(NAME,), cert_dir=self.mktemp(), challenge="tls-alpn-01", http_listen="")
        self.assertEqual(self.verdicts(tls)[NAME], Severity.WARNING)
        self.assertEqual(self.verdicts(tls, running=True)[NAME], Severity.ERROR)

    def test_a_certificate_of_the_operators_own(self) -> None:
        """
        It is as good as its file.
        """
        path = Path(self.mktemp())
        name = "other.example.test"
        tls = TLS(enabled=True, mode="files", domains=(name,), cert_file=str(path), key_file=str(path), http_listen="")
        path.write_bytes(b"".join(each.as_bytes() for each in bundle(name, start=time() - DAY).objects()))
        self.assertEqual(self.verdicts(tls)[name], Severity.OK)
        path.unlink()
        self.assertEqual(self.verdicts(tls)[name], Severity.ERROR)

    def test_one_that_expires_soon(self) -> None:
        """
        It is said when, and who must replace it: the operator a file, the daemon what it ordered.
        """
        path = Path(self.mktemp())
        name = "other.example.test"
        tls = TLS(enabled=True, mode="files", domains=(name,), cert_file=str(path), key_file=str(path), http_listen="")
        path.write_bytes(b"".join(each.as_bytes() for each in bundle(name, start=time() - 88 * DAY).objects()))
        [found] = [each for each in certificates(tls, time()) if each.name == name]
        text = _certificate(found, tls)
        self.assertTrue(text.startswith("the certificate expires in 2 days, at 20"), text)
        self.assertTrue(
            text.endswith(f": replace {path} and {path}; the daemon does not renew them in this mode"), text
        )
        ordered = _certificate(found, evolve(tls, mode="acme"))
        self.assertEqual(ordered, f"{text.partition(': ')[0]}; it was not renewed in time; {found.next}")
        self.assertNotIn("good", text)


class SubscriptionsTests(SynchronousTestCase):
    """
    What cannot be known without the journal.
    """

    def test_a_damaged_journal(self) -> None:
        """
        Nothing is said of subscriptions when the journal, which knows their secrets, cannot be read.
        """
        path = Path(self.mktemp())
        path.write_text("damaged " * 1000)
        settings = Loaded(Config(storage=Storage(path=str(path))))
        [found] = self.successResultOf(Deferred.fromCoroutine(_subscriptions(None, settings, running=True)))
        self.assertEqual(found.severity, Severity.WARNING)
        self.assertTrue(found.text.startswith("not checked: their secret"), found.text)
        [found] = system_checks.journal(SQLiteStorage(path), time, running=True)
        self.assertEqual(found.severity, Severity.ERROR)
        self.assertNotIn("free", found.text)
