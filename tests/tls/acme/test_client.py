"""
Speaking ACME.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import AcmeProblem, AcmeUnavailable
from itsjustintv.tls.acme.client import AcmeClient
from itsjustintv.tls.acme.http import AcmeTransport
from itsjustintv.tls.acme.messages import Binding, Order
from tests.tls.authority import DIRECTORY, HANG, NOW, Authority, Fault, problem, settle

KEY = ec.generate_private_key(ec.SECP256R1())
NAME = "hooks.example.test"


def client_of(authority: Authority, key: Any = KEY) -> AcmeClient:
    """
    A client without an account.
    """
    return AcmeClient(AcmeTransport(authority.http, authority.clock), authority.clock, DIRECTORY, key)


def request_for(*names: str) -> bytes:
    """
    Ask for a certificate with a key of its own.
    """
    sans = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(sans, critical=False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.DER)


async def authorize(client: AcmeClient, order: Order) -> None:
    """
    Answer the first challenge of each authorization.
    """
    for url in order.authorizations:
        await client.respond((await client.authorization(url)).challenges[0])
        await client.wait_authorized(url)


async def issue(client: AcmeClient, *names: str) -> bytes:
    """
    Go the whole way.
    """
    await client.register()
    order = await client.new_order(names)
    await authorize(client, order)
    order = await client.finalize(await client.wait_ordered(order.url), request_for(*names))
    assert order.certificate is not None
    return await client.certificate(order.certificate)


class ClientCase(SynchronousTestCase):
    """
    A test with an authority.
    """

    def setUp(self) -> None:
        self.authority = Authority()
        self.client = client_of(self.authority)
        self.addCleanup(lambda: self.assertEqual(self.authority.broken, []))

    def result(self, work: Coroutine[Deferred[Any], Any, Any]) -> Any:
        """
        What becomes of it.
        """
        return self.successResultOf(settle(self.authority, Deferred.fromCoroutine(work)))

    def failure(self, work: Coroutine[Deferred[Any], Any, Any], *kinds: type[Exception]) -> Any:
        """
        What it fails with.
        """
        return self.failureResultOf(settle(self.authority, Deferred.fromCoroutine(work)), *kinds).value


class IssuanceTests(ClientCase):
    """
    From nothing to a certificate.
    """

    def test_a_certificate_for_two_names(self) -> None:
        """
        Account, order, authorizations, request, certificate: the chain names what was ordered.
        """
        chain = x509.load_pem_x509_certificates(self.result(issue(self.client, NAME, "www.example.test")))
        names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), [NAME, "www.example.test"])
        self.assertEqual(len(chain), 2)

    def test_every_kind_of_account_key_works(self) -> None:
        """
        The authority verifies the signatures of P-384 and RSA keys, too.
        """
        for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
            self.result(issue(client_of(self.authority, key), NAME))

    def test_an_account_that_exists_is_found(self) -> None:
        """
        A key that has an account gets that one again.
        """
        first = self.result(self.client.register())
        self.assertEqual(self.result(client_of(self.authority).register()), first)
        self.assertEqual(len(self.authority.accounts), 1)

    def test_an_address_is_told_when_there_is_one(self) -> None:
        """
        The contact is an optional mailto.
        """
        self.result(self.client.register(email="ops@example.test"))
        self.result(client_of(self.authority, ec.generate_private_key(ec.SECP256R1())).register())
        contacts = [each.payload.get("contact") for each in self.authority.accounts]
        self.assertEqual(contacts, [["mailto:ops@example.test"], None])

    def test_s07_an_order_may_stay_in_processing_and_say_for_how_long(self) -> None:
        """
        Three looks find it so, with a ``Retry-After`` in seconds and as dates; it is asked again when that has passed,
        and no earlier.
        """
        self.authority.processing = 3
        date = format_datetime(datetime.fromtimestamp(NOW + 12, UTC), usegmt=True)
        self.authority.waits = ["1", date, "Sun, 01 Jan 2023 00:00:00 GMT"]
        self.result(issue(self.client, NAME))
        self.assertEqual(self.authority.clock.seconds(), NOW + 13.0)

    def test_an_order_that_is_not_ready_yet_is_waited_for(self) -> None:
        """
        ``orderNotReady`` is no failure.
        """
        self.authority.fail("finalize", problem(403, "orderNotReady"))
        self.result(issue(self.client, NAME))

    def test_polling_comes_to_an_end(self) -> None:
        """
        An order that never leaves processing is given up after five minutes, with few questions.
        """
        self.authority.processing = 10**6
        error = self.failure(issue(self.client, NAME), AcmeUnavailable)
        self.assertIn("5 min", str(error))
        self.assertLess(self.authority.count("order"), 80)

    def test_absurd_waits_are_bounded(self) -> None:
        """
        A ``Retry-After`` of a year counts as half a minute.
        """
        self.authority.processing = 1
        self.authority.waits = ["31536000"]
        self.result(issue(self.client, NAME))
        self.assertLessEqual(self.authority.clock.seconds(), NOW + 31)

    def test_a_failed_validation_says_why(self) -> None:
        """
        The authority's problem document reaches the caller.
        """
        self.authority.validate = lambda *_: False

        async def fail() -> Any:
            await self.client.register()
            order = await self.client.new_order([NAME])
            await authorize(self.client, order)
            return await self.client.authorization(order.authorizations[0])

        found = self.result(fail())
        self.assertEqual(found.status, "invalid")
        self.assertEqual((found.problem.kind, found.problem.detail), ("unauthorized", "the wrong answer"))


class NonceTests(ClientCase):
    """
    Each request has its own.
    """

    def test_a_rejected_nonce_is_replaced(self) -> None:
        """
        A request whose nonce is not taken is sent again with the one that came with the refusal.
        """
        self.authority.fail("newOrder", *[problem(400, "badNonce")] * 9)
        self.result(issue(self.client, NAME))
        self.assertEqual(self.authority.count("newOrder"), 10)
        self.assertEqual(self.authority.count("newNonce"), 1)
        self.assertEqual(self.client.rejected_nonces, 9)

    def test_it_does_not_try_for_ever(self) -> None:
        """
        After thirty refusals it is a failure.
        """
        self.authority.fail_always("newAccount", problem(400, "badNonce"))
        self.assertEqual(self.failure(self.client.register(), AcmeProblem).kind, "badNonce")
        self.assertEqual(self.authority.count("newAccount"), 30)

    def test_no_nonce_is_used_twice(self) -> None:
        """
        Requests side by side all have one of their own.
        """
        self.result(self.client.register())
        orders = [Deferred.fromCoroutine(self.client.new_order([NAME])) for _ in range(5)]
        for order in orders:
            self.successResultOf(settle(self.authority, order))
        self.assertEqual(self.client.rejected_nonces, 0)


class AccountTests(ClientCase):
    """
    What else can be done with an account.
    """

    def test_an_external_account_is_bound(self) -> None:
        """
        With the right secret the account is made.
        """
        self.authority.bindings = {"kid-1": b"a shared secret"}
        self.result(self.client.register(binding=Binding(kid="kid-1", hmac_key=b"a shared secret")))
        error = self.failure(self.client.register(), AcmeProblem)
        self.assertEqual(error.kind, "externalAccountRequired")

    def test_an_unknown_account_is_told_apart(self) -> None:
        """
        The authority has forgotten the account.
        """
        self.result(self.client.register())
        self.authority.forget_accounts()
        self.assertEqual(self.failure(self.client.new_order([NAME]), AcmeProblem).kind, "accountDoesNotExist")


class RenewalInfoTests(ClientCase):
    """
    When to renew.
    """

    def ask(self, body: bytes | dict[str, Any], status: int = 200, **headers: str) -> Callable[..., Any]:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.authority.ari = lambda _: Fault(status, content, named)
        return lambda: client_of(self.authority).renewal_info("aki.serial")

    def test_a_window(self) -> None:
        """
        Its ends, the explanation and when to ask again are read; the request is not signed.
        """
        window = {"start": "2026-04-01T00:00:00Z", "end": "2026-04-03T00:00:00.5Z"}
        ask = self.ask({"suggestedWindow": window, "explanationURL": "https://why"}, Retry_After="21600")
        info = self.result(ask())
        self.assertEqual((info.end - info.start, info.explanation, info.retry_after), (172800.5, "https://why", 21600))
        self.assertEqual(self.authority.asked[-1], ("ari", "aki.serial"))

    def test_an_authority_without_it(self) -> None:
        """
        There is no answer, and no request.
        """
        self.assertIsNone(self.result(self.client.renewal_info("x")))

    def test_s20_what_cannot_be_understood_is_said_to_be_so(self) -> None:
        """
        Garbage, a window without an end and one that ends before it starts are errors.
        """
        window = {"start": "2026-04-03T00:00:00Z", "end": "2026-04-01T00:00:00Z"}
        for body in (b"<html>", {}, {"suggestedWindow": {"start": "x"}}, {"suggestedWindow": window}):
            self.failure(self.ask(body)(), AcmeUnavailable)
        self.failure(self.ask(b"", 500)(), AcmeProblem)


class TroubleTests(ClientCase):
    """
    An authority that is not well.
    """

    def test_a_problem_is_told_with_its_kind_and_its_wait(self) -> None:
        """
        A rate limit comes with the seconds to wait.
        """
        self.authority.fail(
            "newAccount", problem(429, "rateLimited\r\n", "too many\r\nforged line", retry_after="3600")
        )
        error = self.failure(self.client.register(), AcmeProblem)
        self.assertEqual((error.kind, error.status, error.retry_after), ("rateLimited", 429, 3600.0))
        self.assertIn("ca.example.test answered 429 (rateLimited: too many forged line)", str(error))

    def test_an_error_that_is_not_json(self) -> None:
        """
        A proxy's page of HTML is a problem without a kind.
        """
        self.authority.fail("newAccount", Fault(503, b"<html>", [("Retry-After", "7")]))
        error = self.failure(self.client.register(), AcmeProblem)
        self.assertEqual((error.kind, error.status, error.retry_after), ("", 503, 7.0))
        self.authority.fail("newAccount", Fault(503, b"<html>", [("Retry-After", "9" * 300)]))
        error = self.failure(self.client.register(), AcmeProblem)
        self.assertIsNone(error.retry_after, "a wait without end")

    def test_subproblems_are_told(self) -> None:
        """
        When several names are refused, each says why.
        """
        body = {
            "type": "urn:ietf:params:acme:error:rejectedIdentifier",
            "detail": "some names",
            "subproblems": [{"identifier": {"type": "dns", "value": "bad.test"}, "detail": "on a list"}, 7],
        }
        self.authority.fail("newAccount", Fault(403, orjson.dumps(body)))
        self.assertIn("bad.test: on a list", str(self.failure(self.client.register(), AcmeProblem)))

    def test_an_authority_that_does_not_answer(self) -> None:
        """
        A request ends after half a minute.
        """
        self.authority.fail("directory", HANG)
        self.assertIn("within 30 s", str(self.failure(self.client.register(), AcmeUnavailable)))
        self.assertEqual(self.authority.clock.seconds(), NOW + 30)

    def test_an_answer_without_end(self) -> None:
        """
        No more than the limit is read.
        """
        self.authority.fail("directory", Fault(200, b"x" * 600_000))
        self.assertIn("more than", str(self.failure(self.client.register(), AcmeUnavailable)))

    def test_answers_that_are_not_what_they_should_be(self) -> None:
        """
        Garbage is an error with a name, whatever it is.
        """
        for body in (b"", b"[]", b'"text"', b"{}", b'{"newNonce": 7}'):
            self.authority.fail("directory", Fault(200, body))
            self.failure(client_of(self.authority).register(), AcmeUnavailable)

    def test_cancelling_ends_every_wait(self) -> None:
        """
        Whether it waits for an answer or between two, nothing is left on the clock.
        """
        self.authority.fail("newAccount", HANG)
        waiting = Deferred.fromCoroutine(self.client.register())
        self.authority.http.flush()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.authority.processing = 10**6
        polling = Deferred.fromCoroutine(issue(client_of(self.authority), NAME))
        settle(self.authority, polling, patience=10)
        self.assertNoResult(polling)
        polling.cancel()
        self.failureResultOf(polling, CancelledError)
        self.assertEqual(self.authority.clock.getDelayedCalls(), [])
