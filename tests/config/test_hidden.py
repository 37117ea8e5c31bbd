"""
Tests for :mod:`itsjustintv.config.secrets`.
"""

from __future__ import annotations

from typing import Any, get_type_hints

import attrs
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.secrets import secrets
from itsjustintv.config.sections import Config, StreamerEntry, Telemetry


def filled(section: type, above: str = "") -> Any:
    """
    Make a section whose hidden values are all different.
    """
    values: dict[str, Any] = {}
    for attribute in attrs.fields(section):
        kind, name = get_type_hints(section)[attribute.name], f"{above}{attribute.name}-"
        if attrs.has(kind):
            values[attribute.name] = filled(kind, name)
        elif not attribute.repr:
            values[attribute.name] = f"{name}hidden"
    return section(**values)


def hidden(section: Any) -> set[str]:
    """
    Find the hidden values of a section and those below it.
    """
    found: set[str] = set()
    for attribute in attrs.fields(type(section)):
        value = getattr(section, attribute.name)
        if attrs.has(type(value)):
            found |= hidden(value)
        elif not attribute.repr:
            found.add(value)
    return found


class SecretsTests(SynchronousTestCase):
    """
    What must not appear in a log.
    """

    def test_what_is_not_shown_is_not_logged(self) -> None:
        """
        Every value that a configuration hides when it is shown is one that the log hides as well.
        """
        streamer = filled(StreamerEntry, "streamer-")
        config = attrs.evolve(filled(Config), streamers={"a": streamer})
        planted = hidden(config) | hidden(streamer)
        self.assertIn("server-tls-eab_hmac-hidden", planted)
        self.assertEqual(set(), planted - set(secrets(config, {})))

    def test_an_address_without_a_path(self) -> None:
        """
        The query of an address is hidden whether or not there is a path before it.
        """
        for url in ("https://hooks.example.org?token=0123456789", "https://hooks.example.org/a?token=0123456789"):
            config = Config(streamers={"a": StreamerEntry(target_webhook_url=url)})
            self.assertIn("token=0123456789", set(secrets(config, {})))

    def test_what_is_given_to_a_collector_is_not_logged(self) -> None:
        """
        The headers that OpenTelemetry's variables add are secrets, in either way of writing them, and so is what an
        endpoint is asked with, wherever it is named.
        """
        environ = {
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "api-key=a-secret, other=another,authorization=Basic%20of-both",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://me:my-password@otlp.example:4318/v1",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "https://otlp.example/v1?key=a-fourth",
            "PATH": "x",
        }
        config = Config(telemetry=Telemetry(endpoint="https://otlp.example/v1?key=a-third"))
        found = set(secrets(config, environ))
        self.assertLessEqual({"a-secret", "another", "Basic of-both", "Basic%20of-both"}, found)
        self.assertLessEqual({"key=a-third", "my-password", "key=a-fourth"}, found)
        self.assertEqual({each for each in found if "otlp.example" in each or each == "x"}, set())
