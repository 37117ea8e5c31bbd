"""
Certificates that obtain and renew themselves, on a clock and against an authority of the test.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import TLS
from itsjustintv.errors import AcmeProblem, CertificatesUnsafe
from itsjustintv.model import rfc3339
from itsjustintv.tls.acme.challenges import Http01Responder
from itsjustintv.tls.acme.http import AcmeTransport
from itsjustintv.tls.acme.order import OrderRunner
from itsjustintv.tls.certificate import Bundle, format_key, key_type
from itsjustintv.tls.certificate_service import CertificateService
from itsjustintv.tls.settings import directory_url
from itsjustintv.tls.store import AccountFiles, CertificateStore
from tests.tls.authority import DAY, DIRECTORY, HANG, NOW, Authority, Fault, Issuer, let_pass, problem, settle
from tests.tls.doubles import NAME, at_once, bundle

HOUR = 3600.0
MINUTE = 60.0
OTHER = "www.example.test"


@define(eq=False)
class House:
    """
    A daemon's part on certificates: what is served, and what is asked for.
    """

    authority: Authority
    root: Path
    settings: TLS
    chance: Callable[[], float] = lambda: 0.5
    in_thread: Any = at_once
    served: dict[str, Bundle] = field(factory=dict)
    retired: list[str] = field(factory=list)
    alarms: list[tuple[str, str, float]] = field(factory=list)
    responder: Http01Responder = field(factory=lambda: Http01Responder(Clock()))
    check_interval: timedelta = timedelta(hours=6)
    service: CertificateService = field(init=False)

    def __attrs_post_init__(self) -> None:
        clock = self.authority.clock
        self.authority.validate = self._validate

        def settings() -> TLS:
            return self.settings

        accounts = AccountFiles.of(self.root, directory_url(self.settings), self.in_thread)
        orders = OrderRunner(
            settings,
            AcmeTransport(self.authority.http, clock),
            accounts,
            {"http-01": self.responder},
            clock,
            self.in_thread,
        )
        self.service = CertificateService.of(
            self.root,
            settings,
            orders,
            self.served.__setitem__,
            clock,
            self.chance,
            self.in_thread,
            self.check_interval,
            retire=self.retired.append,
            panic=self._panic,
        )

    def _validate(self, name: str, kind: str, token: str, right: str) -> bool:
        return kind == "http-01" and self.responder.answer(token.encode()) == right.encode()

    def _panic(self, failure: Failure, name: str) -> None:
        self.alarms.append((name, failure.getErrorMessage(), self.authority.clock.seconds()))

    def store(self) -> CertificateStore:
        """
        What is on the disk.
        """
        return CertificateStore.of(self.root, directory_url(self.settings), self.settings.domains, at_once)


class ServiceCase(SynchronousTestCase):
    """
    A test with an authority and a folder.
    """

    def setUp(self) -> None:
        self.authority = Authority()
        self.root = Path(self.mktemp())
        self.running: list[House] = []
        self.addCleanup(self.end)

    def end(self) -> None:
        """
        Stop what still runs, and see that nothing is left.
        """
        for house in self.running:
            if house.service.running:
                self.successResultOf(settle(self.authority, house.service.stopService(), 2.0))
        self.assertEqual(self.authority.broken, [])
        self.assertEqual(self.authority.clock.getDelayedCalls(), [])

    def house(self, *names: str, **changes: Any) -> House:
        """
        One that has yet to be started.
        """
        how = {key: changes.pop(key) for key in ("chance", "in_thread", "check_interval") if key in changes}
        settings = TLS(
            domains=names or (NAME,), directory=changes.pop("directory", DIRECTORY), agree_to_terms=True, **changes
        )
        return House(self.authority, self.root, settings, **how)

    def start(self, *names: str, **changes: Any) -> House:
        """
        One that runs.
        """
        house = self.house(*names, **changes)
        house.service.startService()
        self.running.append(house)
        return house

    def stop(self, house: House) -> None:
        """
        End it.
        """
        self.successResultOf(settle(self.authority, house.service.stopService(), 2.0))

    def pass_time(self, seconds: float) -> None:
        """
        Wait.
        """
        let_pass(self.authority, seconds)

    def keep(self, found: Bundle, name: str = NAME) -> None:
        """
        Let a certificate be on the disk.
        """
        store = CertificateStore.of(self.root, DIRECTORY, (name,), at_once)
        self.successResultOf(store.store(name, found.objects()))


class IssuanceTests(ServiceCase):
    """
    The first certificate.
    """

    def test_s41_it_is_txacmes_service(self) -> None:
        """
        By class.
        """
        # After ours, which silences its one warning.
        from txacme.service import AcmeIssuingService  # noqa: PLC0415

        self.assertIsInstance(self.house().service, AcmeIssuingService)

    def test_a_name_without_a_certificate_gets_one(self) -> None:
        """
        At once, for each name: served, kept, and said to be ready.
        """
        house = self.house(NAME, OTHER)
        house.service.startService()
        self.running.append(house)
        ready, both = house.service.when_ready(NAME), house.service.when_certs_valid()
        self.pass_time(5)
        self.successResultOf(ready)
        self.successResultOf(both)
        self.assertEqual(set(house.served), {NAME, OTHER})
        kept = self.successResultOf(Deferred.fromCoroutine(house.store().load(NAME)))
        self.assertEqual(kept.leaf, house.served[NAME].leaf)
        self.assertIsNone(house.service.problem())
        self.assertIsNone(house.service.concern())
        self.assertEqual((self.authority.count("newAccount"), self.authority.count("newOrder")), (1, 2))

    def test_s08_a_chain_for_another_key_is_refused(self) -> None:
        """
        Nothing of it is kept or served.
        """
        self.authority.chain_for = lambda authority, _: authority.issuer.chain(bundle().leaf)
        house = self.start()
        self.pass_time(1)
        self.assertEqual(house.served, {})
        self.assertEqual(list(self.root.rglob("*.pem")), [])
        self.assertIn("belongs to the private key", house.service.statuses()[0].problem)

    def test_s09_every_key_is_new(self) -> None:
        """
        The certificate's key is neither the account's nor the one before.
        """
        house = self.start()
        self.pass_time(1)
        first = house.served[NAME]
        self.successResultOf(settle(self.authority, house.service.issue_cert(NAME)))
        second = house.served[NAME]
        account = next((self.root / "acme").rglob("account.key")).read_bytes()
        keys = {format_key(first.key), format_key(second.key), account}
        self.assertEqual(len(keys), 3)
        self.assertEqual(key_type(second.key), "p256")
        for csr in self.authority.csrs:
            self.assertEqual(list(csr.subject), [])

    def test_s06_without_an_external_account_both_settings_are_named(self) -> None:
        """
        And with them it works.
        """
        self.authority.bindings = {"kid-1": b"secret"}
        house = self.start()
        self.pass_time(1)
        reason = house.service.statuses()[0].problem
        self.assertIn("server.tls.eab_kid", reason)
        self.assertIn("server.tls.eab_hmac_file", reason)
        house.settings = evolve(house.settings, eab_kid="kid-1", eab_hmac="c2VjcmV0")
        house.service.refresh()
        self.pass_time(1)
        self.assertIn(NAME, house.served)

    def test_s28_asking_twice_is_one_order(self) -> None:
        """
        Whoever asks while one is under way waits for that.
        """
        self.authority.processing = 2
        house = self.start()
        asked = [house.service.issue_cert(NAME) for _ in range(3)]
        for each in asked:
            self.successResultOf(settle(self.authority, each))
        self.assertEqual(self.authority.count("newOrder"), 1)
        self.failureResultOf(house.service.issue_cert("stranger.test"), KeyError)

    def test_s27_no_more_than_three_orders_at_once(self) -> None:
        """
        Sixty names without a certificate do not storm the authority.
        """
        self.authority.fail_always("finalize", HANG)
        names = [f"host{number}.example.test" for number in range(60)]
        house = self.start(*names)
        self.pass_time(5)
        self.assertEqual(self.authority.count("newOrder"), 3)
        self.authority.fail_always("finalize", None)
        self.pass_time(2 * HOUR)
        self.assertEqual(len(house.served), 60)

    def test_a_profile_that_is_listed_is_ordered(self) -> None:
        """
        And one that is not is refused before the authority is bothered.
        """
        self.authority.profiles = {"shortlived": "https://"}
        self.start(profile="shortlived")
        self.pass_time(1)
        orders = [payload for kind, payload in self.authority.asked if kind == "newOrder"]
        self.assertEqual([order.get("profile") for order in orders], ["shortlived"])

    def test_an_address_is_ordered_as_one(self) -> None:
        """
        As RFC 8738 has it.
        """
        house = self.start("2001:db8::1", profile="")
        self.pass_time(1)
        orders = [payload["identifiers"] for kind, payload in self.authority.asked if kind == "newOrder"]
        self.assertEqual(orders, [[{"type": "ip", "value": "2001:db8::1"}]])
        self.assertEqual(house.served["2001:db8::1"].names, {"2001:db8::1"})

    def test_an_authority_that_offers_no_challenge_of_ours(self) -> None:
        """
        Says which there are.
        """
        self.authority.types = ("dns-01",)
        house = self.start()
        self.pass_time(1)
        self.assertIn("dns-01", house.service.statuses()[0].problem)


class RestartTests(ServiceCase):
    """
    What is on the disk.
    """

    def test_s10_a_restart_asks_the_authority_for_nothing(self) -> None:
        """
        What was obtained is served at once, by a process that has not spoken to anybody.
        """
        house = self.start(NAME, OTHER)
        self.pass_time(5)
        self.stop(house)
        self.authority.asked.clear()
        again = self.start(NAME, OTHER)
        self.successResultOf(again.service.when_certs_valid())
        self.assertEqual(set(again.served), {NAME, OTHER})
        self.pass_time(MINUTE)
        self.assertEqual(self.authority.asked, [])
        self.pass_time(DAY)
        self.assertEqual((self.authority.count("newAccount"), self.authority.count("newOrder")), (0, 0))

    def test_s10_the_account_is_used_again(self) -> None:
        """
        After a restart a renewal is for the same account, without registering.
        """
        house = self.start()
        self.pass_time(5)
        self.stop(house)
        again = self.start()
        self.successResultOf(settle(self.authority, again.service.issue_cert(NAME)))
        self.assertEqual((self.authority.count("newAccount"), self.authority.count("newOrder")), (1, 2))

    def test_s11_an_authority_that_is_away_does_not_matter_to_a_valid_certificate(self) -> None:
        """
        The service is ready at once.
        """
        self.keep(bundle())
        self.authority.fail_always("directory", HANG)
        house = self.start()
        self.successResultOf(house.service.when_certs_valid())
        self.successResultOf(house.service.when_ready(NAME))
        self.assertIsNone(house.service.problem())

    def test_s11_without_a_certificate_it_stays_up_and_tries_on_schedule(self) -> None:
        """
        Health is critical until the authority is back.
        """
        self.authority.fail_always("directory", Fault(503))
        house = self.start()
        ready = house.service.when_ready(NAME)
        self.pass_time(0)
        self.assertIn(NAME, house.service.problem() or "")
        tries = []
        for _ in range(100):
            before = self.authority.count("directory")
            self.pass_time(MINUTE)
            if self.authority.count("directory") > before:
                tries.append(round((self.authority.clock.seconds() - NOW) / MINUTE))
        self.assertEqual(tries, [1, 6, 21, 51])
        self.authority.fail_always("directory", None)
        self.pass_time(HOUR)
        self.successResultOf(ready)
        self.assertIsNone(house.service.problem())

    def test_s12_a_key_that_others_can_read_stops_the_start(self) -> None:
        """
        Before anything is served.
        """
        self.keep(bundle())
        next(self.root.rglob("*.pem")).chmod(0o644)
        with self.assertRaises(CertificatesUnsafe):
            self.house().service.privilegedStartService()

    def test_root_makes_no_folder(self) -> None:
        """
        What is done before the privileges are given up makes nothing that the daemon's user could not use; the start
        after it makes the folder.
        """
        house = self.house()
        house.service.privilegedStartService()
        self.assertFalse(self.root.exists())
        self.running.append(house)
        house.service.startService()
        self.assertTrue(self.root.is_dir())

    def test_s14_a_file_of_no_use_is_replaced_and_other_names_are_served(self) -> None:
        """
        At once.
        """
        self.keep(bundle())
        self.keep(bundle(OTHER), OTHER)
        path = next(self.root.rglob(f"{NAME}.pem"))
        path.write_bytes(path.read_bytes()[:100])
        house = self.start(NAME, OTHER)
        self.pass_time(1)
        self.assertEqual(set(house.served), {NAME, OTHER})
        self.assertEqual(
            [payload["identifiers"][0]["value"] for kind, payload in self.authority.asked if kind == "newOrder"], [NAME]
        )

    def test_s15_another_authority_is_another_certificate(self) -> None:
        """
        What staging signed does not count for production, and stays for staging.
        """
        other = "https://ca.example.test/staging/directory"
        self.authority.fail_always("directory", HANG)
        staging = CertificateStore.of(self.root, other, (NAME,), at_once)
        self.successResultOf(staging.store(NAME, bundle().objects()))
        self.authority.fail_always("directory", None)
        house = self.start()
        self.pass_time(1)
        self.assertEqual(self.authority.count("newOrder"), 1)
        self.assertIn(NAME, house.served)
        self.assertIsNotNone(self.successResultOf(Deferred.fromCoroutine(staging.load(NAME))))

    def test_s16_a_second_process_serves_and_does_not_order(self) -> None:
        """
        It takes over what the first renews, and the ordering when the first has ended.
        """
        self.authority.lifetime = 6 * DAY
        first = self.start()
        self.pass_time(5)
        self.authority.asked.clear()
        second = self.start()
        self.authority.validate = lambda *asked: first._validate(*asked) or second._validate(*asked)
        self.assertEqual(second.served[NAME].leaf, first.served[NAME].leaf)
        self.successResultOf(settle(self.authority, first.service.issue_cert(NAME)))
        self.pass_time(2 * MINUTE)
        self.assertEqual(second.served[NAME].leaf, first.served[NAME].leaf)
        self.assertEqual(self.authority.count("newOrder"), 1)
        self.pass_time(3.1 * DAY)
        self.assertEqual(self.authority.count("newOrder"), 2)
        self.assertEqual(second.served[NAME].leaf, first.served[NAME].leaf)
        self.stop(first)
        self.pass_time(3.1 * DAY)
        self.assertEqual(self.authority.count("newOrder"), 3)

    def test_s16_a_second_process_does_not_even_try(self) -> None:
        """
        While the first fails to get a certificate, the second asks the authority for nothing.
        """
        self.authority.fail_always("newOrder", HANG)
        self.start()
        self.pass_time(1)
        self.authority.asked.clear()
        second = self.start()
        self.pass_time(10)
        self.assertEqual(self.authority.asked, [])
        self.assertIn(NAME, second.service.problem() or "")

    def test_a_disk_that_is_full_loses_no_certificate(self) -> None:
        """
        It is served from memory, and written as soon as there is room.
        """
        full = True

        def in_thread(work: Any, *args: Any) -> Deferred[Any]:
            def doing(*args: Any) -> Any:
                if full and any(str(each).endswith(".pem") for each in args) and work.__name__ == "replace":
                    raise OSError(28, "No space left on device")
                return work(*args)

            return at_once(doing, *args)

        house = self.start(in_thread=in_thread, check_interval=timedelta(minutes=10))
        self.pass_time(1)
        self.assertIn(NAME, house.served)
        self.assertEqual(list(self.root.rglob("*.pem")), [])
        full = False
        self.pass_time(11 * MINUTE)
        self.assertEqual(len(list(self.root.rglob("*.pem"))), 1)
        self.assertEqual(self.authority.count("newOrder"), 1)

    def test_a_clock_that_was_never_set_is_waited_for(self) -> None:
        """
        Nothing is judged or ordered before.
        """
        self.keep(bundle())
        clock = self.authority.clock
        clock.rightNow = 1000.0
        house = self.start()
        self.pass_time(HOUR)
        self.assertEqual(self.authority.asked, [])
        self.assertIn(NAME, house.served)
        clock.rightNow = NOW
        self.pass_time(2 * MINUTE)


class RenewalTests(ServiceCase):
    """
    The next certificate.
    """

    def orders(self) -> list[Any]:
        """
        What was ordered.
        """
        return [payload for kind, payload in self.authority.asked if kind == "newOrder"]

    def test_s18_it_is_renewed_when_a_third_is_left(self) -> None:
        """
        Again and again, without a gap, and not earlier.
        """
        house = self.start()
        self.pass_time(59.9 * DAY)
        self.assertEqual(self.authority.count("newOrder"), 1)
        for number, days in ((2, 0.2), (3, 60), (4, 60)):
            self.pass_time(days * DAY)
            self.assertEqual(self.authority.count("newOrder"), number)
        self.assertGreater(house.served[NAME].not_after, self.authority.clock.seconds() + 29 * DAY)

    def test_s19_an_intermediate_that_expires_triggers_nothing(self) -> None:
        """
        Only the leaf counts.
        """
        self.authority.issuer = Issuer(intermediate_until=NOW + 20 * DAY)
        self.start()
        self.pass_time(40 * DAY)
        self.assertEqual(self.authority.count("newOrder"), 1)

    def test_s20_a_window_in_the_past_means_now(self) -> None:
        """
        And the order says which certificate it replaces.
        """
        now = {"start": rfc3339(NOW + 2 * DAY), "end": rfc3339(NOW + 3 * DAY)}
        later = {"start": rfc3339(NOW + 90 * DAY), "end": rfc3339(NOW + 91 * DAY)}
        first = ""

        def advise(identifier: str) -> Fault:
            nonlocal first
            first = first or identifier
            passed = identifier == first and self.authority.clock.seconds() > NOW + 4 * DAY
            return Fault(200, orjson.dumps({"suggestedWindow": now if passed else later}))

        self.authority.ari = advise
        house = self.start()
        self.pass_time(4 * DAY)
        identifier = house.served[NAME].ari_id
        self.pass_time(7 * HOUR)
        self.assertEqual([order.get("replaces") for order in self.orders()], [None, identifier])

    def test_an_authority_that_finds_everything_overdue_is_not_flooded(self) -> None:
        """
        It is asked for no more than one certificate a day, each in place of the one before.
        """
        window = {"start": rfc3339(NOW - 2 * DAY), "end": rfc3339(NOW - DAY)}
        self.authority.ari = lambda _: Fault(200, orjson.dumps({"suggestedWindow": window}))
        self.start()
        self.pass_time(10 * DAY)
        self.assertIn(self.authority.count("newOrder"), (10, 11))

    def test_who_asks_after_a_failure_is_not_told_of_it(self) -> None:
        """
        Somebody who asks while a failure is still being written gets an order of his own.
        """
        clock = self.authority.clock

        def slowly(work: Any, *args: Any) -> Deferred[Any]:
            return deferLater(clock, 1.0, work, *args)

        self.authority.fail("newOrder", problem(403, "unauthorized"))
        house = self.start(in_thread=slowly)
        while not (house.service.statuses() and house.service.statuses()[0].failures):
            let_pass(self.authority, 0.1)
        self.assertNotIn(NAME, house.served)
        self.successResultOf(settle(self.authority, house.service.issue_cert(NAME), 60.0))
        self.assertIn(NAME, house.served)
        self.assertEqual(self.authority.count("newOrder"), 2)

    def test_s20_without_advice_a_third_is_left(self) -> None:
        """
        An error, garbage, a window the wrong way round, and no answer at all: the renewal comes when a third is left.
        """
        reversed_window = {"suggestedWindow": {"start": rfc3339(NOW + 90 * DAY), "end": rfc3339(NOW)}}
        for answer in (Fault(500), Fault(200, b"<html>"), Fault(200, orjson.dumps(reversed_window)), HANG):
            self.authority = Authority()
            self.root = Path(self.mktemp())
            self.authority.ari = lambda _, answer=answer: answer
            house = self.start()
            self.pass_time(59.9 * DAY)
            self.assertEqual(self.authority.count("newOrder"), 1)
            self.pass_time(0.2 * DAY)
            self.assertEqual(self.authority.count("newOrder"), 2)
            self.stop(house)

    def test_s21_what_was_replaced_before_is_ordered_without_saying_so(self) -> None:
        """
        Once, and then it works, whatever status and type of problem it was, and whoever replaced it.
        """
        for status, kind in (
            (409, "alreadyReplaced"),
            (409, "malformed"),
            (409, "conflict"),
            (404, "malformed"),
            (400, "malformed"),
            (403, "unauthorized"),
            (500, "serverInternal"),
        ):
            self.assertTrue(self.renewed_in_spite_of(problem(status, kind)), kind)
            self.assertEqual([bool(order.get("replaces")) for order in self.orders()], [False, True, False], kind)

    def test_s21_what_is_refused_for_another_reason_is_not_ordered_twice(self) -> None:
        """
        An order without what it replaces would count towards the limits.
        """
        for fault in (
            problem(429, "rateLimited", retry_after=str(int(10 * DAY))),
            problem(503, "serverInternal", retry_after=str(int(10 * DAY))),
            problem(403, "userActionRequired"),
            problem(400, "rejectedIdentifier"),
        ):
            self.assertFalse(self.renewed_in_spite_of(fault), fault)
            self.assertEqual([bool(order.get("replaces")) for order in self.orders()], [False, True], fault)

    def renewed_in_spite_of(self, fault: Fault) -> bool:
        """
        Let a certificate be ordered, and the order for the next one be answered with a fault: whether there is another
        one in the end.
        """
        window = {"start": rfc3339(NOW + 20 * DAY), "end": rfc3339(NOW + 21 * DAY)}
        self.authority = Authority()
        self.root = Path(self.mktemp())
        self.authority.ari = lambda _: Fault(200, orjson.dumps({"suggestedWindow": window}))
        house = self.start()
        self.pass_time(DAY)
        before = house.served[NAME]
        self.authority.fail("newOrder", fault)
        self.pass_time(20 * DAY)
        self.stop(house)
        return house.served[NAME].leaf != before.leaf

    def test_s22_advice_is_asked_for_as_often_as_the_authority_likes(self) -> None:
        """
        Within a minute and a day; not at all once the certificate has expired.
        """
        window = {"suggestedWindow": {"start": rfc3339(NOW + 80 * DAY), "end": rfc3339(NOW + 81 * DAY)}}
        for asked, each in (("5", MINUTE), (str(int(30 * DAY)), DAY), ("", 6 * HOUR)):
            self.authority = Authority()
            self.root = Path(self.mktemp())
            headers = [("Retry-After", asked)] if asked else []
            self.authority.ari = lambda _, headers=headers: Fault(200, orjson.dumps(window), headers)
            house = self.start()
            self.pass_time(1)
            self.authority.asked.clear()
            self.pass_time(10 * each)
            self.assertIn(self.authority.count("ari"), (9, 10))
            self.stop(house)
        self.authority = Authority()
        self.root = Path(self.mktemp())
        self.authority.ari = lambda _: Fault(200, orjson.dumps(window))
        self.authority.fail_always("newOrder", problem(500, "serverInternal"))
        self.keep(bundle(start=NOW - 91 * DAY))
        self.start()
        self.pass_time(DAY)
        self.assertEqual(self.authority.count("ari"), 0)

    def test_s23_another_profile_or_kind_of_key_is_another_certificate(self) -> None:
        """
        Ordered as soon as the configuration says so.
        """
        self.authority.profiles = {"shortlived": "", "classic": ""}
        house = self.start()
        self.pass_time(1)
        for changes in ({"key_type": "p384"}, {"profile": "shortlived"}):
            house.settings = evolve(house.settings, **changes)
            before = self.authority.count("newOrder")
            house.service.refresh()
            self.pass_time(1)
            self.assertEqual(self.authority.count("newOrder"), before + 1)
        self.assertEqual(key_type(house.served[NAME].key), "p384")
        house.service.refresh()
        self.pass_time(HOUR)
        self.assertEqual(self.authority.count("newOrder"), 3)

    def test_names_come_and_go(self) -> None:
        """
        With the configuration.
        """
        house = self.start()
        self.pass_time(1)
        house.settings = evolve(house.settings, domains=(OTHER,))
        house.service.refresh()
        self.pass_time(1)
        self.assertIn(OTHER, house.served)
        self.assertEqual(house.retired, [NAME])
        self.assertEqual([status.name for status in house.service.statuses()], [OTHER])

    def test_reused_authorizations_need_no_proof(self) -> None:
        """
        A name that was proven recently is ordered without a challenge.
        """
        self.authority.reuse = True
        house = self.start()
        self.pass_time(1)
        self.successResultOf(settle(self.authority, house.service.issue_cert(NAME)))
        self.assertEqual((self.authority.count("newOrder"), self.authority.count("challenge")), (2, 1))


class FailureTests(ServiceCase):
    """
    When it does not work.
    """

    def test_s24_the_schedule_survives_restarts(self) -> None:
        """
        A process that is restarted every few seconds asks no more often than one that runs on.
        """
        self.authority.fail_always("newOrder", problem(500, "serverInternal"))
        for _ in range(360):
            house = self.start()
            self.pass_time(10)
            self.stop(house)
            self.running.clear()
        self.assertEqual(self.authority.count("newOrder"), 5)

    def test_s25_a_rate_limit_is_obeyed_and_is_that_names_alone(self) -> None:
        """
        Nothing is asked for it before the time that the authority said.
        """
        self.authority.fail("newOrder", problem(429, "rateLimited", retry_after="3600"))
        house = self.start(NAME, OTHER)
        self.pass_time(3599)
        self.assertEqual(len(house.served), 1)
        self.assertEqual(self.authority.count("newOrder"), 2)
        self.pass_time(10)
        self.assertEqual(len(house.served), 2)

    def test_s26_five_failed_validations_an_hour_at_most(self) -> None:
        """
        However often the configuration is reloaded meanwhile.
        """
        house = self.house()
        self.authority.validate = lambda *_: False
        house.service.startService()
        self.running.append(house)
        moments = [NOW] * self.authority.count("challenge")
        for _ in range(6 * 60):
            before = self.authority.count("challenge")
            self.pass_time(MINUTE)
            house.service.refresh()
            moments += [self.authority.clock.seconds()] * (self.authority.count("challenge") - before)
        for first, sixth in zip(moments, moments[5:], strict=False):
            self.assertGreater(sixth - first, HOUR - 2 * MINUTE)
        self.assertGreater(len(moments), 5)
        self.assertIn("unauthorized", house.service.statuses()[0].problem)
        self.assertIn("A and AAAA records", house.service.statuses()[0].problem)

    def test_s29_a_forgotten_account_is_registered_once(self) -> None:
        """
        By whichever order finds out first, for all of them.
        """
        house = self.start(NAME, OTHER)
        self.pass_time(5)
        self.authority.forget_accounts()
        both = [house.service.issue_cert(name) for name in (NAME, OTHER)]
        for each in both:
            self.successResultOf(settle(self.authority, each))
        self.assertEqual(self.authority.count("newAccount"), 2)

    def test_s29_whoever_finds_out_second_gets_what_the_first_has_registered(self) -> None:
        """
        The account that was forgotten is replaced once, however many orders were refused because of it.
        """
        orders = self.house().service._orders
        first = self.successResultOf(settle(self.authority, Deferred.fromCoroutine(orders.register())))
        self.authority.forget_accounts()
        urls = [
            self.successResultOf(settle(self.authority, Deferred.fromCoroutine(orders.register(forgotten=first))))
            for _ in range(2)
        ]
        self.assertEqual(urls[0], urls[1])
        self.assertNotEqual(urls[0], first)
        self.assertEqual(self.authority.count("newAccount"), 2)

    def test_s30_what_needs_somebody_is_not_tried_again_by_itself(self) -> None:
        """
        Not within a week, not after a restart; the reason is said; a reload gives it another chance.
        """
        for kind in ("userActionRequired", "rejectedIdentifier"):
            self.authority = Authority()
            self.root = Path(self.mktemp())
            self.authority.fail("newOrder", problem(403, kind, "look here: https://ca/why"))
            house = self.start()
            self.pass_time(7 * DAY)
            self.stop(house)
            house = self.start()
            self.pass_time(DAY)
            self.assertEqual(self.authority.count("newOrder"), 1)
            self.assertIn("https://ca/why", house.service.statuses()[0].problem)
            self.assertIn(NAME, house.service.problem() or "")
            house.service.refresh()
            self.pass_time(1)
            self.assertEqual(self.authority.count("newOrder"), 2)
            self.assertIn(NAME, house.served)
            self.stop(house)

    def test_what_can_be_measured(self) -> None:
        """
        Of a name that is served: when it expires and is renewed, and how many orders it took; before that, why it is
        not. While an order is under way it is neither a success nor a failure.
        """
        self.authority.fail("newOrder", problem(500, "serverInternal"))
        house = self.start()
        self.pass_time(1)
        (first,) = house.service.metrics()
        self.assertEqual((first.attempted, first.succeeded, first.failed, first.not_after), (1, 0, 1, None))
        self.assertIn("serverInternal", first.problem)
        self.assertAlmostEqual(first.renew_at or 0.0, NOW + MINUTE, delta=2.0)
        self.pass_time(2 * MINUTE)
        (then,) = house.service.metrics()
        self.assertEqual((then.attempted, then.succeeded, then.failed, then.problem), (2, 1, 1, ""))
        self.assertEqual(then.not_after, house.served[NAME].not_after)
        self.assertGreater(then.renew_at or 0.0, self.authority.clock.seconds())
        self.authority.fail("newOrder", HANG)
        house.service.issue_cert(NAME).addErrback(lambda _: None)
        self.pass_time(1)
        self.assertEqual(house.service.metrics()[0].attempted, 3)
        self.assertEqual((house.service.metrics()[0].succeeded, house.service.metrics()[0].failed), (1, 1))

    def test_nothing_is_to_come_for_what_is_refused_for_good(self) -> None:
        """
        Until somebody mends the settings.
        """
        self.authority.fail("newOrder", problem(403, "rejectedIdentifier"))
        house = self.start()
        self.pass_time(1)
        (found,) = house.service.metrics()
        self.assertEqual((found.renew_at, found.failed), (None, 1))

    def test_s30_other_settings_are_another_chance_after_a_restart_too(self) -> None:
        """
        Whoever mends the configuration and starts again need not wait.
        """
        self.authority.fail_always("newOrder", problem(403, "rejectedIdentifier"))
        house = self.start()
        self.pass_time(1)
        self.stop(house)
        self.authority.fail_always("newOrder", None)
        house = self.start(key_type="p384")
        self.pass_time(1)
        self.assertIn(NAME, house.served)

    def test_s31_an_authority_that_hangs_does_not_hold_up_the_stop(self) -> None:
        """
        In every request on the way: the service ends at once, nothing is left on the clock, and nothing is logged that
        is not meant for an operator.
        """
        for kind in (
            "directory",
            "newNonce",
            "newAccount",
            "newOrder",
            "authz",
            "challenge",
            "finalize",
            "certificate",
        ):
            self.authority = Authority()
            self.root = Path(self.mktemp())
            self.authority.fail_always(kind, HANG)
            with capturedLogs() as events:
                house = self.start()
                waiting = house.service.when_certs_valid()
                waiting.addErrback(lambda failure: failure.trap(CancelledError) and None)
                house.service.when_ready(NAME)
                asked = house.service.issue_cert(NAME)
                self.pass_time(10)
                self.assertEqual(self.authority.count(kind), 1)
                self.successResultOf(house.service.stopService())
            self.failureResultOf(asked, CancelledError)
            self.assertEqual(self.authority.clock.getDelayedCalls(), [])
            self.assertEqual([event for event in events if event["log_level"] > LogLevel.info], [], kind)
            self.assertEqual(house.responder._answers, {})

    def test_s32_the_alarm_is_raised_once_a_day_in_the_last_half(self) -> None:
        """
        Not before, and with the reason.
        """
        self.keep(bundle())
        self.authority.fail_always("newOrder", problem(500, "serverInternal", "out of paper"))
        house = self.start()
        self.pass_time(74.9 * DAY)
        self.assertEqual(house.alarms, [])
        self.pass_time(5 * DAY)
        self.assertIn(len(house.alarms), (4, 5))
        self.assertEqual({name for name, _, _ in house.alarms}, {NAME})
        self.assertIn("out of paper", house.alarms[0][1])
        moments = [moment for _, _, moment in house.alarms]
        self.assertTrue(all(later - earlier >= DAY for earlier, later in pairwise(moments)))
        self.assertIsNotNone(house.service.concern())

    def test_issuing_by_hand_tells_what_went_wrong(self) -> None:
        """
        To whoever asked.
        """
        self.keep(bundle())
        house = self.start()
        self.authority.fail_always("newOrder", problem(500, "serverInternal", "out of paper"))
        error = self.failureResultOf(settle(self.authority, house.service.issue_cert(NAME)), AcmeProblem)
        self.assertIn("out of paper", error.getErrorMessage())

    def test_secrets_do_not_get_into_the_log(self) -> None:
        """
        No key and no key authorization, whatever happens.
        """
        with capturedLogs() as events:
            self.start()
            self.authority.fail("finalize", problem(500, "serverInternal"))
            self.pass_time(HOUR)
        text = str([{key: str(value) for key, value in event.items()} for event in events])
        for secret in ("PRIVATE", "token-1-http-01"):
            self.assertNotIn(secret, text)
