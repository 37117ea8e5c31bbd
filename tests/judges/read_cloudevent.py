"""
Read ``{"headers": ..., "body": Base64}`` from standard input, and write what the package ``cloudevents`` makes of it.

Run by the Python of the judges, which has nothing of ours.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode

from cloudevents.core.bindings.http import HTTPMessage, from_http_event  # type: ignore[import-not-found]
from cloudevents.core.exceptions import BaseCloudEventException  # type: ignore[import-not-found]

request = json.load(sys.stdin)
try:
    event = from_http_event(HTTPMessage(headers=request["headers"], body=b64decode(request["body"])))
    data = event.get_data()
    shown = data.decode() if isinstance(data, bytes) else data
    answer = ({**event.get_attributes(), "data": shown}, "")
except (BaseCloudEventException, ValueError, KeyError, TypeError) as error:
    problems = getattr(error, "errors", None)
    answer = ({}, str(problems or error) or type(error).__name__)
json.dump(answer, sys.stdout, default=str)
