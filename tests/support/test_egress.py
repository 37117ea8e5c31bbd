"""
Tests for :mod:`itsjustintv.support.egress`, and for the agents that it guards, with names that only the test resolves.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, ip_address, ip_network
from typing import Any

from attrs import define, field
from hypothesis import assume, given
from hypothesis.strategies import integers, ip_addresses, sampled_from
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from itsjustintv.support.egress import Address, EgressPolicy, EgressRefused
from itsjustintv.support.http_agents import DELIVERIES, ExactAgent, make_agent
from tests.support.test_http_agents import Hearing, Resolving

OPERATORS, CONTENT = EgressPolicy(), EgressPolicy(public_only=True)

METADATA = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "fd20:ce::254")
NOWHERE = ("0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "239.255.255.250", "ff02::1", "240.0.0.1", "255.255.255.255")  # noqa: S104
LINK_LOCAL = ("169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1")
AT_HOME = ("127.0.0.1", "::1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.178.20", "100.64.0.1", "fd12::1")
PUBLIC = ("1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "64:ff9b::1.1.1.1", "2002:101:101::1")
SPECIAL = ("192.0.2.1", "198.18.0.1", "203.0.113.9", "2001:db8::1", "fec0::1", "100::1", "2001:2::1")


def notations(address: Address) -> Iterator[Address]:
    """
    Every IPv6 address that stands for an IPv4 address.
    """
    bits = int(address)
    for prefix in ("::ffff:0:0", "::ffff:0:0:0", "64:ff9b::", "64:ff9b:1::", "fd00::5efe:0:0", "2606::200:5efe:0:0"):
        yield ipaddress.IPv6Address(int(ip_address(prefix)) | bits)
    yield ipaddress.IPv6Address(int(ip_address("2002::")) | bits << 80)
    yield ipaddress.IPv6Address(int(ip_address("2001::")) | bits << 64 | 0xFFFF_FFFF ^ int(ip_address("1.1.1.1")))
    yield ipaddress.IPv6Address(int(ip_address("2001:0:101:101::")) | 0xFFFF_FFFF ^ bits)
    # RFC 6052, 2.2: with a prefix of 48, 56 and 64 bits; bits 64 to 71 are left out.
    yield ipaddress.IPv6Address(int(ip_address("64:ff9b:1::")) | bits >> 16 << 64 | (bits & 0xFFFF) << 40)
    yield ipaddress.IPv6Address(int(ip_address("64:ff9b:1:ab00::")) | bits >> 24 << 64 | (bits & 0xFF_FFFF) << 32)
    yield ipaddress.IPv6Address(int(ip_address("64:ff9b:1:abcd::")) | bits << 24)


class EgressPolicyTests(SynchronousTestCase):
    """
    Single addresses.
    """

    def refused(self, policy: EgressPolicy, *addresses: str) -> Sequence[str]:
        """
        Those of these that are refused.
        """
        return [each for each in addresses if policy.refuses(each)]

    def test_operators_own(self) -> None:
        """
        An address that the operator configured may be private, but neither link-local nor a cloud's metadata service.
        """
        self.assertEqual(self.refused(OPERATORS, *PUBLIC, *AT_HOME, *SPECIAL), [])
        bad = (*METADATA, *NOWHERE, *LINK_LOCAL)
        self.assertEqual(self.refused(OPERATORS, *bad), [*bad])

    def test_content(self) -> None:
        """
        An address that comes from content must be public.
        """
        self.assertEqual(self.refused(CONTENT, *PUBLIC), [])
        bad = (*METADATA, *NOWHERE, *LINK_LOCAL, *AT_HOME, *SPECIAL)
        self.assertEqual(self.refused(CONTENT, *bad), [*bad])

    def test_not_an_address(self) -> None:
        """
        What cannot be read as an address is refused.
        """
        for odd in ("", "localhost", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "1.1.1", "1.1.1.1 ", "::g"):
            self.assertTrue(OPERATORS.refuses(odd), odd)

    def test_allowed(self) -> None:
        """
        ``egress.allow`` lets exactly its networks through, whatever they are, also in their IPv6 notations.
        """
        policy = EgressPolicy.of(("169.254.10.0/24", "fe80::/10", "10.0.0.0/8"), public_only=True)
        allowed = ("169.254.10.7", "::ffff:169.254.10.7", "64:ff9b::169.254.10.7", "fe80::1%eth0", "10.1.1.1")
        self.assertEqual(self.refused(policy, *allowed), [])
        bad = ("169.254.11.7", "::ffff:169.254.11.7", "192.168.0.1", "fd00::1")
        self.assertEqual(self.refused(policy, *bad), [*bad])
        self.assertEqual(self.refused(EgressPolicy.of(("64:ff9b::/96",)), "64:ff9b::169.254.169.254"), [])
        with self.assertRaises(ValueError):
            EgressPolicy.of(("here",))

    @given(
        address=sampled_from([*METADATA, *NOWHERE, *LINK_LOCAL, *AT_HOME]), policy=sampled_from([OPERATORS, CONTENT])
    )
    def test_notations_of_what_is_refused(self, address: str, policy: EgressPolicy) -> None:
        """
        No IPv6 notation of a refused IPv4 address is let through.
        """
        if ":" in address or not policy.refuses(address):
            return
        for each in notations(ip_address(address)):
            self.assertTrue(
                policy.refuses(str(each)) or ip_address(address) in IPv4Network("0.0.0.0/8"), f"{address} as {each}"
            )

    @given(address=ip_addresses(v=4))
    def test_notations_of_anything(self, address: Address) -> None:
        """
        Mapped, translated and NAT64 addresses are judged exactly as the IPv4 address that they stand for.
        """
        for policy in (OPERATORS, CONTENT):
            for prefix in ("::ffff:0:0", "::ffff:0:0:0", "64:ff9b::"):
                mapped = ipaddress.IPv6Address(int(ip_address(prefix)) | int(address))
                self.assertEqual(policy.refuses(str(mapped)), policy.refuses(str(address)), f"{address} as {mapped}")

    @given(address=ip_addresses())
    def test_python_agrees(self, address: Address) -> None:
        """
        What is let through from content is global in Python's own tables; whatever is refused of the operator's is not,
        but for the platform of a cloud.
        """
        assume(address not in ip_network("64:ff9b::/96") and address not in ip_network("64:ff9b:1::/48"))
        if not CONTENT.refuses(str(address)):
            self.assertTrue(address.is_global, address)
            self.assertFalse(address.is_multicast, address)
        self.assertLessEqual(OPERATORS.refuses(str(address)), CONTENT.refuses(str(address)), address)

    @given(bits=integers(0, 2**32 - 1), length=integers(1, 32))
    def test_allowed_network(self, bits: int, length: int) -> None:
        """
        Whatever network is allowed, all of it is let through.
        """
        network = IPv4Network((bits, length), strict=False)
        policy = EgressPolicy.of((str(network),), public_only=True)
        for each in (network[0], network[-1], ip_address(bits)):
            self.assertFalse(policy.refuses(str(each)), f"{each} of {network}")


@implementer(IHostnameResolver)
@define(eq=False)
class Zone:
    """
    A resolver that gives a list of addresses for each look-up, one list after the other.
    """

    answers: list[Sequence[str]]
    asked: list[str] = field(factory=list)

    def resolveHostName(self, receiver: Any, name: str, portNumber: int = 0, *_: Any, **__: Any) -> Any:
        self.asked.append(name)
        receiver.resolutionBegan(self)
        for each in self.answers.pop(0):
            kind = IPv6Address if ":" in each else IPv4Address
            receiver.addressResolved(kind("TCP", each, portNumber))
        receiver.resolutionComplete()
        return receiver


class ConnectionTests(TestCase):
    """
    A receiver on 127.0.0.1, which is refused here like an address that comes from content.
    """

    timeout = 20

    def setUp(self) -> None:
        self.heard: list[bytes] = []
        self.policy = CONTENT
        factory = Factory()
        factory.noisy = False
        factory.protocol = lambda: Hearing(self.heard)  # type: ignore[assignment]
        self.port = self.successResultOf(serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(factory))
        self.addCleanup(self.port.stopListening)
        self.number = self.port.getHost().port

    def agent(self, resolving: Any = reactor) -> ExactAgent:
        """
        Make an agent with the policy as it is when a connection is made.
        """
        agent = make_agent(resolving, DELIVERIES, egress=lambda _: self.policy)
        self.addCleanup(agent.pool.closeCachedConnections)
        return agent

    async def ask(self, agent: ExactAgent, host: str = "receiver.example") -> int:
        """
        Send a request, and answer with its status.
        """
        response = await agent.request(b"POST", f"http://{host}:{self.number}/".encode())
        code: int = response.code
        return code

    async def test_what_was_checked_is_connected(self) -> None:
        """
        A name is looked up once for a connection: a name server that gives a public address to be checked and a private
        one to be connected to gains nothing.
        """
        zone = Zone([["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1"]])
        agent = self.agent(Resolving(zone))  # type: ignore[arg-type]
        self.policy = OPERATORS
        self.assertEqual(await self.ask(agent), 204)
        with self.assertRaises(EgressRefused) as raised:
            await self.ask(agent)
        self.assertEqual(raised.exception.addresses, ("169.254.169.254",))
        self.assertEqual(await self.ask(agent), 204)
        self.assertEqual(len(zone.asked), 3)
        self.assertEqual(len(self.heard), 2)

    async def test_refused_among_others(self) -> None:
        """
        Of several addresses those are used that are not refused; all of them are named when none is left.
        """
        self.policy = OPERATORS
        zone = Zone([["169.254.169.254", "::ffff:169.254.169.254", "127.0.0.1"], ["fe80::1", "0.0.0.1"]])
        agent = self.agent(Resolving(zone))  # type: ignore[arg-type]
        self.assertEqual(await self.ask(agent), 204)
        with self.assertRaises(EgressRefused) as raised:
            await self.ask(agent)
        self.assertEqual(raised.exception.addresses, ("fe80::1", "0.0.0.1"))

    async def test_hosts_that_are_addresses(self) -> None:
        """
        A host that is an address is checked too, in each notation that the system's resolver takes: nothing arrives.
        """
        hosts = ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "localhost"]
        hosts += ["[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::1]", "[::]"]
        agent = self.agent()
        for host in hosts:
            with self.assertRaises(EgressRefused, msg=host):
                await self.ask(agent, host)
        self.assertEqual(self.heard, [])
        self.policy = OPERATORS
        self.assertEqual(await self.ask(agent, "127.1"), 204)

    async def test_receivers_by_default(self) -> None:
        """
        An agent for receivers that is made without a policy has that of the operator's own addresses.
        """
        zone = Zone([["127.0.0.1"], ["169.254.169.254"]])
        agent = make_agent(Resolving(zone), DELIVERIES)  # type: ignore[arg-type]
        self.addCleanup(agent.pool.closeCachedConnections)
        self.assertEqual(await self.ask(agent), 204)
        with self.assertRaises(EgressRefused):
            await self.ask(agent)

    async def test_policy_changes(self) -> None:
        """
        A policy that changes applies to the next connection.
        """
        agent = self.agent()
        with self.assertRaises(EgressRefused):
            await self.ask(agent, "127.0.0.1")
        self.policy = EgressPolicy.of(("127.0.0.0/8",), public_only=True)
        self.assertEqual(await self.ask(agent, "127.0.0.1"), 204)

    async def test_unknown_name(self) -> None:
        """
        A name without an address is reported as such, not as refused.
        """
        agent = self.agent(Resolving(Zone([[]])))  # type: ignore[arg-type]
        error = await self.assertFailure(self.ask_later(agent), Exception)
        self.assertNotIsInstance(error, EgressRefused)

    def ask_later(self, agent: ExactAgent) -> Any:
        """
        The same as a Deferred.
        """
        return agent.request(b"POST", b"http://receiver.example/")
