"""
Secrets kept in files of their own: what ``client_secret_file`` names is what ``client_secret`` will be.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

from itsjustintv.config.draft import Draft, Finding
from itsjustintv.config.leaves import Keys, dotted
from itsjustintv.config.sections import Config
from itsjustintv.support.regular_files import Unsuitable, read_once

__all__ = ["counterpart", "fill", "secret_files"]

_LONGEST = 65536
_FIXED: tuple[Keys, ...] = (
    ("server", "tls", "eab_hmac"),
    ("twitch", "client_secret"),
    ("twitch", "webhook_secret"),
    ("global_webhook", "target_webhook_secret"),
    ("admin", "token"),
)
_OTHERS = {secret: _file for secret in _FIXED for _file in [(*secret[:-1], f"{secret[-1]}_file")]}
_OTHERS |= {file: secret for secret, file in _OTHERS.items()}


def counterpart(keys: Keys) -> Keys | None:
    """
    The other way to give the same secret: the file for the secret, the secret for the file. ``None`` when there is
    none.
    """
    return _OTHERS.get(keys)


def secret_files(config: Config) -> Iterator[str]:
    """
    Name the files from which the secrets of a configuration were read.
    """
    twitch, webhook = config.twitch, config.global_webhook
    fixed = (
        config.server.tls.eab_hmac_file,
        twitch.client_secret_file,
        twitch.webhook_secret_file,
        webhook.target_webhook_secret_file,
        config.admin.token_file,
    )
    yield from filter(None, (*fixed, *(entry.target_webhook_secret_file for entry in config.streamers.values())))


def fill(draft: Draft, base: Path, opening: Callable[[Path, int], bytes] = read_once) -> None:
    """
    Read the files and put what they hold where the secrets belong, without one newline at the end.

    :param base: where relative paths start.
    :param opening: reads a file, up to a number of bytes.
    """
    streamers = draft.get(("streamers",))
    names = list(streamers) if isinstance(streamers, dict) else []
    for keys in (*_FIXED, *(("streamers", name, "target_webhook_secret") for name in names)):
        file_keys = (*keys[:-1], f"{keys[-1]}_file")
        name = draft.get(file_keys)
        if not isinstance(name, str) or not name:
            continue
        if draft.get(keys) not in (None, ""):
            draft.findings.append(Finding(dotted(file_keys), f"must not be given together with {keys[-1]}"))
            continue
        try:
            secret = _read(base / name, opening)
        except ValueError as error:
            draft.findings.append(Finding(dotted(file_keys), str(error)))
        else:
            draft.put(keys, secret, draft.sources.get(dotted(file_keys), dotted(file_keys)))


def _read(path: Path, opening: Callable[[Path, int], bytes]) -> str:
    """
    :raises ValueError: saying why not.
    """
    try:
        content = opening(path, _LONGEST)
    except Unsuitable as error:
        if error.errno == errno.EFBIG:
            raise ValueError(f"{str(path)!r} holds more than {_LONGEST} bytes; a secret is shorter") from None
        raise ValueError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except OSError as error:
        raise ValueError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except ValueError:
        raise ValueError("must not hold a NUL character") from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{str(path)!r} is not UTF-8") from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise ValueError(f"{str(path)!r} is empty")
    return secret
