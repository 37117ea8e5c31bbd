"""
When to renew, when to try again, when to worry.
"""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.tls import renewal_policy
from itsjustintv.tls.acme.messages import RenewalInfo
from itsjustintv.tls.renewal_policy import Level, Record, ValidityWindow
from tests.tls.authority import DAY, NOW

HOUR = 3600.0
MINUTE = 60.0

spans = st.builds(lambda life: ValidityWindow(NOW, NOW + life), st.floats(HOUR, 400 * DAY))
shares = st.floats(0.0, 1.0)


def middle() -> float:
    """
    Randomness without surprise: no jitter, the middle of a window.
    """
    return 0.5


class RenewalTests(SynchronousTestCase):
    """
    When to renew.
    """

    def test_s18_the_moments_without_renewal_information(self) -> None:
        """
        90 days: day 60; 64 days: day 42.7; 45 days: day 30; 160 hours: hour 80.
        """
        for days, renewed in ((90, 60), (64, 64 * 2 / 3), (45, 30), (160 / 24, 80 / 24)):
            validity = ValidityWindow(NOW, NOW + days * DAY)
            self.assertAlmostEqual(renewal_policy.renewal_moment(validity), NOW + renewed * DAY, places=3)
            self.assertIsNone(renewal_policy.due_reason(validity, Record(), NOW + renewed * DAY - 1))
            self.assertEqual(renewal_policy.due_reason(validity, Record(), NOW + renewed * DAY + 1), "renewal is due")

    def test_an_operator_may_decide_otherwise(self) -> None:
        """
        By a share of the life that is left.
        """
        validity = ValidityWindow(NOW, NOW + 90 * DAY, 0.5)
        self.assertEqual(renewal_policy.renewal_moment(validity), NOW + 45 * DAY)

    def test_no_advice_is_later_than_the_operator_wants(self) -> None:
        """
        Earlier it may be; and it is said whose word it was.
        """
        validity = ValidityWindow(NOW, NOW + 90 * DAY, 0.5)
        for advised, moment, reason in (
            (60, 45, "renewal is due"),
            (30, 30, "the authority asks for it"),
        ):
            record = Record(renew_at=NOW + advised * DAY)
            self.assertEqual(renewal_policy.order_moment(validity, record), NOW + moment * DAY)
            self.assertIsNone(renewal_policy.due_reason(validity, record, NOW + moment * DAY - 1))
            self.assertEqual(renewal_policy.due_reason(validity, record, NOW + moment * DAY), reason)

    @given(spans, st.floats(0.0, 3.0), st.floats(-1.0, 3.0))
    def test_nothing_makes_an_expiring_certificate_wait(
        self, validity: ValidityWindow, at: float, advised: float
    ) -> None:
        """
        Whatever the authority advises: in the last twentieth of its life, and after it, a certificate is due.
        """
        life = validity.not_after - validity.not_before
        record = Record(renew_at=NOW + advised * life)
        if at >= 0.951:
            self.assertIsNotNone(renewal_policy.due_reason(validity, record, NOW + at * life))

    @given(spans, shares, st.floats(0.0, 0.94))
    def test_the_authority_may_advise_earlier_and_later(
        self, validity: ValidityWindow, advised: float, at: float
    ) -> None:
        """
        Until then, its moment decides, except that a certificate lives for a twentieth of its life or a day.
        """
        life = validity.not_after - validity.not_before
        record = Record(renew_at=NOW + advised * life)
        earliest = max(record.renew_at, NOW + min(DAY, life / 20))
        self.assertEqual(
            renewal_policy.due_reason(validity, record, NOW + at * life) is not None, NOW + at * life >= earliest
        )

    def test_what_is_missing_or_over_is_due(self) -> None:
        """
        Always.
        """
        self.assertEqual(renewal_policy.due_reason(None, Record(), NOW), "there is none")
        self.assertEqual(
            renewal_policy.due_reason(ValidityWindow(NOW - DAY, NOW), Record(renew_at=NOW + DAY), NOW), "it has expired"
        )

    def test_a_clock_that_was_never_set_is_noticed(self) -> None:
        """
        The year 1970 is not now.
        """
        self.assertTrue(renewal_policy.is_clock_unset(3600.0))
        self.assertFalse(renewal_policy.is_clock_unset(NOW))


