"""
A journal whose files are deleted, replaced or emptied while it is open: real threads, real files.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from twisted.logger import LogLevel, capturedLogs

from itsjustintv.errors import JournalUnavailable
from itsjustintv.journal.sqlite.backup import copy
from itsjustintv.journal.sqlite.database import connect
from itsjustintv.journal.sqlite.file_presence import companion
from itsjustintv.journal.sqlite.offline_journal import SQLiteOfflineJournal
from tests.journal.sqlite.test_journal import JournalCase

#: Opens a journal, reads it, and goes.
READ = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM events").fetchone()
connection.close()
"""


def kept(path: Path) -> set[str]:
    """
    The events that a process finds that starts after this one was killed: in the files as they are at the moment.
    """
    copy = path.with_name("copy")
    copy.mkdir()
    for each in path.parent.glob(f"{path.name}*"):
        if each.is_file() and not each.name.endswith("-shm"):
            shutil.copy(each, copy)
    connection = connect(copy / path.name)
    try:
        return {row["id"] for row in connection.execute("SELECT id FROM events")}
    finally:
        connection.close()
        shutil.rmtree(copy)


class PresenceTests(JournalCase):
    """
    Nothing is acknowledged that only a deleted file has.
    """

    async def refuses(self, change: Callable[[], object], reason: str) -> None:
        """
        After a change of the files the next event is refused, and the reason is a line of the log.
        """
        self.journal.startService()
        await self.accept("e1")
        change()
        with capturedLogs() as events:
            error = await self.assertFailure(self.accept("e2"), JournalUnavailable)
        self.assertIn(reason, str(error))
        self.assertEqual(self.journal.problem(), str(error))
        self.assertIn(reason, next(str(each.get("reason")) for each in events if each["log_level"] is LogLevel.error))

    def beside(self, ending: str) -> Path:
        return companion(self.path, ending)

    async def test_deleted(self) -> None:
        """
        The deletion of any file of the journal is noticed before the next event is acknowledged.
        """
        for ending in ("", "-wal", "-shm", ".lock"):
            self.path = Path(self.mktemp()).absolute() / "state" / "journal.db"
            self.journal = self.make()
            file = self.beside(ending)
            await self.refuses(file.unlink, f"{file} was deleted or moved away while in use: restart itsjustintv")
            await self.journal.stopService()

    def test_a_path_that_cannot_be_looked_at(self) -> None:
        """
        It has companions like any other: doctor, run by a user who may not see the journal, asks for its lock.
        """
        path = self.path.with_name("x" * 300)
        self.assertEqual(companion(path, ".lock").name, f"{path.name}.lock")

    async def test_a_link(self) -> None:
        """
        A journal whose path is a symbolic link is used; its companions are beside what the link leads to.
        """
        real = self.path.parent.with_name("disk") / "real.db"
        real.parent.mkdir(parents=True)
        real.touch()
        self.path.parent.mkdir()
        self.path.symlink_to(real)
        wal = real.with_name("real.db-wal")
        await self.refuses(wal.unlink, f"{wal} was deleted or moved away while in use: restart itsjustintv")

    async def test_replaced(self) -> None:
        """
        So is its replacement by another one of the same content.
        """
        for ending in ("", "-wal", "-shm", ".lock"):
            self.path = Path(self.mktemp()).absolute() / "state" / "journal.db"
            self.journal = self.make()
            file = self.beside(ending)

            def replace(file: Path = file) -> None:
                shutil.copy(file, file.with_name("other"))
                file.with_name("other").replace(file)

            await self.refuses(replace, f"{file} was replaced while in use: restart itsjustintv")
            await self.journal.stopService()

    async def test_a_folder_that_was_renamed(self) -> None:
        """
        Nothing is taken while the folder has another name, and it goes on when it is back.
        """
        folder = self.path.parent
        aside = folder.with_name("aside")
        await self.refuses(lambda: folder.rename(aside), "was deleted or moved away while in use")
        aside.rename(folder)
        self.assertTrue(await self.accept("e2"))
        self.assertIsNone(self.journal.problem())

    async def test_an_emptied_log(self) -> None:
        """
        A log that was cut to nothing is noticed at the first commit after that, which could not be read again.
        """
        wal = self.beside("-wal")
        await self.refuses(lambda: wal.write_bytes(b""), f"{wal} was emptied while in use: restart itsjustintv")

    async def test_a_backup_that_is_copied_over_it(self) -> None:
        """
        A backup that overwrites the database in place is noticed, and nothing is written to it, at the stop neither.
        """
        backup = self.path.with_name("backup.db")
        await self.refuses(
            lambda: (copy(self.path, backup), shutil.copyfile(backup, self.path)),
            f"{self.path} was overwritten while in use: stop itsjustintv, then restore a backup",
        )
        await self.journal.stopService()
        self.assertEqual(self.path.read_bytes(), backup.read_bytes())

    async def test_between_the_look_and_the_commit(self) -> None:
        """
        A deletion while a transaction is under way is noticed before anybody is answered.
        """
        self.journal.startService()
        await self.accept("e1")
        error = await self.assertFailure(
            self.journal._write(lambda _: self.beside("-wal").unlink()), JournalUnavailable
        )
        self.assertIn("was deleted or moved away", str(error))

    async def test_what_was_accepted_is_saved(self) -> None:
        """
        What only the deleted log had is brought into the database, and the message says so: whatever was acknowledged
        survives kill -9.
        """
        self.journal.startService()
        for name in ("e1", "e2", "e3"):
            await self.accept(name)
        self.beside("-wal").unlink()
        self.beside("-shm").unlink()
        self.assertEqual(kept(self.path), set())
        error = await self.assertFailure(self.accept("e4"), JournalUnavailable)
        self.assertTrue(str(error).endswith(f"; all accepted events are in {self.path}"), error)
        self.assertEqual(kept(self.path), {"e1", "e2", "e3"})

    async def test_a_quiet_journal(self) -> None:
        """
        It is noticed, and saved, within a second though nothing is accepted.
        """
        self.journal.startService()
        await self.accept("e1")
        self.beside("-wal").unlink()
        self.assertIsNone(self.journal.problem())
        self.clock.advance(1)
        while self.journal.problem() is None:
            await self.journal.next_due(lambda _: True)
        self.assertEqual(kept(self.path), {"e1"})

    async def test_a_database_that_was_written_by_others(self) -> None:
        """
        Nothing is brought into a database that was overwritten in place, nor into one that has a log of another
        process.
        """
        self.journal.startService()
        await self.accept("e1")
        before = self.path.read_bytes()
        self.beside("-wal").unlink()
        self.path.write_bytes(before)
        error = await self.assertFailure(self.accept("e2"), JournalUnavailable)
        self.assertTrue(str(error).endswith("restart itsjustintv"), error)
        self.assertEqual(self.path.read_bytes(), before)

    async def test_the_log_of_another_process(self) -> None:
        """
        Nothing is brought into a database beside which another process has begun a log.
        """
        self.journal.startService()
        await self.accept("e1")
        before = self.path.read_bytes()
        self.beside("-wal").write_bytes(bytes(32))
        self.beside("-wal").unlink()
        self.beside("-wal").write_bytes(bytes(32))
        await self.assertFailure(self.accept("e2"), JournalUnavailable)
        self.assertEqual(self.path.read_bytes(), before)

    async def test_other_processes_that_come_and_go(self) -> None:
        """
        Whoever opens the journal and closes it again removes nothing, however often; neither do the commands.
        """
        self.journal.startService()
        await self.accept("e1")
        for _ in range(2):
            subprocess.run([sys.executable, "-c", READ, str(self.path)], check=True)
            SQLiteOfflineJournal.open(self.path, lambda: 1.0).accounting()
        hard = self.path.with_name("hard")
        hard.hardlink_to(self.beside("-wal"))
        self.assertTrue(await self.accept("e2"))
        with closing(connect(self.path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.assertTrue(await self.accept("e3"))
        self.assertIsNone(self.journal.problem())
