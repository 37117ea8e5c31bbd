"""
Certificates and accounts on disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from txacme.interfaces import ICertificateStore
from txacme.store import DirectoryStore

from itsjustintv.errors import CertificatesUnsafe, CertificateUnusable
from itsjustintv.support.files import make_private, replace
from itsjustintv.tls.certificate import KEY_TYPES, Bundle, format_key
from itsjustintv.tls.key_folder import FolderLock, require_private
from itsjustintv.tls.renewal_policy import Record
from itsjustintv.tls.store import Account, AccountFiles, CertificateStore, authority_key
from tests.tls.doubles import NAME, at_once, bundle

PRODUCTION = "https://acme-v02.api.letsencrypt.org/directory"
STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"


class StoreCase(SynchronousTestCase):
    """
    A test with a folder.
    """

    def setUp(self) -> None:
        self.root = Path(self.mktemp())
        self.store = self.open()

    def open(self, url: str = PRODUCTION, *names: str) -> CertificateStore:
        """
        The store of an authority.
        """
        return CertificateStore.of(self.root, url, names or (NAME,), at_once)

    def result(self, work: Any) -> Any:
        """
        What becomes of a coroutine or a Deferred.
        """
        return self.successResultOf(work if isinstance(work, Deferred) else Deferred.fromCoroutine(work))

    def keep(self, found: Bundle, name: str = NAME) -> None:
        """
        Store a certificate.
        """
        self.result(self.store.store(name, found.objects()))

    def file(self, name: str = NAME) -> Path:
        """
        Where a certificate is.
        """
        return self.root / "certs" / authority_key(PRODUCTION) / f"{name}.pem"


class StoreTests(StoreCase):
    """
    Certificates.
    """

    def test_s41_it_is_a_store_of_txacme(self) -> None:
        """
        It provides the interface and is the class.
        """
        # verifyObject would count the self that txacme writes into its interfaces.
        self.assertTrue(ICertificateStore.providedBy(self.store))
        self.assertIsInstance(self.store, DirectoryStore)

    def test_what_is_kept_is_found_again(self) -> None:
        """
        By another process, too: as PEM objects and as a certificate.
        """
        made = bundle()
        self.keep(made)
        objects = self.result(self.open().get(NAME))
        self.assertEqual([each.as_bytes() for each in objects], [each.as_bytes() for each in made.objects()])
        self.assertEqual(self.result(self.open().load(NAME)).leaf, made.leaf)

    def test_a_name_without_a_certificate(self) -> None:
        """
        It is not an error to have none; for txacme, to ask for it is.
        """
        self.assertIsNone(self.result(self.store.load(NAME)))
        self.failureResultOf(self.store.get(NAME), KeyError)

    def test_only_configured_names_are_listed(self) -> None:
        """
        Somebody else's file in the folder is nobody to be renewed.
        """
        self.keep(bundle())
        self.file("DEFAULT").write_bytes(b"what txsni wants")
        found = self.result(self.open(PRODUCTION, NAME, "www.example.test").as_dict())
        self.assertEqual({name: len(objects) for name, objects in found.items()}, {NAME: 3, "www.example.test": 0})

    def test_listeners_hear_of_it_when_it_is_on_the_disk(self) -> None:
        """
        And not of one that is of no use, which is not kept either.
        """
        heard = []
        self.store.subscribe(lambda name, found: heard.append((name, found.serial, self.file().exists())))
        made = bundle()
        self.keep(made)
        self.failureResultOf(self.store.store(NAME, made.objects()[:1]), CertificateUnusable)
        self.assertEqual(heard, [(NAME, made.serial, True)])
        self.assertEqual(self.result(self.store.load(NAME)).serial, made.serial)

    def test_names_do_not_lead_elsewhere(self) -> None:
        """
        A name with a path in it is refused.
        """
        self.failureResultOf(self.store.store("../escape", bundle().objects()))
        self.assertEqual(list(self.root.rglob("escape*")), [])

    def test_s12_files_and_folders_are_private_under_every_umask(self) -> None:
        """
        0600 and 0700, also where a looser file was before.
        """
        for umask in (0o000, 0o022, 0o077):
            self.addCleanup(os.umask, os.umask(umask))
            self.root = Path(self.mktemp())
            self.store = self.open()
            self.keep(bundle())
            self.file().chmod(0o644)
            self.keep(bundle())
            self.result(self.store.remember(NAME, Record()))
            accounts = AccountFiles.of(self.root, PRODUCTION, at_once)
            account = self.result(accounts.load())
            self.result(accounts.store_account(account, "", 0.0))
            lock = FolderLock(self.root / "lock")
            lock.acquire()
            lock.release()
            found = {path: path.stat().st_mode & 0o777 for path in (self.root, *self.root.rglob("*"))}
            self.assertEqual({mode for path, mode in found.items() if path.is_file()}, {0o600})
            self.assertEqual({mode for path, mode in found.items() if path.is_dir()}, {0o700})

    def test_s12_a_key_that_others_can_read_stops_the_start(self) -> None:
        """
        And the error names the command that mends it.
        """
        self.keep(bundle())
        require_private(self.root)
        for mode in (0o640, 0o604, 0o620):
            self.file().chmod(mode)
            with self.assertRaises(CertificatesUnsafe) as caught:
                require_private(self.root)
            self.assertIn(f"chmod 600 {self.file()}", str(caught.exception))

    def test_s13_a_kill_before_the_rename_leaves_the_old_certificate(self) -> None:
        """
        The process dies between writing and renaming: the old certificate is whole, and what was written is swept up.
        """
        made = bundle()
        self.keep(made)
        code = (
            "import os, signal, pathlib, sys\n"
            "from itsjustintv.support import files\n"
            "pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
            "files.replace(pathlib.Path(sys.argv[1]), b'new')\n"
        )
        ended = subprocess.run([sys.executable, "-c", code, str(self.file().absolute())], check=False)
        self.assertEqual(ended.returncode, -9)
        self.assertEqual(len(list(self.file().parent.glob(".*.tmp"))), 1)
        self.assertEqual(self.result(self.store.load(NAME)).leaf, made.leaf)
        self.result(self.store.sweep())
        self.assertEqual([path.name for path in self.file().parent.iterdir()], [f"{NAME}.pem"])

    def test_a_write_that_fails_leaves_nothing_behind(self) -> None:
        """
        The old certificate stays, and no temporary file.
        """
        self.keep(bundle())
        self.file("dir").mkdir()
        with self.assertRaises(OSError):
            replace(self.file("dir"), b"new")
        self.assertEqual(list(self.file().parent.glob(".*")), [])

    def test_s14_a_file_of_no_use_is_set_aside_and_the_others_are_not(self) -> None:
        """
        Corrupt, key only, certificate only, foreign key: each counts as missing, is kept for somebody to look at, and
        no other name suffers.
        """
        key, leaf, chain = (each.as_bytes() for each in bundle().objects())
        others = bundle("www.example.test")
        self.store = self.open(PRODUCTION, NAME, "www.example.test")
        self.keep(others, "www.example.test")
        for text in (b"\x00garbage", key, leaf + chain, format_key(KEY_TYPES["p256"]()) + leaf):
            self.file().write_bytes(text)
            self.assertIsNone(self.result(self.store.load(NAME)))
            self.assertFalse(self.file().exists())
            self.assertEqual(self.file().with_name(f"{NAME}.pem.bad").read_bytes(), text)
            self.assertEqual(self.result(self.store.load("www.example.test")).leaf, others.leaf)

    def test_s15_each_authority_has_its_own_folder(self) -> None:
        """
        What staging signed is not there for production, and still there for staging.
        """
        self.store = self.open(STAGING)
        self.keep(bundle())
        self.assertIsNone(self.result(self.open(PRODUCTION).load(NAME)))
        self.assertIsNotNone(self.result(self.open(STAGING).load(NAME)))
        self.assertNotEqual(authority_key(PRODUCTION), authority_key(STAGING))

    def test_the_folder_of_an_authority_is_a_plain_name(self) -> None:
        """
        Whatever the URL, it is one entry of the folder, and not a hidden one.
        """
        for url in (PRODUCTION, "https://[::1]:14000/dir", "https://ca.test/../../etc", "http://.../", "https://x/a/b"):
            name = authority_key(url)
            self.assertRegex(name, r"\A[A-Za-z0-9_-][A-Za-z0-9._-]*\Z")

    def test_a_replaced_file_has_another_stamp(self) -> None:
        """
        A process that only serves sees by it that another one has renewed.
        """
        self.assertIsNone(self.result(self.store.stamp(NAME)))
        self.keep(bundle())
        first = self.result(self.store.stamp(NAME))
        self.assertEqual(self.result(self.store.stamp(NAME)), first)
        self.keep(bundle())
        self.assertNotEqual(self.result(self.store.stamp(NAME)), first)


class RecordTests(StoreCase):
    """
    What is remembered beside a certificate.
    """

    def test_it_survives(self) -> None:
        """
        Another process reads what was remembered.
        """
        record = Record(names=(NAME,), failures=3, next_attempt=17.5, problem="no", recent_failures=(1.0, 2.0))
        self.result(self.store.remember(NAME, record))
        self.assertEqual(self.result(self.open().record(NAME)), record)

    def test_what_cannot_be_read_is_forgotten(self) -> None:
        """
        A sidecar is not worth a failure.
        """
        make_private(self.file().parent)
        for text in (b"", b"[]", b'{"failures": "many"}', b'{"recent_failures": 5}'):
            self.file().with_suffix(".json").write_bytes(text)
            self.assertEqual(self.result(self.store.record(NAME)), Record())

    def test_fields_of_another_version_are_passed_over(self) -> None:
        """
        A downgrade does not lose the rest.
        """
        make_private(self.file().parent)
        self.file().with_suffix(".json").write_bytes(b'{"failures": 2, "from_the_future": {}}')
        self.assertEqual(self.result(self.store.record(NAME)).failures, 2)


class AccountTests(StoreCase):
    """
    The account.
    """

    def test_a_key_is_made_once(self) -> None:
        """
        The next start finds the same key, and the URL that was kept with it.
        """
        accounts = AccountFiles.of(self.root, PRODUCTION, at_once)
        made = self.result(accounts.load())
        self.assertEqual(made.url, "")
        self.result(accounts.store_account(Account(key=made.key, url="https://ca/account/1"), "https://terms", 1.0))
        found = self.result(AccountFiles.of(self.root, PRODUCTION, at_once).load())
        self.assertEqual((format_key(found.key), found.url), (format_key(made.key), "https://ca/account/1"))

    def test_a_key_of_no_use_is_not_replaced(self) -> None:
        """
        The operator is told what to do: an account is not given up in silence.
        """
        path = self.root / "acme" / authority_key(PRODUCTION) / "account.key"
        replace(path, b"damaged")
        error = self.failureResultOf(
            Deferred.fromCoroutine(AccountFiles.of(self.root, PRODUCTION, at_once).load()), CertificateUnusable
        ).value
        self.assertIn("remove it to register", str(error))
        self.assertEqual(path.read_bytes(), b"damaged")


class LockTests(StoreCase):
    """
    Who orders.
    """

    def test_s16_one_holds_it_at_a_time(self) -> None:
        """
        The second does not get it until the first lets go.
        """
        first, second = FolderLock(self.root / "lock"), FolderLock(self.root / "lock")
        self.assertTrue(first.acquire())
        self.assertTrue(first.acquire())
        self.assertFalse(second.acquire())
        self.assertFalse(second.is_held)
        first.release()
        self.assertTrue(second.acquire())
        second.release()

    def test_s16_the_system_frees_it_with_the_process(self) -> None:
        """
        A process that is killed leaves no lock behind.
        """
        code = (
            "import os, signal, pathlib, sys\n"
            "from itsjustintv.tls.key_folder import FolderLock\n"
            "assert FolderLock(pathlib.Path(sys.argv[1])).acquire()\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        path = (self.root / "lock").absolute()
        ended = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
        self.assertEqual(ended.returncode, -9)
        lock = FolderLock(path)
        self.assertTrue(lock.acquire())
        lock.release()
