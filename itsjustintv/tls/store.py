"""
Certificates on disk, in the form of txacme: ``NAME.pem`` holds the key, the leaf and the chain.

::

    cert_dir/                    0700
      lock                       flock, held for the life of the process that orders
      acme/AUTHORITY/            account.key, account.json
      certs/AUTHORITY/           NAME.pem, NAME.json

There is one folder for each authority: what staging signed must never pass for a certificate of production.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import attr
import orjson
import pem
from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.filepath import FilePath
from txacme.interfaces import ICertificateStore
from txacme.store import DirectoryStore
from zope.interface import implementer

from itsjustintv.errors import CertificateUnusable
from itsjustintv.support.file_thread_pool import InThread
from itsjustintv.support.files import replace
from itsjustintv.support.regular_files import read
from itsjustintv.tls import key_folder
from itsjustintv.tls.acme.jose import PrivateKey
from itsjustintv.tls.certificate import KEY_TYPES, Bundle, format_key, parse_key
from itsjustintv.tls.renewal_policy import Record

__all__ = ["Account", "AccountFiles", "CertificateStore", "authority_key"]


# Bytes of a file that was written here.
_MAX_SIZE = 1024 * 1024


def authority_key(directory_url: str) -> str:
    """
    The name of an authority's folder: its host and path, made safe for a file system.
    """
    url = urlsplit(directory_url)
    return re.sub("[^A-Za-z0-9.-]+", "_", f"{url.netloc}{url.path}".strip("/")).lstrip(".") or "_"


@implementer(ICertificateStore)
@attr.s(eq=False)
class CertificateStore(DirectoryStore):  # type: ignore[misc]  # txacme has no types
    """
    The certificates of one authority on disk.

    :ivar in_thread: runs a function that blocks.
    """

    _in_thread: InThread = attr.ib(kw_only=True)
    _listeners: list[Callable[[str, Bundle], None]] = attr.ib(factory=list, init=False)
    _names: tuple[str, ...] = attr.ib(default=(), kw_only=True)

    log = Logger()

    @classmethod
    def of(cls, root: Path, directory_url: str, names: Sequence[str], in_thread: InThread) -> CertificateStore:
        """
        Make the store of an authority below ``cert_dir``. Touches no file.

        :param names: the configured names; other files are ignored.
        """
        path = FilePath(str(root / "certs" / authority_key(directory_url)))
        store: CertificateStore = cls(path, in_thread=in_thread, names=tuple(names))  # type: ignore[misc, arg-type]
        return store

    def subscribe(self, listener: Callable[[str, Bundle], None]) -> None:
        """
        Call a listener with every certificate that is stored from now on, once it is on disk.
        """
        self._listeners.append(listener)

    # txacme's interface

    def get(self, server_name: str) -> Deferred[Sequence[pem.AbstractPEMObject]]:
        """
        The PEM objects of a name.

        :raises KeyError: there are none.
        """
        return self._in_thread(self._get, server_name)

    def store(self, server_name: str, pem_objects: Sequence[pem.AbstractPEMObject]) -> Deferred[None]:
        """
        Store a certificate. Fires when it is on stable storage.

        :raises CertificateUnusable: it is not a key with its certificate; nothing is changed.
        :raises OSError: it could not be written; the old one is still there.
        """
        return Deferred.fromCoroutine(self._store(server_name, b"".join(each.as_bytes() for each in pem_objects)))

    def as_dict(self) -> Deferred[Mapping[str, Sequence[pem.AbstractPEMObject]]]:
        """
        The PEM objects of every configured name; an empty list for a name without a certificate.
        """
        return self._in_thread(self._as_dict)

    async def _store(self, name: str, text: bytes) -> None:
        bundle = Bundle.parse(text)
        await self._in_thread(replace, self._file(name, "pem"), text)
        for listener in self._listeners:
            listener(name, bundle)

    def _as_dict(self) -> Mapping[str, Sequence[pem.AbstractPEMObject]]:
        found = {}
        for name in self._names:
            try:
                found[name] = self._get(name)
            except KeyError:
                found[name] = []
        return found

    # Ours

    async def read_unchanged(self, name: str) -> Bundle | None:
        """
        Read the certificate of a name and leave the file as it is; ``None`` if there is none.

        :raises CertificateUnusable: it is invalid.
        :raises OSError: it cannot be read.
        """
        text = await self._in_thread(_read, self._file(name, "pem"))
        return None if text is None else Bundle.parse(text)

    async def load(self, name: str) -> Bundle | None:
        """
        Read the certificate of a name; ``None`` if there is none. An invalid file is renamed, so that a new one is
        ordered.
        """
        path = self._file(name, "pem")
        try:
            return await self.read_unchanged(name)
        except OSError as error:
            self.log.error(  # noqa: TRY400 - the reason is in the line
                "cannot read certificate {path}: {reason}", path=str(path), reason=_reason(error)
            )
            return None
        except CertificateUnusable as error:
            self.log.warn(
                "invalid certificate {path}: {reason}; moved to {aside}, ordering a new one",
                path=str(path),
                reason=str(error),
                aside=f"{path.name}.bad",
            )
        try:
            await self._in_thread(key_folder.set_aside, path)
        except OSError as error:
            self.log.warn("cannot rename {path}: {reason}", path=str(path), reason=_reason(error))
        return None

    async def stamp(self, name: str) -> tuple[int, int, int] | None:
        """
        Identify the file of a name: another stamp means that it was replaced.
        """
        stamp: tuple[int, int, int] | None = await self._in_thread(_stamp, self._file(name, "pem"))
        return stamp

    async def record(self, name: str) -> Record:
        """
        Read the renewal record of a name. An invalid one counts as empty.
        """
        path = self._file(name, "json")
        try:
            text = await self._in_thread(_read, path)
            return Record() if text is None else Record.load(text)
        except (OSError, ValueError) as error:
            self.log.warn(
                "cannot use renewal record {path}: {reason}; starting with an empty one",
                path=str(path),
                reason=_reason(error),
            )
            return Record()

    async def remember(self, name: str, record: Record) -> None:
        """
        Store the renewal record of a name.

        :raises OSError: it could not be written.
        """
        await self._in_thread(replace, self._file(name, "json"), record.dump())

    async def sweep(self) -> None:
        """
        Remove temporary files that a crash has left.
        """
        await self._in_thread(key_folder.sweep, Path(self.path.path))

    def _file(self, name: str, ending: str) -> Path:
        # child() refuses names outside the folder.
        return Path(self.path.child(f"{name}.{ending}").path)


@frozen(kw_only=True)
class Account:
    """
    An account with an authority.

    :ivar url: empty until the authority has given one.
    """

    key: PrivateKey
    url: str = ""


@frozen
class AccountFiles:
    """
    The account of one authority on disk.
    """

    _folder: Path
    _directory_url: str
    _in_thread: InThread

    @classmethod
    def of(cls, root: Path, directory_url: str, in_thread: InThread) -> AccountFiles:
        """
        Find the account's folder below ``cert_dir``. Touches no file.
        """
        return cls(root / "acme" / authority_key(directory_url), directory_url, in_thread)

    async def load(self) -> Account:
        """
        Read the account, or make its key. The key is stored before it is used, so that a crash cannot lose an account.

        :raises CertificateUnusable: the key is invalid; only the operator may decide to do without the account.
        :raises OSError: it could not be read or written.
        """
        account: Account = await self._in_thread(self._load)
        return account

    async def store_account(self, account: Account, terms: str, now: float) -> None:
        """
        Store the URL that the authority gave.

        :raises OSError: it could not be written.
        """
        content = {"url": account.url, "directory": self._directory_url, "terms": terms, "created": now}
        text = orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        await self._in_thread(replace, self._folder / "account.json", text)

    def _load(self) -> Account:
        path = self._folder / "account.key"
        text = _read(path)
        if text is None:
            key = KEY_TYPES["p256"]()
            replace(path, format_key(key))
            return Account(key=key)
        try:
            key = parse_key(text)
        except CertificateUnusable as error:
            raise CertificateUnusable(
                f"invalid account key {path}: {error}; restore it from a backup, or remove it to register a new account"
            ) from None
        try:
            about = orjson.loads(_read(self._folder / "account.json") or b"{}")
            url = about.get("url", "")
        except (orjson.JSONDecodeError, AttributeError):
            url = ""
        return Account(key=key, url=url if isinstance(url, str) else "")


def _read(path: Path) -> bytes | None:
    try:
        return read(path, _MAX_SIZE)
    except FileNotFoundError:
        return None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return (about.st_ino, about.st_mtime_ns, about.st_size)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