class RetryTests(SynchronousTestCase):
    """
    When to try again.
    """

    def test_s24_without_a_certificate(self) -> None:
        """
        After 1, 5, 15, 30, 60, 120, 240 minutes, and from then on every six hours.
        """
        waits = [
            renewal_policy.retry_moment(Record(failures=failures), None, NOW, middle) - NOW for failures in range(1, 11)
        ]
        self.assertEqual([wait / MINUTE for wait in waits], [1, 5, 15, 30, 60, 120, 240, 360, 360, 360])

    def test_s24_with_a_certificate(self) -> None:
        """
        After 1, 10 and 100 minutes; then a tenth of what is left, an hour at least and a day at most.
        """
        for left, last in ((30 * DAY, DAY), (5 * DAY, DAY / 2), (4 * HOUR, HOUR)):
            validity = ValidityWindow(NOW - 60 * DAY, NOW + left)
            waits = [renewal_policy.retry_moment(Record(failures=n), validity, NOW, middle) - NOW for n in range(1, 6)]
            self.assertEqual(waits, [MINUTE, 10 * MINUTE, 100 * MINUTE, last, last])

    def test_s24_an_expired_certificate_is_none(self) -> None:
        """
        It hurries like a missing one.
        """
        self.assertEqual(
            renewal_policy.retry_moment(Record(failures=2), ValidityWindow(NOW - DAY, NOW), NOW, middle),
            NOW + 5 * MINUTE,
        )

    @given(st.integers(1, 50), shares, st.floats(0.0, 10 * DAY))
    def test_s25_what_the_authority_says_is_the_least(self, failures: int, share: float, asked: float) -> None:
        """
        A ``Retry-After`` is never undercut.
        """
        moment = renewal_policy.retry_moment(Record(failures=failures), None, NOW, lambda: share, asked)
        self.assertGreaterEqual(moment, NOW + asked)

    @given(st.lists(shares, min_size=40, max_size=40), st.booleans(), st.integers(0, 39))
    def test_s26_five_failures_an_hour_at_most(self, jitters: list[float], valid: bool, reset: int) -> None:
        """
        Under permanent failure no hour sees a sixth, whatever the jitter, and even when the count is begun again.
        """
        now, record, moments = NOW, Record(), []
        validity = ValidityWindow(NOW - 60 * DAY, NOW + 30 * DAY) if valid else None
        for number, jitter in enumerate(jitters):
            moments.append(now)
            if number == reset:
                record = evolve(record, failures=0)
            record = renewal_policy.record_failure(record, validity, "no", now, lambda jitter=jitter: jitter)  # type: ignore[misc]
            self.assertGreater(record.next_attempt, now)
            now = record.next_attempt
        for first, sixth in zip(moments, moments[5:], strict=False):
            self.assertGreaterEqual(sixth - first, HOUR)

    @given(st.sampled_from([90.0, 64.0, 45.0, 160 / 24]), st.lists(shares, min_size=60, max_size=60))
    def test_an_outage_of_most_of_the_lead_ends_well(self, days: float, jitters: list[float]) -> None:
        """
        The authority is away for nine tenths of the lead: there is a try afterwards, before the certificate expires.
        """
        validity = ValidityWindow(NOW, NOW + days * DAY)
        now, record = renewal_policy.renewal_moment(validity), Record()
        back = now + 0.9 * validity.lead
        for jitter in jitters:
            if now >= back:
                break
            record = renewal_policy.record_failure(record, validity, "away", now, lambda jitter=jitter: jitter)  # type: ignore[misc]
            now = record.next_attempt
        self.assertTrue(back <= now < validity.not_after)

    def test_the_other_challenge_has_its_turn(self) -> None:
        """
        After each failure.
        """
        both = ("http-01", "tls-alpn-01")
        self.assertEqual(
            [renewal_policy.rotate_types(both, n)[0] for n in range(3)], ["http-01", "tls-alpn-01", "http-01"]
        )
        self.assertEqual(renewal_policy.rotate_types((), 3), ())


