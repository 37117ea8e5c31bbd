"""
The log: one line per event, without secrets.

``twistd itsjustintv`` and ``itsjustintv run`` log as ``[logging]`` says; ``twistd
--logger=itsjustintv.logs.json_logger`` always logs JSON.
"""

from itsjustintv.logs.observer import WANTED, Log, Wanted, json_logger, logger
from itsjustintv.logs.redaction import REDACTOR, Redactor

__all__ = ["REDACTOR", "WANTED", "Log", "Redactor", "Wanted", "json_logger", "logger"]
