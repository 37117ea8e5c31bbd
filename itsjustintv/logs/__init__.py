"""
The log: one line an event, with the secrets taken out.

It is used as ``[logging]`` says by ``twistd itsjustintv`` and by ``itsjustintv run``; with
``twistd --logger=itsjustintv.logs.json_logger`` it is JSON whatever the configuration says.
"""

from itsjustintv.logs.observer import WANTED, Log, Wanted, json_logger, logger
from itsjustintv.logs.redaction import REDACTOR, Redactor

__all__ = ["REDACTOR", "WANTED", "Log", "Redactor", "Wanted", "json_logger", "logger"]
