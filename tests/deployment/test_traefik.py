"""
Tests of etc/traefik/.
"""

from __future__ import annotations

import yaml
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.web.connection_limits import ConnectionLimits
from tests.documents import ROOT, asked_from_outside


class TraefikTests(SynchronousTestCase):
    """
    The dynamic configuration; Debian has no Traefik to run it.
    """

    def test_every_name_is_defined(self) -> None:
        """
        The router's middleware, service and transport are in the file, and idle connections end before the daemon ends
        them.
        """
        text = (ROOT / "etc" / "traefik" / "itsjustintv.yaml").read_text(encoding="utf-8")
        http = yaml.safe_load(text)["http"]
        (router,) = http["routers"].values()
        self.assertEqual(set(router["middlewares"]), set(http["middlewares"]))
        balancer = http["services"][router["service"]]["loadBalancer"]
        timeouts = http["serversTransports"][balancer["serversTransport"]]["forwardingTimeouts"]
        self.assertLess(int(timeouts["idleConnTimeout"].removesuffix("s")), ConnectionLimits().idle)
        for path in asked_from_outside():
            # In every method: what the runbook asks for is answered by the daemon as well.
            self.assertEqual(router["rule"], f"Host(`hooks.example.org`) && Path(`{path}`)")
