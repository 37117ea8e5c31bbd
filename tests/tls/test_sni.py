"""
Which certificate is served to whom.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

import itsjustintv
from itsjustintv.tls.acme.challenges import TlsAlpn01Responder
from itsjustintv.tls.sni import ACME_TLS, ContextMap
from tests.tls.authority import NOW
from tests.tls.doubles import NAME, bundle
from tests.tls.tls import EchoFactory, Server, pending

SNI = NAME.encode()
OTHER = "www.example.test"


class ContextCase(SynchronousTestCase):
    """
    A test with a server of two names.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.responder = TlsAlpn01Responder(self.clock)
        self.server = Server(ContextMap(self.responder.context_for))
        self.first, self.second = bundle(), bundle(OTHER)
        self.server.contexts.put(NAME, self.first)
        self.server.contexts.put(OTHER, self.second)


class NameTests(ContextCase):
    """
    By name.
    """

    def test_it_is_what_twisted_wants(self) -> None:
        """
        It can stand wherever a server's TLS is configured.
        """
        verifyObject(IOpenSSLServerConnectionCreator, self.server.contexts)

    def test_each_name_has_its_certificate(self) -> None:
        """
        With what is above it, under both versions of TLS.
        """
        for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            client = self.server.connect(SNI, version=version)
            self.assertEqual(client.certificate, self.first.leaf)
            chain = client.connection.get_peer_cert_chain(as_cryptography=True) or []
            self.assertEqual(chain[1:], list(self.first.chain))
            self.assertEqual(self.server.connect(OTHER.encode(), version=version).certificate, self.second.leaf)

    def test_s33_case_and_a_dot_at_the_end_do_not_matter(self) -> None:
        """
        As DNS has it.
        """
        for name in (b"HOOKS.Example.TEST", b"hooks.example.test.", b"Hooks.example.test."):
            self.assertEqual(self.server.connect(name).certificate, self.first.leaf)

    def test_s33_an_unknown_name_fails_and_costs_one_line_of_debugging(self) -> None:
        """
        With a default certificate, too; a path is a name like any other.
        """
        self.server.contexts.set_default(NAME)
        for name in (b"unknown.test", b"../../etc/passwd", b"a." + SNI, b"test", b"\xff\xfe", b"x" * 255):
            with capturedLogs() as events:
                client = self.server.connect(name)
            self.assertIsNotNone(client.error, name)
            self.assertEqual([event["log_level"] for event in events], [LogLevel.debug], events)
        self.assertEqual(self.server.connect(SNI).certificate, self.first.leaf)

    @given(st.binary(min_size=1, max_size=255).filter(lambda name: b"\0" not in name))
    def test_s33_no_name_can_do_harm(self, name: bytes) -> None:
        """
        Whatever a client asks for, it is served or refused, and nothing worse is said than a line of debugging.
        """
        with capturedLogs() as events:
            self.server.connect(name)
        self.assertLessEqual({event["log_level"] for event in events}, {LogLevel.debug})

    def test_s34_who_names_nobody_is_served_the_default(self) -> None:
        """
        And fails while there is none.
        """
        self.assertIsNotNone(self.server.connect(None).error)
        self.server.contexts.set_default(OTHER)
        self.assertEqual(self.server.connect(None).certificate, self.second.leaf)

    def test_a_wildcard_serves_one_label(self) -> None:
        """
        And gives way to a certificate of the name itself.
        """
        wild = bundle("*.example.test")
        self.server.contexts.put("*.example.test", wild)
        self.assertEqual(self.server.connect(b"a.example.test").certificate, wild.leaf)
        self.assertEqual(self.server.connect(SNI).certificate, self.first.leaf)
        self.assertIsNotNone(self.server.connect(b"a.b.example.test").error)

    def test_old_versions_are_refused(self) -> None:
        """
        TLS 1.1 is not spoken.
        """
        self.assertIsNotNone(self.server.connect(SNI, version=SSL.TLS1_1_VERSION).error)

    def test_a_certificate_is_replaced_under_open_connections(self) -> None:
        """
        Who is connected goes on; who comes next gets the new one.
        """
        client = self.server.connect(SNI)
        renewed = bundle()
        self.server.contexts.put(NAME, renewed)
        self.assertEqual(self.server.connect(SNI).certificate, renewed.leaf)
        self.assertEqual(client.say(b"still here"), b"still here")
        self.server.contexts.drop(NAME)
        self.assertIsNotNone(self.server.connect(SNI).error)
        self.assertEqual(client.say(b"and still"), b"and still")
        self.assertEqual(self.server.contexts.names, {OTHER})

    def test_nobody_resumes_a_session(self) -> None:
        """
        A session from before would keep an old certificate alive: none is given.
        """
        for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            client = self.server.connect(SNI, version=version)
            client.say(b"tickets come with the first answer")
            renewed = bundle()
            self.server.contexts.put(NAME, renewed)
            again = self.server.connect(SNI, version=version, before=client)
            self.assertEqual(again.certificate, renewed.leaf)


