"""
Against Pebble, an authority that nobody here wrote, always with ``-strict``.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from itsjustintv.errors import AcmeProblem
from itsjustintv.tls.store import CertificateStore
from tests.functional.stage import lacking
from tests.tls.pebble import House, PebbleCase

ONE, TWO = "hooks.example.test", "www.example.test"


class PebbleTests(PebbleCase):
    """
    Certificates from Pebble.
    """

    async def test_s01_two_names_by_http(self) -> None:
        """
        From an empty folder: both are served with chains that verify, names included.
        """
        await self.pebble.start()
        house = self.house(ONE, TWO)
        await house.open()
        await house.ready()
        root = await self.pebble.root()
        for name in (ONE, TWO):
            connection = await house.connect(name, root)
            self.assertEqual(connection.serial, house.served[name].serial)
            await connection.close()
        self.assertGreaterEqual(house.proofs, 2)

    async def test_s02_two_names_on_the_serving_port_itself(self) -> None:
        """
        With port 80 closed.
        """
        await self.pebble.start()
        house = self.house(ONE, TWO, challenge="tls-alpn-01", http_listen="")
        await house.open(port_80=False)
        await house.ready()
        root = await self.pebble.root()
        for name in (ONE, TWO):
            await (await house.connect(name, root)).close()

    async def test_both_challenges_take_turns(self) -> None:
        """
        With port 80 closed, the second attempt is for the other challenge.
        """
        await self.pebble.start()
        house = self.house(ONE, challenge="both")
        await house.open(port_80=False)
        await house.until(lambda: house.service.statuses() and house.service.statuses()[0].failures == 1)
        await house.service.issue_cert(ONE)
        self.assertIn(ONE, house.served)

    async def test_s03_rejected_nonces(self) -> None:
        """
        Twenty certificates in a row where 15 nonces of 100 are not taken.
        """
        await self.pebble.start(env={"PEBBLE_WFE_NONCEREJECT": "15"})
        house = self.house(ONE)
        await house.open()
        await house.ready()
        serials = set()
        for _ in range(19):
            await house.service.issue_cert(ONE)
            serials.add(house.served[ONE].serial)
        self.assertEqual(len(serials), 19)
        self.assertGreater(house.service._orders.rejected_nonces, 0)

    async def test_s03_most_nonces_rejected(self) -> None:
        """
        One certificate where 60 of 100 are not taken.
        """
        await self.pebble.start(env={"PEBBLE_WFE_NONCEREJECT": "60"})
        house = self.house(ONE)
        await house.open()
        await house.ready(30)

    async def test_s04_nothing_that_is_obsolete_would_be_taken(self) -> None:
        """
        The authority of all these tests refuses what the drafts of ACME had: a key authorization in the answer to a
        challenge, and a resource in any request.
        """
        await self.pebble.start()
        client = await self.house(ONE).service._orders.client()
        await client.register(email="")
        order = await client.new_order([ONE])
        (challenge, *_) = (await client.authorization(order.authorizations[0])).challenges
        for obsolete in ({"keyAuthorization": "x"}, {"resource": "challenge"}):
            with self.assertRaises(AcmeProblem) as caught:
                await client._post(challenge.url, obsolete)
            self.assertEqual(caught.exception.kind, "malformed")

    async def test_s05_a_name_that_was_proven_is_not_proven_again(self) -> None:
        """
        Where the authority reuses authorizations, nobody comes for a second proof.
        """
        await self.pebble.start(env={"PEBBLE_AUTHZREUSE": "100"})
        house = self.house(ONE)
        await house.open()
        await house.ready()
        proofs = house.proofs
        await house.service.issue_cert(ONE)
        self.assertEqual(house.proofs, proofs)

    async def test_s06_an_external_account(self) -> None:
        """
        Without one both settings are named, with one it works.
        """
        secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
        await self.pebble.start(externalAccountBindingRequired=True, externalAccountMACKeys={"kid-1": secret})
        house = self.house(ONE)
        await house.open()
        await house.until(lambda: house.service.statuses() and house.service.statuses()[0].failures)
        problem = house.service.statuses()[0].problem
        self.assertIn("server.tls.eab_kid", problem)
        self.assertIn("server.tls.eab_hmac_file", problem)
        await house.close()
        house = self.house(ONE, eab_kid="kid-1", eab_hmac=secret)
        await house.open()
        await house.ready()

    async def test_s10_s11_a_restart_needs_no_authority(self) -> None:
        """
        It has gone: the service is ready within two seconds, serves, and stays well.
        """
        await self.pebble.start()
        house = self.house(ONE)
        await house.open()
        await house.ready()
        root = await self.pebble.root()
        await house.close()
        await self.pebble.stop()
        again = self.house(ONE)
        await again.open()
        await again.ready(2)
        await (await again.connect(ONE, root)).close()
        self.assertIsNone(again.service.problem())

    async def test_s11_without_authority_and_certificate_it_stays_up(self) -> None:
        """
        Health is critical, and the next attempt has its time.
        """
        house = self.house(ONE)
        await house.open()
        await house.until(lambda: house.service.statuses() and house.service.statuses()[0].failures == 1)
        self.assertIn(ONE, house.service.problem() or "")
        self.assertNotEqual(house.service.statuses()[0].next_attempt, "")

    async def test_s17_renewals_disturb_nobody(self) -> None:
        """
        Certificates of forty seconds are renewed twice under a stream of more than 200 new connections: every one is
        served, and verifies; who is connected stays so; the port is never closed.
        """
        await self.pebble.start(validity=40)
        house = self.house(ONE, renew_fraction=0.9)
        await house.open()
        await house.ready()
        root = await self.pebble.root()
        lasting = await house.connect(ONE, root)
        serials: list[str] = []

        async def visit() -> None:
            while len(set(serials)) < 3 or len(serials) <= 200:
                connection = await house.connect(ONE, root)
                serials.append(connection.serial)
                await connection.close()
                await deferLater(self.reactor, 0.04)

        await gatherResults([Deferred.fromCoroutine(visit()) for _ in range(3)])
        self.assertEqual(await lasting.say(b"still here"), b"still here")
        await lasting.close()

    async def test_s31_the_end_does_not_wait_for_the_authority(self) -> None:
        """
        While it takes its time to validate, the service ends within two seconds.
        """
        await self.pebble.start(env={"PEBBLE_VA_NOSLEEP": "", "PEBBLE_VA_SLEEPTIME": "60"})
        house = self.house(ONE)
        await house.open()
        store = CertificateStore.of(self.root, self.pebble.directory, (ONE,), _now)
        await house.until(lambda: house.service._orders._client is not None)
        await deferLater(self.reactor, 0.5)
        began = self.reactor.seconds()
        await house.close()
        self.assertLess(self.reactor.seconds() - began, 2.0)
        self.assertIsNone(await store.load(ONE))

    async def test_a_forgetful_authority(self) -> None:
        """
        It was restarted and knows nobody: the account is registered again, and the certificate renewed.
        """
        await self.pebble.start()
        house = self.house(ONE)
        await house.open()
        await house.ready()
        before = house.served[ONE].serial
        await self.pebble.stop()
        await self.pebble.start()
        await house.service.issue_cert(ONE)
        self.assertNotEqual(house.served[ONE].serial, before)

    async def test_s20_advice_and_replacement(self) -> None:
        """
        A newer Pebble advises when to renew, and takes the order that names the certificate it replaces.
        """
        house = await self._newer("renewalInfo")
        await house.until(lambda: house.service._certificates.get(ONE).record.renew_at)
        for _ in range(2):
            await house.service.issue_cert(ONE)
            self.assertEqual(house.service.statuses()[0].failures, 0)

    async def test_a_profile(self) -> None:
        """
        A newer Pebble lists profiles; one that it does not list is refused with the names of the others.
        """
        house = await self._newer("renewalInfo", profile="default")
        self.assertEqual(house.service.statuses()[0].profile, "default")
        await house.close()
        other = self.house(ONE, profile="nonesuch")
        await other.open()
        await other.until(lambda: other.service.statuses() and other.service.statuses()[0].failures)
        self.assertIn("it lists: default", other.service.statuses()[0].problem)

    async def _newer(self, key: str, **changes: Any) -> House:
        await self.pebble.start()
        if await self.pebble.offers(key) is None:
            lacking("newer-pebble", f"this pebble has no {key}; it takes 2.7 or later")
        house = self.house(ONE, **changes)
        await house.open()
        await house.ready()
        return house


def _now(work: Any, *args: Any) -> Deferred[Any]:
    done: Deferred[Any] = Deferred()
    done.callback(work(*args))
    return done
