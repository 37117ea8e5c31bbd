"""
Whether others on this machine can read what is secret: the configuration, the files that it reads secrets from, and the
key of a certificate.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from itsjustintv.config.secrets import named_files
from itsjustintv.config.sections import Config
from itsjustintv.errors import Problem
from itsjustintv.support.regular_files import is_descriptor

__all__ = ["exposed"]


def exposed(path: Path, config: Config) -> Iterator[Problem]:
    """
    Look at the permissions. Their group may read the files: that is how a daemon with a user of its own gets to them.

    :param path: of the configuration; there are secrets in it, and be it in the addresses of webhooks.
    """
    files = {"the configuration": path}
    files |= {key: Path(name) for key, name in named_files(config).items()}
    tls = config.server.tls
    if tls.enabled and tls.mode == "files":
        files["server.tls.key_file"] = Path(tls.key_file)
    for key, file in files.items():
        if is_descriptor(file):
            # Not a name that chmod could be told.
            continue
        try:
            status = file.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IRWXO:
            what = "read" if status.st_mode & stat.S_IROTH else "changed"
            # Who looks may not be who reads it: a group that may read a file must not lose that.
            mode = "600" if status.st_uid == os.geteuid() else "o="
            yield Problem(f"{key} {file}", f"can be {what} by others: chmod {mode} {quote(str(file))}")
