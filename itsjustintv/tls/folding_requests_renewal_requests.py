"""
Asking whoever orders the certificates in a folder for one now, by files in it.

::

    cert_dir/renew/            0700
      request.json             what is asked for; whoever orders takes it away
      answer-ID.json           what came of it; whoever asked takes it away

Everything here blocks: it is to be called in a thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cattrs
import orjson
from attrs import asdict, frozen

from itsjustintv.support.files import replace
from itsjustintv.support.folding_folders_files import make_private
from itsjustintv.support.regular_files import Unsuitable, read

__all__ = ["Request", "RequestFiles", "Result"]

_ID = re.compile("[0-9a-f]{16}")

# Nobody asks for more names than fit in this, in bytes.
_LONGEST = 65536

# Seconds after which nobody waits for a request to be taken, or comes for an answer.
_WAITED = 120.0
_KEPT = 3600.0


@frozen(kw_only=True)
class Request:
    """
    Somebody wants certificates now.

    :ivar id: 16 hexadecimal digits of their choice.
    :ivar asked_at: in seconds since the epoch.
    :ivar names: as ``server.tls.domains`` has them.
    :ivar trial: whether it is only to be seen whether it would work.
    """

    id: str
    asked_at: float
    names: tuple[str, ...]
    trial: bool = False


@frozen(kw_only=True)
class Result:
    """
    What came of it for one name. Moments are RFC 3339.

    :ivar problem: why there is none, and what to do; empty when there is one.
    """

    name: str
    expires: str = ""
    issuer: str = ""
    problem: str = ""


@frozen
class RequestFiles:
    """
    The files below ``cert_dir``.
    """

    _root: Path

    @property
    def request(self) -> Path:
        """
        Where a request is as long as nobody has taken it.
        """
        return self._root / "renew" / "request.json"

    def ask(self, request: Request) -> None:
        """
        Leave a request.

        :raises FileExistsError: somebody else's has not been taken yet.
        :raises OSError: it cannot be written.
        """
        make_private(self.request.parent)
        self._remove(self.request, request.asked_at - _WAITED)
        draft = self.request.with_name(f".request-{request.id}.tmp")
        replace(draft, orjson.dumps(asdict(request)))
        try:
            # Unlike a rename, a link never takes the place of what is there; but a link whose other name is gone looks
            # like a file that is still being written, and closing a file that was open for writing ends that.
            os.link(draft, self.request)
            with suppress(FileNotFoundError):  # it is taken already
                os.close(os.open(self.request, os.O_WRONLY))
        finally:
            draft.unlink(missing_ok=True)

    def withdraw(self) -> bool:
        """
        Take a request back.

        :return: whether nobody had taken it.
        """
        try:
            self.request.unlink()
        except FileNotFoundError:
            return False
        return True

    def take(self, now: float) -> Request | None:
        """
        Take the request, if there is one that somebody waits for; what is none is removed.

        :param now: in seconds since the epoch.
        :raises ValueError: it is none.
        :raises OSError: it cannot be read or removed.
        """
        self._remove(self.request, now - _WAITED)
        text = self._taken(self.request)
        if text is None:
            return None
        request: Request = _structure(text, Request)
        if not _ID.fullmatch(request.id):
            raise ValueError("its id is none")
        return request

    def answer(self, request: Request, results: Sequence[Result], now: float) -> None:
        """
        Say what came of it, and remove the answers that nobody came for.

        :param now: in seconds since the epoch.
        :raises OSError: it cannot be written.
        """
        for left in self.request.parent.glob("answer-*.json"):
            self._remove(left, now - _KEPT)
        replace(self._answer(request), orjson.dumps([asdict(each) for each in results]))

    def answered(self, request: Request) -> Sequence[Result] | None:
        """
        Take the answer; ``None`` while there is none.

        :raises ValueError: it cannot be read.
        """
        text = self._taken(self._answer(request))
        if text is None:
            return None
        results: tuple[Result, ...] = _structure(text, tuple[Result, ...])
        return results

    @staticmethod
    def _taken(path: Path) -> bytes | None:
        """
        Read a file and remove it, also when it is too large or no regular file.
        """
        try:
            text = read(path, _LONGEST)
        except FileNotFoundError:
            return None
        except Unsuitable as error:
            path.unlink(missing_ok=True)
            raise ValueError(str(error)) from None
        path.unlink(missing_ok=True)
        return text

    @staticmethod
    def _remove(path: Path, before: float) -> None:
        """
        Remove a file that is older than a moment.
        """
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime < before:
                path.unlink()

    def _answer(self, request: Request) -> Path:
        return self.request.with_name(f"answer-{request.id}.json")


def _structure(text: bytes, kind: Any) -> Any:
    try:
        return _CONVERTER.structure(orjson.loads(text), kind)
    except Exception as error:
        raise ValueError("it is not what itsjustintv writes") from error


_CONVERTER = cattrs.Converter(detailed_validation=False)
