"""
The secrets of the configuration: where they are, the files that hold them, and what must not be logged.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import unquote

import attrs

from itsjustintv.config.destination_tables import destination_tables, file_of, secret_names, settings_class
from itsjustintv.config.keys import Keys, dotted
from itsjustintv.config.lint import path_mistakes
from itsjustintv.config.parse_state import ConfigProblem, ParseState
from itsjustintv.config.sections import Config
from itsjustintv.errors import Problem
from itsjustintv.support.http_url import after_host
from itsjustintv.support.regular_files import UnsuitableFile, is_descriptor, read_once

__all__ = [
    "SECRETS",
    "counterpart",
    "destination_counterpart",
    "destination_secrets",
    "named_files",
    "read_secret_files",
    "readable_by_others",
    "secret_files",
    "secrets",
    "telemetry_secrets",
]

_LONGEST = 65536

_URL = re.compile("https?://", re.IGNORECASE)
_PARTS = re.compile("[/?&=#]")

#: What may be a secret in place of the name of its file, which must not be quoted; but for names with a suffix.
_MAYBE_SECRET = re.compile("[^/]{14,}")
_SUFFIX = re.compile(r"\.[A-Za-z]{1,6}$")

#: The secrets outside ``streamers``.
SECRETS: tuple[Keys, ...] = (
    ("server", "tls", "eab_hmac"),
    ("twitch", "client_secret"),
    ("twitch", "webhook_secret"),
    ("global_webhook", "target_webhook_secret"),
    ("admin", "token"),
)
_OTHERS = {secret: _file for secret in SECRETS for _file in [(*secret[:-1], f"{secret[-1]}_file")]}
_OTHERS |= {file: secret for secret, file in _OTHERS.items()}


def counterpart(keys: Keys) -> Keys | None:
    """
    The key of the file for the key of a secret, and the reverse; ``None`` for other keys.
    """
    return _OTHERS.get(keys)


def destination_counterpart(state: ParseState, keys: Keys) -> Keys | None:
    """
    The same for the keys of destinations in the file.
    """
    for table in destination_tables(state):
        if table.keys == keys[:-1]:
            for name in secret_names(settings_class(table.kind)):
                if keys[-1] in (name, file_of(name)):
                    return (*table.keys, file_of(name) if keys[-1] == name else name)
    return None


def _secret_keys(state: ParseState) -> Iterator[Keys]:
    """
    List the keys of all secrets that the file can hold.
    """
    yield from SECRETS
    streamers = state.get(("streamers",))
    yield from (
        ("streamers", name, "target_webhook_secret") for name in (streamers if isinstance(streamers, dict) else ())
    )
    for table in destination_tables(state):
        if not table.is_override:
            yield from ((*table.keys, name) for name in secret_names(settings_class(table.kind)))


def secret_files(config: Config) -> Iterable[str]:
    """
    List the files from which the secrets were read.
    """
    return named_files(config).values()


def named_files(config: Config) -> Mapping[str, str]:
    """
    List the files from which the secrets were read, by key.
    """
    found: dict[str, str] = {}
    for *above, last in SECRETS:
        if name := getattr(attrgetter(".".join(above))(config), file_of(last)):
            found[dotted((*above, file_of(last)))] = name
    for key, streamer in config.streamers.items():
        if name := streamer.target_webhook_secret_file:
            found[dotted(("streamers", key, "target_webhook_secret_file"))] = name
    for key, entry in config.destinations.items():
        found |= {dotted(("destinations", key, last)): name for last, name in entry.files.items()}
    return found


def read_secret_files(state: ParseState, base: Path, read_file: Callable[[Path, int], bytes] = read_once) -> None:
    """
    Read the secret files, without the one newline that editors add at the end.

    :param base: the base of relative paths.
    :param read_file: reads a file, up to a number of bytes.
    """
    for keys in list(_secret_keys(state)):
        file_keys = (*keys[:-1], file_of(keys[-1]))
        name = state.get(file_keys)
        if not isinstance(name, str) or not name:
            continue
        if state.get(keys) not in (None, ""):
            state.findings.append(ConfigProblem(dotted(file_keys), f"must not be given together with {keys[-1]}"))
            continue
        if _URL.match(name):
            # It may be the secret itself, which must not be quoted.
            message = f"must name a file, and is a URL: if that is the secret, move it to {keys[-1]}"
            state.findings.append(ConfigProblem(dotted(file_keys), message))
            continue
        try:
            secret = _read(base, name, read_file)
        except FileNotFoundError as error:
            odd = next(path_mistakes(name), "")
            message = f"cannot read {str(base / name)!r}: {error.strerror}{odd and f'; its name {odd}'}"
            if _MAYBE_SECRET.fullmatch(name) and not _SUFFIX.search(name):
                place = str(base.absolute())
                message = f"names no file in {place!r}: if it is the secret itself, move it to {keys[-1]}"
            state.findings.append(ConfigProblem(dotted(file_keys), message))
        except ValueError as error:
            state.findings.append(ConfigProblem(dotted(file_keys), str(error)))
        else:
            state.put(keys, secret, state.place(dotted(file_keys)))
            state.files[dotted(keys)] = str(base / name)


def _read(base: Path, name: str, read_file: Callable[[Path, int], bytes]) -> str:
    """
    :raises ValueError: saying why not.
    :raises FileNotFoundError: if there is none.
    """
    path = base / name
    try:
        content = read_file(path, _LONGEST)
    except UnsuitableFile as error:
        if error.errno == errno.EFBIG:
            raise ValueError(f"{str(path)!r} holds more than {_LONGEST} bytes; a secret is shorter") from None
        raise ValueError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except ValueError:
        raise ValueError("must not hold a NUL character") from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        known = "UTF-16, not UTF-8: save it as UTF-8" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "not UTF-8"
        raise ValueError(f"{str(path)!r} is {known}") from None
    secret = text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n")
    if not secret:
        raise ValueError(f"{str(path)!r} is empty")
    return secret


# Characters of a path below which it is no secret: /webhook, /notify.
_SECRET_LENGTH = 12

# The same of a part of a path, which the API of a service may take in another place.
_SECRET_PART = 20


def secrets(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """
    List everything that must not appear in a log. This includes webhook URLs, and what follows the host in them
    unless it is too short to be a secret.

    :param environ: may hold secrets for telemetry.
    """
    yield from (config.twitch.client_secret, config.twitch.webhook_secret, config.server.tls.eab_hmac)
    yield config.admin.token
    yield from telemetry_secrets(config, environ)
    yield from _target(config.global_webhook.url, config.global_webhook.target_webhook_secret)
    for streamer in config.streamers.values():
        yield from _target(streamer.target_webhook_url, streamer.target_webhook_secret)
    for entry in config.destinations.values():
        yield from destination_secrets(entry.settings)


def destination_secrets(settings: Any) -> Iterator[str]:
    """
    List the secrets in the settings of a destination: texts that are not shown, and the values of headers that are not
    shown; of a URL its parts as well, since a service may be called by another URL with the same parts.
    """
    for attribute in attrs.fields(settings.__class__):
        value = getattr(settings, attribute.name) if attribute.repr is False else ""
        if isinstance(value, tuple):
            yield from (part for each in value for part in (each, each.partition(":")[2].strip()))
        elif isinstance(value, str) and _URL.match(value):
            yield from _target(value, "")
            yield from (part for part in _PARTS.split(after_host(value)) if len(part) >= _SECRET_PART)
        elif isinstance(value, str):
            yield value


def telemetry_secrets(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """
    List the secrets that are sent to telemetry collectors.
    """
    endpoints = [config.telemetry.endpoint]
    for name, value in environ.items():
        if name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("HEADERS"):
            values = [pair.partition("=")[2].strip() for pair in value.split(",")]
            # The values are percent-encoded, and sent decoded.
            yield from (*values, *map(unquote, values))
        elif name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("ENDPOINT"):
            endpoints.append(value.strip())
    for url in endpoints:
        place, _, query = url.partition("?")
        yield query
        # The host is in the log, a password before it is not.
        yield place.partition("://")[2].partition("/")[0].rpartition("@")[0].partition(":")[2]


def _target(url: str, secret: str) -> Iterator[str]:
    yield from (url, secret)
    path = after_host(url)
    yield from (part for part in (path, *path.split("?", 1)) if len(part) >= _SECRET_LENGTH)


def readable_by_others(path: Path, config: Config) -> Iterator[Problem]:
    """
    Find files with secrets that other users can read. The group may, since that gives the daemon's user access.

    :param path: of the configuration, which holds secrets, at least in webhook URLs.
    """
    files = {"the configuration": path}
    files |= {key: Path(name) for key, name in named_files(config).items()}
    tls = config.server.tls
    if tls.enabled and tls.mode == "files":
        files["server.tls.key_file"] = Path(tls.key_file)
    for key, file in files.items():
        if is_descriptor(file):
            # chmod cannot change it.
            continue
        try:
            status = file.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IRWXO:
            what = "read" if status.st_mode & stat.S_IROTH else "changed"
            # The group must keep its right to read the file, if another user owns it.
            mode = "600" if status.st_uid == os.geteuid() else "o="
            yield Problem(f"{key} {file}", f"can be {what} by other users: chmod {mode} {quote(str(file))}")
