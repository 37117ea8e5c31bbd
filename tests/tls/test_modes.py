"""
Tests for :mod:`itsjustintv.tls.modes`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from attrs import evolve
from twisted.internet.defer import succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import TLS
from itsjustintv.support.file_watch import FileWatch
from itsjustintv.tls.modes import ModeFactory, mode_key

ACME = TLS(enabled=True, domains=("a.example.org",), agree_to_terms=True)
FILES = evolve(ACME, mode="files", cert_file="one.pem", key_file="one.key")


class ModeKeyTests(SynchronousTestCase):
    """
    What takes another mode, and what the present one follows.
    """

    def test_what_takes_another_mode(self) -> None:
        """
        Whether there is TLS, whose certificates they are, and where they are kept or come from.
        """
        modes = [
            TLS(),
            FILES,
            evolve(FILES, cert_file="two.pem"),
            evolve(FILES, key_file="two.key"),
            ACME,
            evolve(ACME, cert_dir="elsewhere"),
            evolve(ACME, directory="staging"),
            evolve(ACME, ca_bundle="root.pem"),
        ]
        self.assertEqual(len({mode_key(each) for each in modes}), len(modes))

    def test_what_is_followed(self) -> None:
        """
        Everything that is asked for at each order; the name of an authority and its address are the same; and what a
        mode has no use for.
        """
        for same in (
            {"domains": ("b.example.org",), "default_name": "b.example.org", "email": "ops@example.org"},
            {"challenge": "both", "http_listen": "127.0.0.1:80", "profile": "shortlived", "key_type": "p384"},
            {"eab_kid": "kid", "eab_hmac": "c2Vj", "renew_fraction": 0.5, "agree_to_terms": False},
            {"directory": "https://acme-v02.api.letsencrypt.org/directory", "cert_file": "unused.pem"},
        ):
            self.assertEqual(mode_key(evolve(ACME, **same)), mode_key(ACME))
        self.assertEqual(mode_key(evolve(FILES, directory="staging", cert_dir="x")), mode_key(FILES))
        self.assertEqual(mode_key(TLS(mode="files", cert_file="x")), mode_key(TLS()))


class FollowTests(SynchronousTestCase):
    """
    A mode follows settings that take no other one.
    """

    def test_orders_go_by_the_settings_of_the_moment(self) -> None:
        """
        A trial order is made at the staging of Let's Encrypt; requests, the default name and what is waited for follow,
        too.
        """
        reactor = MemoryReactorClock()
        reactor.running = True
        disk: Any = SimpleNamespace(run=lambda function, *arguments: succeed(function(*arguments)))
        mode = ModeFactory(reactor, disk, lambda: 0.5, lambda: FileWatch(reactor, disk.run)).make(
            evolve(ACME, directory="production", cert_dir=self.mktemp())
        )
        service: Any = mode.service
        requests = service.getServiceNamed("requests")
        mode.follow(evolve(ACME, directory="production", domains=("b.example.org",)))
        trial = requests._issue_trial.__self__._settings()
        self.assertEqual((trial.directory, trial.domains), ("staging", ("b.example.org",)))
        self.assertEqual(tuple(requests._names()), ("b.example.org",))
        contexts: Any = mode.contexts
        self.assertEqual(contexts._default, b"b.example.org")
        self.successResultOf(mode.when_ready("not-configured.example.org"))
        self.assertNoResult(mode.when_ready("b.example.org"))
