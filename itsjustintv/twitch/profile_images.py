"""
Profile images, cached on disk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from attrs import define, field
from twisted.application.service import MultiService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from itsjustintv import __version__
from itsjustintv.config.sections import Cache
from itsjustintv.errors import TwitchError, TwitchRejected, TwitchUnavailable
from itsjustintv.model import Picture
from itsjustintv.support.egress import EgressPolicy, EgressRefused
from itsjustintv.support.file_thread_pool import InThread
from itsjustintv.support.files import replace
from itsjustintv.support.http_client import BodyTooLong, bounded, read_body, unavailable
from itsjustintv.support.http_url import HttpUrl
from itsjustintv.support.periodic_service import PeriodicService
from itsjustintv.support.regular_files import read
from itsjustintv.support.waiters import SingleFlight
from itsjustintv.twitch.api.oauth import TwitchSettings

__all__ = ["ProfileImages", "picture_egress"]

_LIMIT = 2 * 1024 * 1024
_TIMEOUT = 10.0
_DAY = 86400.0

_ID = re.compile(r"[0-9]{1,20}")

# Files that we or the original program wrote, or left unfinished. Nothing else in the directory is touched.
_OURS = re.compile(r"[0-9]{1,20}(-[0-9a-f]{16}|\.jpg)|\.[0-9]{1,20}-[0-9a-f]{16}\..*\.tmp")


@define(eq=False)
class ProfileImages(MultiService):
    """
    Fetches each picture once and caches it.

    A picture is the file ``<user id>-<beginning of the SHA-256 of its address>``; its modification time is when it was
    fetched. Twitch gives a new picture a new address, so it is never mistaken for the old one.

    :ivar agent: must neither follow redirects nor decompress, since the size is limited as received.
    :ivar settings: pictures may also come from the origin of ``api_url``, even without TLS.
    :ivar cache: the current ``[cache]``: the directory, and for how long.
    :ivar in_thread: reads and writes the files.
    """

    _agent: IAgent
    _settings: TwitchSettings
    _cache: Callable[[], Cache]
    _clock: IReactorTime
    _in_thread: InThread
    _fetching: SingleFlight[Picture] = field(factory=SingleFlight, init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        super().__init__()
        PeriodicService(self._clock, _DAY, "delete old profile images", self._purge).setServiceParent(self)

    async def get(self, user_id: str, url: str) -> Picture:
        """
        Find the picture of a user, on disk or at its address. Callers of one picture share one fetch, which goes on
        when they stop waiting.

        :raises TwitchUnavailable: worth another try.
        :raises TwitchRejected: there is no picture of an allowed kind and size at an allowed address.
        """
        if not _ID.fullmatch(user_id):
            raise TwitchRejected("the profile image: the user's id is not a number", HTTPStatus.NOT_FOUND)
        if not _allowed(url, self._settings().api_url):
            raise TwitchRejected("the profile image: its address is neither https nor api_url's", HTTPStatus.FORBIDDEN)
        path = Path(self._cache().image_dir) / f"{user_id}-{sha256(url.encode()).hexdigest()[:16]}"
        return await self._fetching.join(path.name, lambda: self._find(path, url))

    async def _find(self, path: Path, url: str) -> Picture:
        data = await self._in_thread(_read, path, self._clock.seconds() - self._cache().image_ttl)
        if data is None:
            data = await self._fetch(url)
            await self._store(path, data)
        return Picture(url=url, mime_type=_mime_type(data), data=data)

    async def _fetch(self, url: str) -> bytes:
        data = await bounded(self._download(url), self._clock, _TIMEOUT, TwitchError, unavailable("the profile image"))
        if not _mime_type(data):
            raise TwitchRejected("the profile image: it is no image of a known kind", HTTPStatus.OK)
        return data

    async def _download(self, url: str) -> bytes:
        headers = Headers({"User-Agent": [f"itsjustintv/{__version__}"], "Accept": ["image/*"]})
        try:
            response = await self._agent.request(b"GET", url.encode("ascii"), headers, None)
        except EgressRefused as error:
            refused = " and ".join(error.addresses)
            message = f"the profile image: its host resolves to {refused}, which is refused (egress)"
            raise TwitchRejected(message, HTTPStatus.FORBIDDEN) from None
        reading = read_body(response, _LIMIT)
        if response.code == HTTPStatus.OK:
            try:
                return await reading
            except BodyTooLong:
                raise TwitchRejected("the profile image: it is larger than 2 MiB", response.code) from None
        reading.addErrback(lambda _: None).cancel()
        message = f"the profile image: the server answered {response.code}"
        if response.code >= 500 or response.code == HTTPStatus.TOO_MANY_REQUESTS:
            raise TwitchUnavailable(message)
        raise TwitchRejected(message, response.code)

    async def _store(self, path: Path, data: bytes) -> None:
        try:
            await self._in_thread(replace, path, data, self._clock.seconds())
        except OSError as error:
            self.log.warn(
                "cannot store a profile image in {path}: {reason}; it will be fetched again next time",
                path=str(Path(self._cache().image_dir)),
                reason=error.strerror or str(error),
            )

    async def _purge(self) -> None:
        cache = self._cache()
        try:
            await self._in_thread(_purge, Path(cache.image_dir), self._clock.seconds() - cache.image_ttl)
        except OSError as error:
            self.log.warn(
                "cannot delete old profile images in {path}: {reason}; retrying in 24 h",
                path=str(Path(self._cache().image_dir)),
                reason=error.strerror or str(error),
            )


def picture_egress(origin: tuple[str, str, int], api_url: str, allow: Sequence[str]) -> EgressPolicy:
    """
    Make the policy for the address of a picture: it comes from content, and must be public. That of ``api_url`` is the
    operator's own.

    :param origin: scheme, host and port.
    :param allow: as ``egress.allow``.
    """
    try:
        api = HttpUrl.parse(api_url)
    except ValueError:
        return EgressPolicy.of(allow, public_only=True)
    return EgressPolicy.of(allow, public_only=origin != (api.scheme, api.host, api.port))


def _allowed(url: str, api_url: str) -> bool:
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts, api = urlsplit(url), urlsplit(api_url)
        own = (parts.scheme, parts.hostname, parts.port) == (api.scheme, api.hostname, api.port)
    except ValueError:
        return False
    return bool(parts.hostname) and "@" not in parts.netloc and (parts.scheme == "https" or own)


def _mime_type(data: bytes) -> str:
    """
    The MIME type of an image by its first bytes, whatever its headers say; empty when it is none.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return ""


def _read(path: Path, not_before: float) -> bytes | None:
    """
    Read a picture that was fetched at ``not_before`` or later; ``None`` when it is older or unreadable.
    """
    try:
        if path.stat().st_mtime < not_before:
            return None
        data = read(path, _LIMIT)
    except OSError:
        return None
    return data if _mime_type(data) else None


def _purge(directory: Path, not_before: float) -> None:
    for path in directory.iterdir() if directory.is_dir() else ():
        with suppress(FileNotFoundError):
            if _OURS.fullmatch(path.name) and path.lstat().st_mtime < not_before:
                path.unlink()
