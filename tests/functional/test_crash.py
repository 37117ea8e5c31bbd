"""
The real daemon, killed at its system calls.

A run under strace is killed at the k-th call of one kind, as by a power cut in the middle of it; Twitch sends again
what was not acknowledged, and the daemon is started once more. ``ITSJUSTINTV_CRASH_POINTS=all`` kills at every call
there is, a number at so many of them; without it a few are taken of each kind.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults

from itsjustintv.errors import ItsJustInTVError
from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.eventsub import VerificationReport
from tests.functional.stage import Stage, StageCase, tool

#: Calls that change what others can see. SQLite writes with pwrite64 and fdatasync, the output file with write, fsync
#: and rename, sockets with sendto.
CALLS = ("fsync", "fdatasync", "write", "pwrite64", "rename", "sendto")

#: Which occurrences of a call a quick run dies at.
SAMPLE = {
    "fsync": (1, 3),
    "fdatasync": (1, 4, 6, 9),
    "write": (3, 12, 24),
    "pwrite64": (5, 60, 120),
    "rename": (1, 2),
    "sendto": (2, 5, 8),
}

#: So many occurrences in a row that nothing came to are the end. One is not: how many calls there are depends on how
#: many events happened to share a commit.
ENOUGH = 8

EVENTS = 4

T = TypeVar("T")


def points(call: str) -> Sequence[int]:
    """
    The occurrences of a call to die at.
    """
    wanted = os.environ.get("ITSJUSTINTV_CRASH_POINTS", "")
    if wanted == "all":
        return range(1, 10_000)
    return range(1, int(wanted) + 1) if wanted else SAMPLE[call]


class CrashTests(StageCase):
    """
    Whatever instant a crash takes, nothing acknowledged is lost, and no more is sent twice than was under way.
    """

    # All of them are half an hour's work.
    timeout = 120 if "ITSJUSTINTV_CRASH_POINTS" not in os.environ else 7200

    def setUp(self) -> None:
        """
        These tests need strace.
        """
        self.strace = tool("strace")

    async def survive(self, call: str, occurrence: int) -> bool:
        """
        Kill the daemon at one occurrence of a call and hold it to its promises.

        :return: whether it came that far.
        """
        stage = self.stage(settings='[retry]\ninitial_delay = "100ms"\njitter = 0\n[output]\nenabled = true\n')
        logins = [f"streamer{number}" for number in range(EVENTS)]
        for login in logins:
            stage.add_streamer(login)
        # One receiver fails once, so that a crash can also meet a retry.
        stage.receiver.script.plan("/streamer0", Behaviour(status=503))
        stage.twitch.eventsub.resend_after = (0.2,) * 200
        doomed = stage.daemon(
            [
                self.strace,
                # The daemon stays our own child, to be told to stop and to be waited for.
                "--daemonize",
                "--follow-forks",
                "--quiet=all",
                "--output=/dev/null",
                f"--trace={call}",
                f"--inject={call}:signal=KILL:when={occurrence}",
            ]
        )
        doomed.start()
        sending = gatherResults([self.send(stage, login) for login in logins])
        done = Deferred.fromCoroutine(self.all_done(stage, sending))
        await first_of(done, doomed.ended())
        crashed = await doomed.stop() != 0
        await stage.started()
        for report in await sending:
            self.assertTrue(report.acknowledged, report)
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.wanted, account.delivered, account.imbalance), (EVENTS, EVENTS, 0))
        told = Counter(received.path for received in stage.receiver.received if received.status == 200)
        for login in logins:
            self.assertIn(told[f"/{login}"], (1, 2) if crashed else (1,), f"{login} after {call} {occurrence}")
        await stage.close()
        return crashed

    def send(self, stage: Stage, login: str) -> Deferred[VerificationReport]:
        """
        Send a ``stream.online``, again and again until it is acknowledged.
        """
        return stage.twitch.eventsub.send(stage.message(stage.twitch.world.go_live(login)))

    async def all_done(self, stage: Stage, sending: Deferred[list[VerificationReport]]) -> None:
        """
        Wait until everything is acknowledged and delivered.
        """
        sent: Deferred[None] = Deferred()
        sending.addCallback(tell(sent))
        await sent
        await stage.settled(stage.reactor)


def tell(other: Deferred[None]) -> Callable[[T], T]:
    """
    Let a Deferred fire another one, and keep its result.
    """

    def told(result: T) -> T:
        if not other.called:
            other.callback(None)
        return result

    return told


async def first_of(done: Deferred[None], end: Deferred[int]) -> None:
    """
    Wait until everything is done, or the daemon has ended; then nobody waits for the rest any more.
    """
    first: Deferred[None] = Deferred()
    end.addCallback(tell(first))
    done.addBoth(tell(first))
    await first
    done.addErrback(lambda failure: failure.trap(CancelledError, FirstError, ItsJustInTVError))
    done.cancel()
    await done


def _case(call: str) -> None:
    def test(self: CrashTests) -> Deferred[None]:
        async def scenario() -> None:
            crashes = missed = 0
            for occurrence in points(call):
                crashed = await self.survive(call, occurrence)
                crashes += crashed
                missed = 0 if crashed else missed + 1
                if missed == ENOUGH:
                    break
            self.assertGreater(crashes, 0)

        return Deferred.fromCoroutine(scenario())

    test.__doc__ = f"A crash at any {call} loses nothing that was acknowledged."
    setattr(CrashTests, f"test_killed_at_{call}", test)


for _call in CALLS:
    _case(_call)
