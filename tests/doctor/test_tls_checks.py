"""
Tests for :mod:`itsjustintv.doctor.tls_checks`.
"""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Sequence
from pathlib import Path
from time import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import TLS, Server
from itsjustintv.doctor import tls_checks
from itsjustintv.doctor.findings import Finding, Severity
from itsjustintv.support.files import is_locked
from itsjustintv.tls.acme.http import AcmeTransport
from tests.tls.authority import DAY, DIRECTORY, Authority, problem
from tests.tls.doubles import NAME, bundle


class KeysTests(SynchronousTestCase):
    """
    Folders and files.
    """

    def setUp(self) -> None:
        self.root = Path(self.mktemp()).absolute()

    def verdict(self, **changes: Any) -> tuple[Severity, str]:
        """
        What is found, of the worst kind.
        """
        tls = TLS(enabled=True, domains=(NAME,), cert_dir=str(self.root), **changes)
        found = sorted(tls_checks.keys(tls, time()), key=lambda each: list(Severity).index(each.severity))
        return found[-1].severity, found[-1].text

    def test_a_folder_that_is_not_there_yet(self) -> None:
        """
        It will be made, so nothing is to be done, and nothing is made by looking.
        """
        self.assertEqual(self.verdict()[0], Severity.OK)
        self.assertFalse(self.root.exists())

    def test_a_key_that_others_can_read(self) -> None:
        """
        It is to be mended, with the command that does it.
        """
        (self.root / "certs").mkdir(parents=True)
        self.root.chmod(0o700)
        key = self.root / "certs" / "one.pem"
        key.write_bytes(b"")
        key.chmod(0o600)
        self.assertEqual(self.verdict()[0], Severity.OK)
        key.chmod(0o640)
        verdict, text = self.verdict()
        self.assertEqual(verdict, Severity.ERROR)
        self.assertIn(f"chmod 600 {key}", text)

    def test_a_folder_that_others_can_enter(self) -> None:
        """
        It is worth a hint while the keys are private.
        """
        self.root.mkdir(parents=True)
        self.root.chmod(0o755)
        self.assertEqual(self.verdict()[0], Severity.WARNING)

    def test_something_else_in_its_place(self) -> None:
        """
        A file where the folder should be is to be mended.
        """
        self.root.parent.mkdir(parents=True, exist_ok=True)
        self.root.write_bytes(b"")
        self.assertEqual(self.verdict()[0], Severity.ERROR)

    def test_the_operators_own_files(self) -> None:
        """
        They must be there, and for the domains.
        """
        own = str(self.root)
        changes = {"mode": "files", "cert_file": own, "key_file": own}
        self.assertEqual(self.verdict(**changes)[0], Severity.ERROR)
        self.root.parent.mkdir(parents=True, exist_ok=True)
        for names, verdict in (((NAME,), Severity.OK), (("other.example.test",), Severity.ERROR)):
            held = bundle(*names, start=time() - DAY)
            self.root.write_bytes(b"".join(each.as_bytes() for each in held.objects()))
            self.assertEqual(self.verdict(**changes)[0], verdict, names)


