"""
``itsjustintv health``: how the daemon on this machine is, for whoever asks all day long, so it imports next to nothing.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import tomllib
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import click
from attrs import frozen

from itsjustintv.config.environment import overlay
from itsjustintv.config.locations import FINDING, find
from itsjustintv.config.parse_state import ParseState
from itsjustintv.support.causes import cause
from itsjustintv.support.durations import duration
from itsjustintv.support.foreign_text import visible, visible_json
from itsjustintv.support.regular_files import read_once

__all__ = ["Door", "door", "health"]

# As much of an answer is read, in bytes.
_LIMIT = 64 * 1024

# Bytes of a configuration.
_LARGEST = 16 * 1024 * 1024

_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound, but reached elsewhere


@frozen
class Door:
    """
    Where the daemon is reached.

    :ivar introduced: whether it wants to be told, by the PROXY protocol, on whose behalf somebody calls.
    """

    host: str
    port: int
    tls: bool = False
    introduced: bool = False

    @property
    def url(self) -> str:
        """
        As people write it.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def ask(self, path: str, timeout: float) -> tuple[int, Any]:
        """
        Ask for something.

        :param timeout: seconds for the connection, and then for each part of the answer.
        :return: the status, and what was said, or ``None`` when it was no JSON.
        :raises OSError: nobody answers.
        :raises HTTPException: somebody answers, but not over HTTP.
        """
        connected = socket.create_connection((self.host, self.port), timeout)
        try:
            if self.introduced:
                connected.sendall(b"PROXY UNKNOWN\r\n")
            connection = HTTPConnection(self.host, self.port, timeout=timeout)
            connection.sock = self._secured(connected) if self.tls else connected
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read(_LIMIT)
        finally:
            connected.close()
        try:
            return answer.status, json.loads(body)
        except ValueError:
            return answer.status, None

    def _secured(self, connected: socket.socket) -> ssl.SSLSocket:
        context = ssl.create_default_context()
        if _is_here(self.host):
            # The certificate is for the public name, and who listens here is known without it.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(connected, server_hostname=None if _is_here(self.host) else self.host)


def door(path: Path, environ: Mapping[str, str]) -> Door:
    """
    Find out where the daemon listens. Whatever else may be wrong with the configuration does not matter: the daemon
    goes on with the one before it.

    :param path: of the configuration; if it is not there, the environment alone counts.
    :raises ValueError: it is not TOML, or the port is none.
    :raises OSError: it cannot be read.
    """
    try:
        draft = ParseState(tomllib.loads(read_once(path, _LARGEST).decode("utf-8-sig")))
    except FileNotFoundError:
        draft = ParseState({})
    overlay(draft, environ)

    def get(*keys: str) -> Any:
        return draft.get(("server", *keys))

    listen, port, proxies = get("listen_addr") or "", get("port") or 8080, get("trusted_proxies") or []
    if not isinstance(port, int):
        raise TypeError("server.port is no number")
    host = _EVERYWHERE.get(listen, listen)
    introduced = bool(get("proxy_protocol")) and _is_here(host) and any(_within(host, each) for each in proxies)
    return Door(host, port, bool(get("tls", "enabled")), introduced)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _within(host: str, network: object) -> bool:
    try:
        return ip_address("127.0.0.1" if host == "localhost" else host) in ip_network(str(network), strict=False)
    except ValueError:
        return False


def _door(url: str) -> Door:
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError
        tls = parts.scheme == "https"
        return Door(parts.hostname, parts.port or (443 if tls else 80), tls)
    except ValueError:
        raise click.BadParameter("must be like http://127.0.0.1:8080, without a path", param_hint="--url") from None


@click.command(
    epilog="\b\nExamples:\n"
    "  $ itsjustintv health\n"
    "  $ itsjustintv health --ready --config /etc/itsjustintv/config.toml\n"
    "  $ itsjustintv health --live --url http://127.0.0.1:8080",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--config",
    "-c",
    metavar="FILE",
    help=FINDING,
)
@click.option("--url", metavar="URL", help="Where the daemon is; otherwise where the configuration lets it listen.")
@click.option("--live", "path", flag_value="/livez", help="Only whether a restart could mend something.")
@click.option("--ready", "path", flag_value="/readyz", help="Whether everything is as it should be.")
@click.option("--timeout", default=4.0, show_default=True, help="Seconds to wait for it.")
@click.option("--json", "as_json", is_flag=True, help="All that it answers, as JSON, for programs.")
@click.option("--verbose", "-v", is_flag=True, help="Name what is asked.")
def health(  # noqa: PLR0917 - click names them
    config: str | None, url: str | None, path: str | None, timeout: float, as_json: bool, verbose: bool
) -> None:
    """
    Ask the daemon on this machine how it is. Status 0 if it is well, 1 if it is not or does not answer.

    Without --live or --ready: whether it takes in what Twitch tells, and sends.
    """
    try:
        found = _door(url) if url else door(_chosen(config), os.environ)
    except (TypeError, ValueError, OSError) as error:
        _none(f"the configuration does not tell where the daemon is ({cause(error)}); give --url", as_json)
    if verbose:
        click.echo(f"asking {found.url}{path or '/health'}", err=True)
    try:
        status, said = found.ask(path or "/health", timeout)
    except TimeoutError:
        _none(f"no answer from {found.url} within {duration(timeout)}", as_json)
    except (OSError, HTTPException) as error:
        _none(f"nothing answers at {found.url}: {cause(error)}", as_json)
    if not isinstance(said, dict) or "status" not in said:
        _none(f"something else answers at {found.url}, with status {status}", as_json)
    if as_json:
        click.echo(visible_json(json.dumps(said, indent=2, ensure_ascii=False)))
        sys.exit(0 if status == 200 else 1)
    click.echo(visible(str(said["status"])))
    reasons = said.get("reasons")
    for reason in filter(lambda each: isinstance(each, dict), reasons if isinstance(reasons, list) else ()):
        click.echo(visible(f"{reason.get('check')}: {reason.get('reason')}"))
    counts = said.get("deliveries")
    if isinstance(counts, dict) and counts.get("undelivered"):
        undelivered = visible(str(counts["undelivered"]))
        click.echo(f"undelivered: {undelivered}; itsjustintv deliveries list --state undelivered shows why")
    sys.exit(0 if status == 200 else 1)


def _none(problem: str, as_json: bool) -> NoReturn:
    """
    End without an answer; programs find the reason where they find the reasons of a daemon that is ill.
    """
    if as_json:
        unknown = {"status": "unknown", "reasons": [{"check": "daemon", "reason": problem}]}
        click.echo(visible_json(json.dumps(unknown, indent=2, ensure_ascii=False)))
    raise click.ClickException(problem)


def _chosen(config: str | None) -> Path:
    """
    As in :mod:`~itsjustintv.cli.console`, which imports more than this may.
    """
    place = find(config or click.get_current_context().find_root().params.get("config"), os.environ)
    if place.note:
        click.echo(visible(place.note), err=True)
    return place.path
