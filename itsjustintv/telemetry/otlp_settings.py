"""
The settings of OTLP: what is sent to which collector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

from attrs import field, frozen

from itsjustintv import __version__

__all__ = ["Settings"]

_SIGNALS = {"traces": "/v1/traces", "metrics": "/v1/metrics"}
_GRPC, _HTTP = "grpc", "http/protobuf"


@frozen(kw_only=True)
class Settings:
    """
    ``[telemetry]`` and the variables ``OTEL_*``, which win (opentelemetry.io, "Environment Variable Specification").
    Variables that the SDK reads by itself are not repeated here.

    :ivar endpoint: of the collector, without the path of a signal; empty for the default of OpenTelemetry.
    :ivar service_version: empty for the version of the daemon.
    :ivar secrets: credentials that a collector may quote in its answers.
    """

    enabled: bool = False
    endpoint: str = ""
    service_name: str = "itsjustintv"
    service_version: str = ""
    environ: Mapping[str, str] = field(factory=dict, repr=False)
    secrets: Sequence[str] = field(default=(), repr=False)

    @property
    def is_enabled(self) -> bool:
        """
        Whether ``[telemetry]`` enables it and ``OTEL_SDK_DISABLED`` does not forbid it.
        """
        return self.enabled and self.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"

    def exports(self, signal: str) -> bool:
        """
        Whether a signal, ``traces`` or ``metrics``, is sent.
        """
        return self.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp").strip().lower() != "none"

    def uses_grpc(self, signal: str) -> bool:
        """
        Whether a signal is sent by gRPC instead of HTTP.

        :raises ValueError: the protocol is neither.
        """
        protocol = self._of("PROTOCOL", signal) or _HTTP
        if protocol not in (_GRPC, _HTTP):
            raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, it must be {_HTTP} or {_GRPC}")
        return protocol == _GRPC

    def target(self, signal: str) -> str | None:
        """
        The URL for a signal; ``None`` to leave it to the environment and the default of the SDK.
        """
        if self._of("ENDPOINT", signal) or not self.endpoint:
            return None
        if self.uses_grpc(signal):
            return self.endpoint
        parts = urlsplit(self.endpoint)
        base = parts.path.rstrip("/")
        for path in _SIGNALS.values():
            base = base.removesuffix(path)
        return urlunsplit(parts._replace(path=base + _SIGNALS[signal]))

    def place(self) -> str:
        """
        Host and port of the collector for the log, without credentials.
        """
        url = self._of("ENDPOINT", "traces") or self.endpoint or "http://localhost:4318"
        return urlsplit(url).netloc.rpartition("@")[2] or url

    def attributes(self) -> Mapping[str, str]:
        """
        The resource attributes that name the daemon.
        """
        return {"service.name": self.service_name, "service.version": self.service_version or __version__}

    def seconds(self, variable: str, default: float) -> float:
        """
        Read a variable in milliseconds; the default if it is invalid.
        """
        try:
            value = float(self.environ.get(variable, "")) / 1000.0
        except ValueError:
            return default
        return value if value > 0 else default

    def _of(self, name: str, signal: str) -> str:
        general = self.environ.get(f"OTEL_EXPORTER_OTLP_{name}", "")
        return (self.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}", "") or general).strip()
