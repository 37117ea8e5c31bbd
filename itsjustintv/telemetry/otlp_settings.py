"""
What is sent where.
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
    ``[telemetry]``, and the variables ``OTEL_*``, which win over it as every variable of the environment does
    (opentelemetry.io, "Environment Variable Specification"). What the SDK reads by itself is not repeated here.

    :ivar endpoint: of the collector, without the path of a signal; empty for the one that OpenTelemetry takes.
    :ivar service_version: empty for our own.
    :ivar secrets: what collectors are given and may quote in their answers.
    """

    enabled: bool = False
    endpoint: str = ""
    service_name: str = "itsjustintv"
    service_version: str = ""
    environ: Mapping[str, str] = field(factory=dict, repr=False)
    secrets: Sequence[str] = field(default=(), repr=False)

    @property
    def wanted(self) -> bool:
        """
        Whether anything is to be sent.
        """
        return self.enabled and self.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"

    def exports(self, signal: str) -> bool:
        """
        Whether ``traces`` or ``metrics`` are to be sent.
        """
        return self.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp").strip().lower() != "none"

    def uses_grpc(self, signal: str) -> bool:
        """
        Whether they are sent by gRPC, and not by HTTP.

        :raises ValueError: when neither is asked for.
        """
        protocol = self._of("PROTOCOL", signal) or _HTTP
        if protocol not in (_GRPC, _HTTP):
            raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, it must be {_HTTP} or {_GRPC}")
        return protocol == _GRPC

    def target(self, signal: str) -> str | None:
        """
        The address for a signal, or ``None`` to leave it to the environment, and to OpenTelemetry if that says nothing.
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
        Where that is, for the log: without what may be a secret.
        """
        url = self._of("ENDPOINT", "traces") or self.endpoint or "http://localhost:4318"
        return urlsplit(url).netloc.rpartition("@")[2] or url

    def attributes(self) -> Mapping[str, str]:
        """
        What the daemon is called, for those who collect from many.
        """
        return {"service.name": self.service_name, "service.version": self.service_version or __version__}

    def seconds(self, variable: str, default: float) -> float:
        """
        Read a variable of milliseconds.
        """
        try:
            value = float(self.environ.get(variable, "")) / 1000.0
        except ValueError:
            return default
        return value if value > 0 else default

    def _of(self, name: str, signal: str) -> str:
        general = self.environ.get(f"OTEL_EXPORTER_OTLP_{name}", "")
        return (self.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}", "") or general).strip()
