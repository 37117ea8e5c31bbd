"""
The certificates of all configured names, read from disk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from attrs import define, evolve, field
from twisted.internet.interfaces import IReactorTime

from itsjustintv.support.file_thread_pool import InThread
from itsjustintv.tls.certificate import Bundle
from itsjustintv.tls.key_folder import FolderLock
from itsjustintv.tls.managed import ManagedCertificate
from itsjustintv.tls.store import CertificateStore

__all__ = ["Certificates"]

# Bounds, in seconds after the start, of a random delay before renewal information is fetched.
_SETTLING = (60.0, 600.0)


@define(eq=False)
class Certificates:
    """
    One :class:`~itsjustintv.tls.managed.ManagedCertificate` for each name.

    :ivar lock: held by the process that orders.
    :ivar serve: called with every certificate that is read.
    :ivar retire: called with every name that is removed.
    :ivar random: returns a number from 0 to 1.
    """

    _store: CertificateStore
    _lock: FolderLock
    _serve: Callable[[str, Bundle], None]
    _retire: Callable[[str], None]
    _clock: IReactorTime
    _random: Callable[[], float]
    _in_thread: InThread
    _by_name: dict[str, ManagedCertificate] = field(factory=dict, init=False)

    def __iter__(self) -> Iterator[ManagedCertificate]:
        return iter(tuple(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def get(self, name: str) -> ManagedCertificate | None:
        return self._by_name.get(name)

    @property
    def is_leader(self) -> bool:
        """
        Whether this process is the one that orders.
        """
        return self._lock.is_held

    async def set_names(self, names: Collection[str]) -> None:
        """
        Keep these names and no others. Orders of removed names are cancelled.
        """
        for name in [name for name in self._by_name if name not in names]:
            certificate = self._by_name.pop(name)
            if certificate.task is not None:
                certificate.task.cancel()
            self._retire(name)
        for name in names:
            if name not in self._by_name:
                certificate = ManagedCertificate(name)
                await self._read(certificate)
                first, last = _SETTLING
                asking = self._clock.seconds() + first + self._random() * (last - first)
                certificate.record = evolve(certificate.record, ask_at=max(certificate.record.ask_at, asking))
                self._by_name[name] = certificate

    async def try_lead(self) -> bool:
        """
        Try to become the process that orders. Returns whether it is.
        """
        if self._lock.is_held:
            return True
        if not await self._in_thread(self._lock.acquire):
            return False
        # The previous leader may have stored something since the last check.
        await self.reload_changed()
        await self._store.sweep()
        return True

    async def reload_changed(self) -> None:
        """
        Read and serve what another process has renewed.
        """
        for certificate in self:
            if await self._store.stamp(certificate.name) != certificate.stamp:
                await self._read(certificate)

    def close(self) -> None:
        """
        Release the lock, so that another process can order certificates.
        """
        self._lock.release()

    async def _read(self, certificate: ManagedCertificate) -> None:
        certificate.stamp = await self._store.stamp(certificate.name)
        certificate.bundle = await self._store.load(certificate.name)
        certificate.record = await self._store.record(certificate.name)
        if certificate.bundle is not None:
            self._serve(certificate.name, certificate.bundle)
