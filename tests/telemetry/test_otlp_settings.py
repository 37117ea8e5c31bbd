"""
Tests of :mod:`itsjustintv.telemetry.otlp_settings`.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv import __version__
from itsjustintv.telemetry.otlp_settings import Settings


def settings(endpoint: str = "", **environ: str) -> Settings:
    """
    Settings that are enabled.
    """
    return Settings(enabled=True, endpoint=endpoint, environ=environ)


class SettingsTests(SynchronousTestCase):
    """
    What is sent where.
    """

    def test_wanted(self) -> None:
        """
        It takes the operator's word, and nobody's who disables the SDK.
        """
        self.assertFalse(Settings().is_enabled)
        self.assertTrue(settings(OTEL_SDK_DISABLED="false").is_enabled)
        self.assertFalse(settings(OTEL_SDK_DISABLED="True").is_enabled)

    def test_targets(self) -> None:
        """
        Each signal has its path below the endpoint, which stays what it is: https stays https.
        """
        cases = {
            "http://localhost:4318": "http://localhost:4318/v1/traces",
            "http://localhost:4318/": "http://localhost:4318/v1/traces",
            "https://otlp.example/otlp": "https://otlp.example/otlp/v1/traces",
            "https://otlp.example/otlp/v1/traces": "https://otlp.example/otlp/v1/traces",
            "https://otlp.example/v1/metrics/": "https://otlp.example/v1/traces",
            "https://otlp.example/?key=x": "https://otlp.example/v1/traces?key=x",
            "https://otlp.example?key=x": "https://otlp.example/v1/traces?key=x",
            "http://otel_collector:4318": "http://otel_collector:4318/v1/traces",
        }
        self.assertEqual({given: settings(given).target("traces") for given in cases}, cases)
        self.assertEqual(
            settings("https://otlp.example/v1/traces").target("metrics"), "https://otlp.example/v1/metrics"
        )

    def test_the_environment_wins(self) -> None:
        """
        What a variable says is left to the SDK to read, for both signals or for one.
        """
        both = settings("http://a", OTEL_EXPORTER_OTLP_ENDPOINT="http://b")
        one = settings("http://a", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://b/x")
        self.assertEqual([both.target(signal) for signal in ("traces", "metrics")], [None, None])
        self.assertEqual([one.target(signal) for signal in ("traces", "metrics")], [None, "http://a/v1/metrics"])
        self.assertIsNone(settings().target("traces"))

    def test_protocols(self) -> None:
        """
        HTTP unless gRPC is asked for, whose endpoint has no path; anything else is refused.
        """
        grpc = settings("http://localhost:4317", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
        self.assertEqual((grpc.uses_grpc("traces"), grpc.target("traces")), (True, "http://localhost:4317"))
        self.assertFalse(settings().uses_grpc("metrics"))
        self.assertTrue(settings(OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="grpc").uses_grpc("metrics"))
        self.assertRaises(ValueError, settings(OTEL_EXPORTER_OTLP_PROTOCOL="http/json").uses_grpc, "traces")

    def test_one_signal_only(self) -> None:
        """
        Either can be left out.
        """
        some = settings(OTEL_METRICS_EXPORTER="none")
        self.assertEqual((some.exports("traces"), some.exports("metrics")), (True, False))

    def test_the_log_shows_no_secret(self) -> None:
        """
        Of an endpoint the log has host and port, and nothing of the environment.
        """
        cases: dict[str, Any] = {
            "localhost:4318": settings(),
            "otlp.example": settings("https://otlp.example/a-secret?key=x"),
            "b:1": settings("http://a", OTEL_EXPORTER_OTLP_ENDPOINT="http://user:secret@b:1/x"),
        }
        self.assertEqual({given.place() for given in cases.values()}, set(cases))
        self.assertNotIn("secret", repr(settings(OTEL_EXPORTER_OTLP_HEADERS="x=secret")))

    def test_names(self) -> None:
        """
        A version that is not given is our own.
        """
        self.assertEqual(dict(settings().attributes()), {"service.name": "itsjustintv", "service.version": __version__})
        self.assertEqual(Settings(service_version="7").attributes()["service.version"], "7")

    def test_times(self) -> None:
        """
        Variables are in milliseconds; what is none is as if it were not there.
        """
        given = {"2500": 2.5, "": 60.0, "soon": 60.0, "-1": 60.0, "0": 60.0}
        self.assertEqual({text: settings(X=text).seconds("X", 60.0) for text in given}, given)
