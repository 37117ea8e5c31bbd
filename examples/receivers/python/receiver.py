"""
A receiver of itsjustintv in Python, with nothing but the standard library.

    TARGET_WEBHOOK_SECRET=... python3 receiver.py

listens on 127.0.0.1, port 8091 or PORT. Put a proxy with HTTPS in front.
"""

import base64
import hashlib
import hmac
import json
import os
import time
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = os.environ["TARGET_WEBHOOK_SECRET"]
LARGEST = 4 * 1024 * 1024  # a payload with a picture in it
TOLERANCE = 300  # seconds by which clocks may differ
SEEN = OrderedDict()  # ids of the last deliveries; keep them in a database if a repetition after a restart matters


def genuine(headers, body):
    """Whether a delivery is signed with our secret. Call it before you look at the body."""
    if SECRET.startswith("whsec_"):  # target_webhook_signature = "standard" or "both"
        sent_at = headers.get("webhook-timestamp", "")
        if not (sent_at.isascii() and sent_at.isdigit()) or abs(time.time() - int(sent_at)) > TOLERANCE:
            return False
        signed = f"{headers.get('webhook-id', '')}.{sent_at}.".encode() + body
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        expected = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        given = headers.get("webhook-signature", "").split(" ")
        return any(hmac.compare_digest(expected.encode(), each.encode()) for each in given)
    expected = "sha256=" + hmac.digest(SECRET.encode(), body, hashlib.sha256).hex()
    return hmac.compare_digest(expected.encode(), headers.get("X-Hub-Signature-256", "").encode())


def seen(event_id):
    """Whether this was here before: what was not answered in time is sent again, under the same id."""
    known = event_id in SEEN
    SEEN[event_id] = None
    while len(SEEN) > 10_000:
        SEEN.popitem(last=False)
    return known


def receive(headers, body):
    """What to answer."""
    if not genuine(headers, body):
        return 401
    try:
        news = json.loads(body)
    except ValueError:
        return 400
    if news.get("event") == "stream.online" and not seen(news["id"]):
        print(f"{news['streamer_name']} is live: {news['url']}", flush=True)
    return 204


class Receiver(BaseHTTPRequestHandler):
    timeout = 10  # seconds for a client that does not go on

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        fits = length.isascii() and length.isdigit() and int(length) <= LARGEST
        self.send_response(receive(self.headers, self.rfile.read(int(length))) if fits else 413)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8091"))), Receiver).serve_forever()
