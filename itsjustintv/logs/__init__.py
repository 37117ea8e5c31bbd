"""
The log: one line per event, without secrets.

``twistd itsjustintv`` and ``itsjustintv run`` log as ``[logging]`` says; ``twistd
--logger=itsjustintv.logs.json_logger`` always logs JSON.
"""

from itsjustintv.logs.observer import LOG_SETTINGS, Log, LogSettings, json_logger, logger
from itsjustintv.logs.redaction import REDACTOR, Redactor

__all__ = ["LOG_SETTINGS", "REDACTOR", "Log", "LogSettings", "Redactor", "json_logger", "logger"]
