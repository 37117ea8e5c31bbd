"""
Writes a configuration and becomes ``twistd -n itsjustintv``: the daemon as an operator runs it, with its journal on,
talking to a Helix and a receiver on loopback. Everything not set here is as by default.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from benchmarks.messages import CALLBACK, streamers

REPOSITORY = Path(__file__).resolve().parents[2]


def configuration(options: argparse.Namespace) -> str:
    """
    Write the TOML; a JSON string is a TOML string.
    """
    lines = [
        'image = "url"',  # there is no image server on loopback
        "[server]",
        'listen_addr = "127.0.0.1"',
        f"port = {options.port}",
        "[twitch]",
        'client_id = "client-id"',
        'client_secret = "client-secret"',
        f"webhook_secret = {json.dumps(options.secret)}",
        f"incoming_webhook_url = {json.dumps(CALLBACK)}",
        f"api_url = {json.dumps(options.twitch + '/helix')}",
        f"auth_url = {json.dumps(options.twitch + '/oauth2')}",
    ]
    if options.websocket:
        lines += ['transport = "conduit"', f"conduit.websocket_url = {json.dumps(options.websocket)}"]
    lines += [
        "[enrich]",
        f"timeout = {options.enrich_timeout}",
        "[global_webhook]",
        "enabled = true",
        f"url = {json.dumps(options.receiver + '/hook')}",
        'target_webhook_secret = "the receiver shares this"',
    ]
    if options.collector:
        lines += ["[telemetry]", "enabled = true", f"endpoint = {json.dumps(options.collector)}"]
    for streamer in streamers(options.streamers):
        lines += [f"[streamers.s{streamer}]", f'user_id = "{streamer}"']
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--twitch", required=True, help="base URL of Helix and its tokens")
    parser.add_argument("--receiver", required=True, help="base URL of where to deliver")
    parser.add_argument(
        "--collector", default="", help="base URL of a collector of traces and metrics, if it is to send any"
    )
    parser.add_argument("--websocket", default="", help="URL of Twitch's WebSocket, if events come through a conduit")
    parser.add_argument("--enrich-timeout", default="3", help="seconds a delivery waits for Helix")
    parser.add_argument("--streamers", type=int, required=True, help="how many")
    parser.add_argument("--directory", type=Path, required=True, help="for the journal and all other files")
    options = parser.parse_args()
    path = options.directory / "config.toml"
    path.write_text(configuration(options))
    path.chmod(0o600)
    os.chdir(options.directory)
    # The plugin is found from the checkout, however the package is installed.
    os.environ["PYTHONPATH"] = str(REPOSITORY)
    twistd = Path(sys.executable).with_name("twistd")
    log = "--logger=itsjustintv.logs.json_logger"
    os.execv(twistd, [str(twistd), "-n", "--pidfile=", log, "itsjustintv", "--config", str(path)])