class ProtocolTests(ContextCase):
    """
    By protocol.
    """

    def test_s38_what_is_spoken_does_not_change_with_the_certificate(self) -> None:
        """
        The best that both speak, before and after a swap; nothing where they have nothing in common.
        """
        self.server = Server(self.server.contexts, EchoFactory([b"h2", b"http/1.1"]))
        for _ in range(2):
            for offered, spoken in (
                ([b"http/1.1", b"h2"], b"h2"),
                ([b"http/1.1"], b"http/1.1"),
                ([b"spdy/3"], b""),
                ([], b""),
            ):
                client = self.server.connect(SNI, alpn=offered)
                self.assertIsNone(client.error)
                self.assertEqual(client.spoken, spoken)
            self.server.contexts.put(NAME, bundle())


class ChallengeTests(ContextCase):
    """
    To an authority's validator.
    """

    def test_a_validator_gets_the_challenge(self) -> None:
        """
        A certificate of that name alone, with the digest of the key authorization in a critical extension; then the
        connection ends.
        """
        pending(self.responder)
        client = self.server.connect(SNI, alpn=[ACME_TLS])
        self.assertEqual(client.spoken, ACME_TLS)
        names = client.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), [NAME])
        proof = client.certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
        self.assertTrue(proof.critical)
        self.assertEqual(proof.value.value, b"\x04\x20" + sha256(b"token.thumbprint").digest())
        self.assertEqual(client.say(b"anything"), b"")

    def test_s35_a_validator_without_a_challenge_is_refused(self) -> None:
        """
        Before it is expected, after it was, and for another name.
        """
        self.assertIsNotNone(self.server.connect(SNI, alpn=[ACME_TLS]).error)
        pending(self.responder)
        self.assertIsNotNone(self.server.connect(OTHER.encode(), alpn=[ACME_TLS]).error)
        self.assertIsNone(self.server.connect(SNI, alpn=[ACME_TLS]).error)
        self.responder.stop_responding(NAME, None, "")  # type: ignore[arg-type]
        with capturedLogs() as events:
            client = self.server.connect(SNI, alpn=[ACME_TLS])
        self.assertIsNotNone(client.error)
        self.assertFalse(client.connected)
        self.assertEqual(events, [])

    def test_s35_with_tls_1_2_it_is_refused_and_the_process_lives(self) -> None:
        """
        In a process of its own, because what this guards against is the end of the process: to swap the certificate
        there is a use of freed memory, for which one stranger would suffice.
        """
        environ = {**os.environ, "PYTHONPATH": str(Path(itsjustintv.__file__).parents[1])}
        ended = subprocess.run(
            [sys.executable, "-m", "tests.tls.tls"],
            cwd=environ["PYTHONPATH"],
            env=environ,
            capture_output=True,
            check=False,
        )
        self.assertEqual((ended.returncode, ended.stdout), (0, b"alive"), ended.stderr.decode())

    def test_s35_among_other_protocols_it_is_nothing_special(self) -> None:
        """
        Who also speaks HTTP is an ordinary client.
        """
        pending(self.responder)
        client = self.server.connect(SNI, alpn=[ACME_TLS, b"http/1.1"])
        self.assertEqual((client.certificate, client.spoken), (self.first.leaf, b"http/1.1"))

    def test_s36_meanwhile_everybody_else_gets_the_real_certificate(self) -> None:
        """
        With and without a protocol, under both versions.
        """
        pending(self.responder)
        for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            for alpn in ([], [b"http/1.1"]):
                client = self.server.connect(SNI, alpn=alpn, version=version)
                self.assertEqual(client.certificate, self.first.leaf)
                self.assertEqual(client.say(b"hello"), b"hello")

    def test_a_challenge_can_be_met_before_there_is_a_certificate(self) -> None:
        """
        The first one is obtained so.
        """
        pending(self.responder, "new.example.test")
        client = self.server.connect(b"New.Example.test", alpn=[ACME_TLS])
        self.assertEqual(client.spoken, ACME_TLS)

    def test_a_challenge_for_an_address(self) -> None:
        """
        A validator asks by the name of the reverse look-up, and is shown a certificate of the address.
        """
        pending(self.responder, "192.0.2.7")
        client = self.server.connect(b"7.2.0.192.in-addr.arpa", alpn=[ACME_TLS])
        names = client.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual([str(each) for each in names.get_values_for_type(x509.IPAddress)], ["192.0.2.7"])

    def test_s37_a_thousand_validators_that_go_on_talking(self) -> None:
        """
        Nothing they say is heard, nothing is logged, and nothing of them is kept.
        """
        pending(self.responder)
        with capturedLogs() as events:
            for _ in range(1000):
                client = self.server.connect(SNI, alpn=[ACME_TLS])
                self.assertEqual(client.spoken, ACME_TLS)
                client.say(b"GET / HTTP/1.1\r\n\r\n")
            self.server.clock.advance(1)
        self.assertEqual((events, self.server.factory.heard), ([], []))
        del client
        gc.collect()
        left = sum(isinstance(each, SSL.Connection) for each in gc.get_objects())
        self.assertLess(left, 20)