class RenewalInfoTests(SynchronousTestCase):
    """
    The authority's advice.
    """

    @given(shares)
    def test_the_moment_lies_in_the_window(self, share: float) -> None:
        """
        Wherever chance puts it.
        """
        record = renewal_policy.with_ari(Record(), RenewalInfo(NOW, NOW + DAY, "", None), NOW, lambda: share)
        self.assertTrue(NOW <= record.renew_at <= NOW + DAY)

    def test_a_window_is_drawn_from_once(self) -> None:
        """
        The same window keeps its moment; another one gets another.
        """
        info = RenewalInfo(NOW, NOW + DAY, "", None)
        first = renewal_policy.with_ari(Record(), info, NOW, middle)
        self.assertEqual(renewal_policy.with_ari(first, info, NOW, lambda: 0.9).renew_at, first.renew_at)
        moved = RenewalInfo(NOW + 1, NOW + DAY, "", None)
        self.assertNotEqual(renewal_policy.with_ari(first, moved, NOW, lambda: 0.9).renew_at, first.renew_at)

    def test_s22_how_long_to_wait_before_asking_again(self) -> None:
        """
        5 s counts as a minute, 30 days as one, nothing as six hours.
        """
        waits = [renewal_policy.next_ari(NOW, asked) - NOW for asked in (5.0, 7200.0, 30 * DAY, None)]
        self.assertEqual(waits, [MINUTE, 7200.0, DAY, 6 * HOUR])

    def test_s22_an_expired_certificate_is_not_asked_about(self) -> None:
        """
        Nor one about which it is too early to ask again.
        """
        validity = ValidityWindow(NOW - DAY, NOW)
        self.assertFalse(renewal_policy.is_ari_due(validity, Record(), NOW))
        self.assertTrue(renewal_policy.is_ari_due(validity, Record(), NOW - 1))
        self.assertFalse(renewal_policy.is_ari_due(validity, Record(ask_at=NOW), NOW - 1))
        self.assertFalse(renewal_policy.is_ari_due(None, Record(), NOW))

    @given(spans, st.floats(0.0, 2.0))
    def test_s20_without_advice_it_is_never_later_than_our_own_rule(
        self, validity: ValidityWindow, advised: float
    ) -> None:
        """
        Once the authority cannot be asked, its former advice may hasten a renewal but not put it off.
        """
        record = Record(renew_at=NOW + advised * (validity.not_after - NOW))
        kept = renewal_policy.without_ari(record, validity, NOW)
        self.assertIsNotNone(renewal_policy.due_reason(validity, kept, renewal_policy.renewal_moment(validity) + 1))
        if record.renew_at <= renewal_policy.renewal_moment(validity):
            self.assertEqual(kept.renew_at, record.renew_at)


class AlarmTests(SynchronousTestCase):
    """
    When to worry.
    """

    def test_s32_the_alarm_is_raised_below_half_the_lead_and_once_a_day(self) -> None:
        """
        Not while there is more, not without a failure, and not twice within a day.
        """
        validity = ValidityWindow(NOW, NOW + 90 * DAY)
        half = NOW + 75 * DAY
        failing = Record(failures=3)
        self.assertFalse(renewal_policy.is_alarm_due(validity, failing, half - 1))
        self.assertTrue(renewal_policy.is_alarm_due(validity, failing, half + 1))
        self.assertFalse(renewal_policy.is_alarm_due(validity, Record(), half + 1))
        raised = evolve(failing, alarmed_at=half + 1)
        self.assertFalse(renewal_policy.is_alarm_due(validity, raised, half + DAY))
        self.assertTrue(renewal_policy.is_alarm_due(validity, raised, half + DAY + 1))
        self.assertTrue(renewal_policy.is_alarm_due(None, failing, NOW))

    def test_health(self) -> None:
        """
        Well, failing with time left, nearly out of time, over, none.
        """
        validity = ValidityWindow(NOW, NOW + 90 * DAY)
        for found, record, day, level in (
            (validity, Record(), 59, Level.OK),
            (validity, Record(failures=1), 61, Level.DEGRADED),
            (validity, Record(), 76, Level.DEGRADED),
            (validity, Record(failures=9), 83, Level.CRITICAL),
            (validity, Record(), 91, Level.CRITICAL),
            (None, Record(), 0, Level.CRITICAL),
        ):
            judged = renewal_policy.health("hooks.example.test", found, record, NOW + day * DAY)
            self.assertEqual(judged.level, level, (record, day))
            self.assertEqual(bool(judged.reason), level is not Level.OK)