class PortsTests(SynchronousTestCase):
    """
    Ports, and who has them.
    """

    def setUp(self) -> None:
        self.taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.taken.close)
        self.port: int = self.taken.getsockname()[1]

    def found(self, running: bool | None, **tls: Any) -> Sequence[Finding]:
        """
        What is found of ``server.port``, and of ``http_listen`` if that is looked at.
        """
        server = Server(listen_addr="127.0.0.1", port=self.port, tls=TLS(enabled=True, **{"http_listen": "", **tls}))
        return list(tls_checks.ports(server, running))

    def verdicts(self, running: bool | None, **tls: Any) -> Sequence[Severity]:
        """
        What is thought of them.
        """
        return [each.severity for each in self.found(running, **tls)]

    def test_a_port_that_is_taken(self) -> None:
        """
        By the daemon that runs it may be; by anybody else it is to be mended.
        """
        self.assertEqual(self.verdicts(True, mode="files"), [Severity.OK])
        self.assertEqual(self.verdicts(None, mode="files"), [Severity.WARNING])
        self.assertEqual(self.verdicts(False, mode="files"), [Severity.ERROR])

    def test_a_port_that_is_free(self) -> None:
        """
        It is let go of at once.
        """
        self.taken.close()
        self.assertEqual(self.verdicts(False, mode="files"), [Severity.OK])
        socket.create_server(("127.0.0.1", self.port)).close()

    def test_where_plain_http_is_listened_for(self) -> None:
        """
        Where challenges are answered the port is to be mended if it cannot be had; where it only leads to https that is
        worth a hint, which says that it can be done without. Nowhere is not tried.
        """
        where = f"127.0.0.1:{self.port}"
        for challenge in ("http-01", "both"):
            self.assertEqual(self.verdicts(False, http_listen=where, challenge=challenge)[1:], [Severity.ERROR])
        for place in (where, "192.0.2.1:80"):
            for tls in ({"mode": "files"}, {"challenge": "tls-alpn-01"}):
                [_, hint] = self.found(False, http_listen=place, **tls)
                self.assertEqual(hint.severity, Severity.WARNING)
                self.assertIn('server.tls.http_listen, or set it to "" for none', hint.text)
        self.assertEqual(len(self.verdicts(False, mode="files")), 1)
        self.taken.close()
        self.assertEqual(self.verdicts(False, http_listen=where, mode="files")[1:], [Severity.OK])

    def test_an_address_of_another_machine(self) -> None:
        """
        What is not an address of this machine is to be mended.
        """
        server = Server(listen_addr="192.0.2.1", port=self.port, tls=TLS())
        [found] = tls_checks.ports(server, running=False)
        self.assertEqual(found.severity, Severity.ERROR)
        self.assertIn("server.port", found.text)

    def test_a_lock_tells_whether_a_daemon_runs(self) -> None:
        """
        A lock that is held, one that is not, one that is not there, and a system that does not tell.
        """
        path = Path(self.mktemp())
        self.assertFalse(is_locked(path))
        with path.open("wb") as file:
            self.assertIs(is_locked(path), False)
            fcntl.flock(file, fcntl.LOCK_EX)
            self.assertIs(is_locked(path), True)
        self.assertIs(is_locked(path), False)
        self.assertIsNone(is_locked(path, Path(self.mktemp())))


class NamesTests(SynchronousTestCase):
    """
    Where names lead.
    """

    def verdict(self, *found: str, listen_addr: str = "0.0.0.0") -> Severity:  # noqa: S104
        """
        What is thought of a name that leads to these addresses.
        """
        server = Server(listen_addr=listen_addr, tls=TLS(enabled=True, domains=(NAME, "192.0.2.7")))
        [finding] = tls_checks.names(server, lambda _: found)
        return finding.severity

    def test_where_a_name_leads(self) -> None:
        """
        To the internet is well; to this network only, or to IPv6 that nobody listens on, is worth a hint. Addresses
        are not looked up.
        """
        self.assertEqual(self.verdict("93.184.216.34"), Severity.OK)
        self.assertEqual(self.verdict("10.0.0.1"), Severity.WARNING)
        self.assertEqual(self.verdict("93.184.216.34", "2606:2800:220:1::1"), Severity.WARNING)
        self.assertEqual(self.verdict("93.184.216.34", "2606:2800:220:1::1", listen_addr="::"), Severity.OK)

    def test_a_name_that_leads_nowhere(self) -> None:
        """
        It is to be mended.
        """

        def resolve(_: str) -> Sequence[str]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        [finding] = tls_checks.names(Server(tls=TLS(domains=(NAME,))), resolve)
        self.assertEqual(finding.severity, Severity.ERROR)
        self.assertIn(f"cannot resolve {NAME}: Name or service not known", finding.text)


class AuthorityTests(SynchronousTestCase):
    """
    The authority.
    """

    def setUp(self) -> None:
        self.authority = Authority()

    def found(self, **changes: Any) -> Finding:
        """
        What is thought of it.
        """
        tls = TLS(enabled=True, domains=(NAME,), directory=DIRECTORY, **changes)
        exchange = AcmeTransport(self.authority.http, self.authority.clock)
        asking = Deferred.fromCoroutine(tls_checks.authority(tls, exchange))
        self.authority.http.flush()
        found: Finding = self.successResultOf(asking)
        return found

    def test_one_that_answers(self) -> None:
        """
        Nothing but its directory is asked for.
        """
        self.assertEqual(self.found().severity, Severity.OK)
        self.assertEqual([kind for kind, _ in self.authority.asked], ["directory"])

    def test_one_that_does_not(self) -> None:
        """
        What it says is repeated.
        """
        self.authority.fail("directory", problem(503, "serverInternal", "closed for today"))
        found = self.found()
        self.assertEqual(found.severity, Severity.ERROR)
        self.assertIn("closed for today", found.text)

    def test_one_that_wants_more(self) -> None:
        """
        An account that it wants and that is not configured, and a profile that it does not have, are to be mended.
        """
        self.assertEqual(self.found(profile="shortlived").severity, Severity.ERROR)
        self.authority.bindings = {}
        self.assertIn("server.tls.eab_kid", self.found().text)
        self.assertEqual(self.found(eab_kid="kid", eab_hmac="c2VjcmV0").severity, Severity.OK)
