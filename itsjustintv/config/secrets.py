"""
Secrets kept in files of their own: what ``client_secret_file`` names is what ``client_secret`` will be.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path

from itsjustintv.config.accidents import in_path
from itsjustintv.config.folding_draft_parse import Draft, Finding
from itsjustintv.config.folding_leaves_parse import Keys, dotted
from itsjustintv.config.sections import Config
from itsjustintv.support.regular_files import Unsuitable, read_once

__all__ = ["SECRETS", "counterpart", "fill", "named_files", "secret_files", "secret_keys"]

_LONGEST = 65536
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
    The other way to give the same secret: the file for the secret, the secret for the file. ``None`` when there is
    none.
    """
    return _OTHERS.get(keys)


def secret_keys(streamers: Iterable[str]) -> Iterator[Keys]:
    """
    List where secrets are.

    :param streamers: the keys of their tables.
    """
    yield from SECRETS
    yield from (("streamers", name, "target_webhook_secret") for name in streamers)


def secret_files(config: Config) -> Iterable[str]:
    """
    Name the files from which the secrets of a configuration were read.
    """
    return named_files(config).values()


def named_files(config: Config) -> Mapping[str, str]:
    """
    The files from which the secrets of a configuration were read, by the keys that name them.
    """
    found: dict[str, str] = {}
    for *above, last in secret_keys(config.streamers):
        section = config.streamers[above[1]] if above[0] == "streamers" else attrgetter(".".join(above))(config)
        if name := getattr(section, f"{last}_file"):
            found[dotted((*above, f"{last}_file"))] = name
    return found


def fill(draft: Draft, base: Path, opening: Callable[[Path, int], bytes] = read_once) -> None:
    """
    Read the files and put what they hold where the secrets belong, without the one newline at the end that editors add.

    :param base: where relative paths start.
    :param opening: reads a file, up to a number of bytes.
    """
    streamers = draft.get(("streamers",))
    names = list(streamers) if isinstance(streamers, dict) else []
    for keys in secret_keys(names):
        file_keys = (*keys[:-1], f"{keys[-1]}_file")
        name = draft.get(file_keys)
        if not isinstance(name, str) or not name:
            continue
        if draft.get(keys) not in (None, ""):
            draft.findings.append(Finding(dotted(file_keys), f"must not be given together with {keys[-1]}"))
            continue
        try:
            secret = _read(base, name, opening)
        except ValueError as error:
            draft.findings.append(Finding(dotted(file_keys), str(error)))
        else:
            draft.put(keys, secret, draft.place(dotted(file_keys)))
            draft.files[dotted(keys)] = str(base / name)


def _read(base: Path, name: str, opening: Callable[[Path, int], bytes]) -> str:
    """
    :raises ValueError: saying why not.
    """
    path = base / name
    try:
        content = opening(path, _LONGEST)
    except Unsuitable as error:
        if error.errno == errno.EFBIG:
            raise ValueError(f"{str(path)!r} holds more than {_LONGEST} bytes; a secret is shorter") from None
        raise ValueError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except FileNotFoundError as error:
        odd = next(in_path(name), "")
        raise ValueError(f"cannot read {str(path)!r}: {error.strerror}{odd and f'; its name {odd}'}") from None
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
