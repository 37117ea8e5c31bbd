"""
``itsjustintv health``: asks the daemon on this machine for its health. Container health checks run it every few
seconds, so it imports as little as possible.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import tomllib
from collections.abc import Iterable, Mapping
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import click
from attrs import frozen

from itsjustintv.config.environment import apply_environment
from itsjustintv.config.locations import SEARCH_ORDER, find_config
from itsjustintv.config.parse_state import ParseState
from itsjustintv.support.causes import cause
from itsjustintv.support.durations import duration
from itsjustintv.support.foreign_text import visible, visible_json
from itsjustintv.support.regular_files import read_once

if TYPE_CHECKING:
    from itsjustintv.config.sections import Server

__all__ = ["DaemonAddress", "configured_address", "daemon_address", "health"]

# Bytes of an answer that are read.
_ANSWER_LIMIT = 64 * 1024

# Bytes of a configuration.
_CONFIG_LIMIT = 16 * 1024 * 1024

_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound, but reached elsewhere


@frozen
class DaemonAddress:
    """
    Where the daemon listens.

    :ivar proxy_protocol: whether a connection from here must begin with a PROXY protocol header.
    """

    host: str
    port: int
    tls: bool = False
    proxy_protocol: bool = False

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def ask(self, path: str, timeout: float) -> tuple[int, Any]:
        """
        Send a GET request.

        :param timeout: seconds for the connection, and then for each part of the answer.
        :return: the status, and the parsed body, or ``None`` if it is not JSON.
        :raises OSError: there is no answer.
        :raises HTTPException: the answer is not HTTP.
        """
        connected = socket.create_connection((self.host, self.port), timeout)
        try:
            if self.proxy_protocol:
                connected.sendall(b"PROXY UNKNOWN\r\n")
            connection = HTTPConnection(self.host, self.port, timeout=timeout)
            connection.sock = self._secured(connected) if self.tls else connected
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read(_ANSWER_LIMIT)
        finally:
            connected.close()
        try:
            return answer.status, json.loads(body)
        except ValueError:
            return answer.status, None

    def _secured(self, connected: socket.socket) -> ssl.SSLSocket:
        context = ssl.create_default_context()
        if _is_here(self.host):
            # The certificate is for the public name; on this machine there is nothing to verify.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(connected, server_hostname=None if _is_here(self.host) else self.host)


def daemon_address(path: Path, environ: Mapping[str, str]) -> DaemonAddress:
    """
    Find out where the daemon listens. Other errors in the configuration do not matter: the daemon keeps the previous
    one then.

    :param path: of the configuration; without it, the environment alone counts.
    :raises ValueError: the file is not TOML.
    :raises TypeError: the port is not a number.
    :raises OSError: the file cannot be read.
    """
    try:
        state = ParseState(tomllib.loads(read_once(path, _CONFIG_LIMIT).decode("utf-8-sig")))
    except FileNotFoundError:
        state = ParseState({})
    apply_environment(state, environ)

    def get(*keys: str) -> Any:
        return state.get(("server", *keys))

    listen, port, proxies = get("listen_addr") or "", get("port") or 8080, get("trusted_proxies") or []
    if not isinstance(port, int):
        raise TypeError("server.port is not a number")
    return _reached(listen, port, bool(get("tls", "enabled")), bool(get("proxy_protocol")), proxies)


def configured_address(server: Server) -> DaemonAddress:
    """
    Where the daemon listens, as a valid configuration has it.
    """
    return _reached(server.listen_addr, server.port, server.tls.enabled, server.proxy_protocol, server.trusted_proxies)


def _reached(listen: str, port: int, tls: bool, proxy_protocol: bool, proxies: Iterable[object]) -> DaemonAddress:
    host = _EVERYWHERE.get(listen, listen)
    begins = proxy_protocol and _is_here(host) and any(_within(host, each) for each in proxies)
    return DaemonAddress(host, port, tls, begins)


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


def _parsed_url(url: str) -> DaemonAddress:
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError
        tls = parts.scheme == "https"
        return DaemonAddress(parts.hostname, parts.port or (443 if tls else 80), tls)
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
    help=SEARCH_ORDER,
)
@click.option("--url", metavar="URL", help="Where the daemon listens; taken from the configuration by default.")
@click.option("--live", "path", flag_value="/livez", help="Check only what a restart fixes.")
@click.option(
    "--ready", "path", flag_value="/readyz", help="Check everything, subscriptions and certificates included."
)
@click.option("--timeout", default=4.0, show_default=True, help="Seconds to wait for an answer.")
@click.option("--json", "as_json", is_flag=True, help="Print the full answer as JSON.")
@click.option("--verbose", "-v", is_flag=True, help="Print the address of the daemon.")
def health(  # noqa: PLR0917 - click names them
    config: str | None, url: str | None, path: str | None, timeout: float, as_json: bool, verbose: bool
) -> None:
    """
    Ask the daemon on this machine for its health. Status 0 if it is healthy, 1 if it is not or does not answer.

    Without --live or --ready: whether it accepts events from Twitch and sends notifications.
    """
    try:
        found = _parsed_url(url) if url else daemon_address(_chosen(config), os.environ)
    except (TypeError, ValueError, OSError) as error:
        _fail(f"cannot find the daemon's address in the configuration: {cause(error)}; pass --url", as_json)
    if verbose:
        click.echo(f"asking {found.url}{path or '/health'}", err=True)
    try:
        status, answer = found.ask(path or "/health", timeout)
    except TimeoutError:
        _fail(f"no answer from {found.url} within {duration(timeout)}", as_json)
    except (OSError, HTTPException) as error:
        _fail(f"the daemon does not answer at {found.url}: {cause(error)}", as_json)
    if not isinstance(answer, dict) or "status" not in answer:
        _fail(f"another program answers at {found.url}, with status {status}", as_json)
    if as_json:
        click.echo(visible_json(json.dumps(answer, indent=2, ensure_ascii=False)))
        sys.exit(0 if status == 200 else 1)
    click.echo(visible(str(answer["status"])))
    reasons = answer.get("reasons")
    for reason in filter(lambda each: isinstance(each, dict), reasons if isinstance(reasons, list) else ()):
        click.echo(visible(f"{reason.get('check')}: {reason.get('reason')}"))
    counts = answer.get("deliveries")
    if isinstance(counts, dict) and counts.get("undelivered"):
        undelivered = visible(str(counts["undelivered"]))
        click.echo(f"undelivered: {undelivered}; itsjustintv deliveries list --state undelivered shows why")
    sys.exit(0 if status == 200 else 1)


def _fail(problem: str, as_json: bool) -> NoReturn:
    """
    Exit without an answer. In JSON the reason is where an unhealthy daemon puts its own.
    """
    if as_json:
        unknown = {"status": "unknown", "reasons": [{"check": "daemon", "reason": problem}]}
        click.echo(visible_json(json.dumps(unknown, indent=2, ensure_ascii=False)))
    raise click.ClickException(problem)


def _chosen(config: str | None) -> Path:
    """
    Find the configuration as :func:`itsjustintv.cli.console.config_path` does, without its imports.
    """
    place = find_config(config or click.get_current_context().find_root().params.get("config"), os.environ)
    if place.note:
        click.echo(visible(place.note), err=True)
    return place.path
