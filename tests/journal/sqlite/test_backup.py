"""
Copies of a journal, the way back, and what an upgrade keeps.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from signal import SIG_IGN, SIGXFSZ, signal
from stat import S_IMODE

from twisted.logger import capturedLogs
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from itsjustintv.errors import JournalInUse, JournalUnavailable
from itsjustintv.journal.sqlite import backup, database, writes
from itsjustintv.journal.sqlite.backup import copy
from itsjustintv.journal.sqlite.database import create, lock
from itsjustintv.journal.sqlite.disk_space import full_disk_problem, space_problem
from itsjustintv.journal.sqlite.migrations import STEPS
from itsjustintv.journal.sqlite.restore import read_contents, restore
from tests.journal.values import deliveries, event

#: Makes a copy, and is killed before it is in its place.
KILLED = """
import os, signal, sys
from pathlib import Path
from itsjustintv.journal.sqlite import backup
backup._place = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
backup.copy(Path(sys.argv[1]), Path(sys.argv[2]))
"""


class CopyTestCase(SynchronousTestCase):
    """
    A journal in use, with one event that only its log has.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.path = self.folder / "journal.db"
        self.connection = create(self.path)
        self.addCleanup(self.connection.close)
        self.accept("e1")
        self.target = self.folder / "copy.db"

    def accept(self, name: str) -> None:
        """
        Accept an event with two deliveries.
        """
        news = event(name)
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            writes.insert_events(self.connection, [news])
            writes.insert_deliveries(self.connection, deliveries(news, "a", "b"))

    def beside(self) -> set[str]:
        """
        The names of all files in the folder.
        """
        return {each.name for each in self.folder.iterdir()}

    def refused(self, reason: str) -> None:
        """
        A copy is refused, and leaves nothing.
        """
        before = self.beside()
        error = self.assertRaises(JournalUnavailable, copy, self.path, self.target)
        self.assertIn(reason, str(error))
        self.assertEqual(self.beside(), before)


class CopyTests(CopyTestCase):
    """
    Copies.
    """

    def test_while_it_is_in_use(self) -> None:
        """
        A copy has everything that was committed, is one file of mode 0600, and is a sound journal.
        """
        self.addCleanup(os.umask, os.umask(0))
        self.connection.execute("BEGIN IMMEDIATE")
        self.assertEqual(copy(self.path, self.target), len(STEPS))
        self.connection.execute("ROLLBACK")
        self.assertEqual(self.beside(), {"journal.db", "journal.db-wal", "journal.db-shm", "copy.db"})
        self.assertEqual(S_IMODE(self.target.stat().st_mode), 0o600)
        found = read_contents(self.target)
        self.assertEqual((found.deliveries, found.unfinished, found.newest), (2, 2, 1000.0))
        self.assertFalse(found.is_outdated)

    def test_nothing_is_replaced(self) -> None:
        """
        What is there already stays, a link that leads nowhere too.
        """
        self.target.write_text("precious")
        self.refused("exists already and was not changed")
        self.assertEqual(self.target.read_text(), "precious")
        self.target.unlink()
        self.target.symlink_to("nowhere")
        self.refused("exists already and was not changed")

    def test_a_folder_that_is_not_there(self) -> None:
        """
        The reason names the file that cannot be written.
        """
        self.target = self.folder / "none" / "copy.db"
        self.refused(f"{self.target} cannot be written: no such file or directory")

    def test_no_journal(self) -> None:
        """
        Without a journal, with an empty one or with a file of another kind there is no copy.
        """
        self.path = self.folder / "none.db"
        self.refused("there is no journal at")
        self.path.touch()
        self.refused("is empty: it is not a journal")
        with closing(sqlite3.connect(self.path)) as other:
            other.execute("CREATE TABLE theirs (x)")
        self.refused("is a database of another program")

    def test_a_damaged_journal(self) -> None:
        """
        A copy that is not sound is not kept.
        """
        for number in range(50):
            self.accept(f"more{number}")
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = self.path.stat().st_size
        with self.path.open("r+b") as file:
            file.seek(size - 3 * 4096)
            file.write(b"\xff" * 4096)
        before = self.beside()
        self.assertRaises((JournalUnavailable, sqlite3.DatabaseError), copy, self.path, self.target)
        self.assertEqual(self.beside(), before)

    def test_no_room(self) -> None:
        """
        A disk without room for the copy is named before anything is written.
        """
        self.patch(backup, "space_problem", lambda path, size: space_problem(path, 1 << 60))
        self.refused(f"the disk that holds {self.target} has ")

    def test_killed(self) -> None:
        """
        A copy that is killed leaves nothing under its name, and the next one removes what it left.
        """
        ended = subprocess.run([sys.executable, "-c", KILLED, str(self.path), str(self.target)], check=False)
        self.assertEqual(ended.returncode, -9)
        self.assertFalse(self.target.exists())
        self.assertTrue(list(self.folder.glob(".copy.db.*.tmp")))
        copy(self.path, self.target)
        self.assertFalse(list(self.folder.glob(".copy.db.*.tmp")))

    def test_a_limit_while_it_is_written(self) -> None:
        """
        A copy that cannot be finished leaves nothing, and the reason names the copy.
        """
        self.addCleanup(signal, SIGXFSZ, signal(SIGXFSZ, SIG_IGN))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE))
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        self.refused(f"{self.target} cannot be written")

    def test_what_a_full_disk_leaves(self) -> None:
        """
        Files that SQLite could not remove itself go with the copy; what another user left does not stop the next copy.
        """
        for name in (".copy.db.x.tmp", ".copy.db.x.tmp-wal", ".copy.db.x.tmp-shm"):
            (self.folder / name).touch()
        (self.folder / ".copy.db.theirs.tmp").symlink_to("nowhere")
        copy(self.path, self.target)
        left = {each.name for each in self.folder.glob(".copy.db.*")}
        self.assertEqual(left, {".copy.db.theirs.tmp"})


class RestoreTests(CopyTestCase):
    """
    The way back.
    """

    def setUp(self) -> None:
        super().setUp()
        copy(self.path, self.target)
        self.accept("e2")

    def test_what_is_there_is_kept(self) -> None:
        """
        The journal is the copy again, and what was there can still be read under its new name, the log included.
        """
        aside = restore(self.target, self.path, "before")
        self.assertEqual(aside, [self.folder / f"journal.db.before{ending}" for ending in ("", "-wal", "-shm")])
        self.assertEqual(read_contents(self.path).deliveries, 2)
        self.assertEqual(read_contents(aside[0]).deliveries, 4)
        self.assertEqual(S_IMODE(self.path.stat().st_mode), 0o600)
        create(self.path).close()
        self.assertEqual(read_contents(self.target).deliveries, 2)

    def test_without_a_journal(self) -> None:
        """
        Nothing has to be there.
        """
        other = self.folder / "elsewhere" / "journal.db"
        self.assertEqual(restore(self.target, other, "before"), [])
        self.assertEqual(read_contents(other).deliveries, 2)

    def test_while_a_daemon_runs(self) -> None:
        """
        Nothing is touched.
        """
        held = lock(self.path)
        self.addCleanup(os.close, held)
        before = self.beside()
        self.assertRaises(JournalInUse, restore, self.target, self.path, "before")
        self.assertEqual(self.beside(), before)

    def test_what_is_no_copy(self) -> None:
        """
        A file that is missing, of another program, newer, not a file, or the journal itself is refused before anything
        is touched, and the reason does not blame the configuration.
        """
        other = self.folder / "other"
        with closing(sqlite3.connect(other)) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        newer = self.folder / "newer"
        copy(self.path, newer)
        with closing(sqlite3.connect(newer)) as connection:
            connection.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
        text = self.folder / "text"
        text.write_text("no database\n" * 500)
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        before = self.beside() | {"journal.db.lock"}
        for source, reason in (
            (self.folder / "none", "there is no file"),
            (other, "is a database of another program: name one that itsjustintv backup wrote"),
            (newer, "was written by a newer itsjustintv"),
            (text, "is not a journal of itsjustintv: name one that itsjustintv backup wrote"),
            (pipe, "it is a named pipe, use a regular file"),
            (self.path, "is the journal itself"),
        ):
            error = self.assertRaises(JournalUnavailable, restore, source, self.path, "before")
            self.assertIn(reason, str(error))
            self.assertNotIn("storage.path", str(error))
            self.assertEqual(self.beside(), before)

    def test_a_damaged_copy(self) -> None:
        """
        The advice is another backup, not to restore one.
        """
        self.target.write_bytes(self.target.read_bytes()[:8192])
        error = self.assertRaises(JournalUnavailable, read_contents, self.target)
        self.assertEqual(str(error), f"{self.target} is damaged: name an older backup")

    def test_a_link(self) -> None:
        """
        What a symbolic link leads to is replaced and kept, not the link.
        """
        link = self.folder / "link" / "journal.db"
        link.parent.mkdir()
        link.symlink_to(self.path)
        aside = restore(self.target, link, "before")
        self.assertEqual(aside[0], self.folder / "journal.db.before")
        self.assertTrue(link.is_symlink())
        self.assertEqual(read_contents(link).deliveries, 2)

    def test_folders_that_root_makes(self) -> None:
        """
        They and all that is in them belong to whom the folder above belongs: root restores, the daemon's user starts.
        """
        if os.geteuid():
            raise SkipTest("only root can give files away")
        state = self.folder / "state"
        state.mkdir()
        os.chown(state, 65534, 65534)
        path = state / "data" / "deeper" / "journal.db"
        damaged = self.folder / "damaged"
        damaged.write_text("no database\n" * 500)
        self.assertRaises(JournalUnavailable, restore, damaged, path, "before")
        self.assertEqual({each.stat().st_uid for each in state.rglob("*")}, {65534})
        restore(self.target, path, "before")
        self.assertEqual({each.stat().st_uid for each in state.rglob("*")}, {65534})

    def test_killed_in_the_middle(self) -> None:
        """
        Wherever it is killed there is a journal: the old one, or the copy, beside which a start refuses the old log.
        """
        script = (
            "import os, signal, sys\nfrom pathlib import Path\nfrom itsjustintv.journal.sqlite import restore\n{kill}\n"
        )
        script += "restore.restore(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])"
        kill = "lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)"
        # A connection that is closed in good order takes the log with it.
        for stamp, what, expected in (("one", "Path.replace", 4), ("two", "Path.unlink", 4), ("three", "", None)):
            if not what:
                patch = (
                    "real = Path.replace\n"
                    "Path.replace = lambda *given: (real(*given), os.kill(os.getpid(), signal.SIGKILL))"
                )
            else:
                patch = f"{what} = {kill}"
            ended = subprocess.run(
                [sys.executable, "-c", script.format(kill=patch), str(self.target), str(self.path), stamp], check=False
            )
            self.assertEqual(ended.returncode, -9)
            if expected is None:
                self.assertIn(
                    "belongs to another journal than", str(self.assertRaises(JournalUnavailable, create, self.path))
                )
            else:
                self.assertEqual(read_contents(self.path).deliveries, expected)
        restore(self.target, self.path, "before")
        create(self.path).close()
        self.assertEqual(read_contents(self.path).deliveries, 2)


class UpgradeTests(CopyTestCase):
    """
    A journal of an older version.
    """

    def setUp(self) -> None:
        super().setUp()
        self.connection.close()
        self.patch(database, "STEPS", (*STEPS, "more"))

        def migrate(connection: sqlite3.Connection, _: Path) -> None:
            connection.execute(f"PRAGMA user_version = {len(STEPS) + 1}")

        self.patch(database, "migrate", migrate)
        self.patch(database, "check", lambda connection, path: connection.execute("PRAGMA user_version").fetchone()[0])
        self.kept = self.folder / f"journal.db.v{len(STEPS)}-backup"

    def test_a_copy_is_kept(self) -> None:
        """
        Before the first step a verified copy is made, of mode 0600, one for each version, and a line says so.
        """
        self.kept.write_text("of an earlier try")
        with capturedLogs() as events:
            create(self.path).close()
        self.assertFalse(read_contents(self.kept).is_outdated)
        self.assertEqual(read_contents(self.kept).deliveries, 2)
        self.assertEqual(S_IMODE(self.kept.stat().st_mode), 0o600)
        [line] = events
        self.assertEqual((line["old"], line["new"], line["kept"]), (len(STEPS), len(STEPS) + 1, str(self.kept)))
        with capturedLogs() as events:
            create(self.path).close()
        self.assertEqual(events, [])

    def test_no_copy_no_upgrade(self) -> None:
        """
        Without room for the copy the journal stays what it is, and the reason says both.
        """
        self.patch(backup, "space_problem", lambda path, size: space_problem(path, 1 << 60))
        error = self.assertRaises(JournalUnavailable, create, self.path)
        self.assertIn(f"cannot copy {self.path} before its upgrade: the disk that holds", str(error))
        self.assertFalse(read_contents(self.path).is_outdated)


class SpaceTests(SynchronousTestCase):
    """
    Disks without room.
    """

    def test_what_the_system_says(self) -> None:
        """
        A full disk and a used up quota are told apart, and from everything else.
        """
        path = Path("/somewhere/journal.db")
        self.assertEqual(
            full_disk_problem(path, OSError(28, "")),
            "the disk that holds /somewhere/journal.db is full: free some space",
        )
        self.assertEqual(
            full_disk_problem(path, OSError(122, "")),
            "the quota of this user for the disk that holds /somewhere/journal.db is used up: free some space",
        )
        self.assertIsNone(full_disk_problem(path, OSError(5, "")))

    def test_what_is_tried(self) -> None:
        """
        Where the error does not say it, a file is written; it leaves nothing.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        self.assertIsNone(full_disk_problem(folder / "journal.db"))
        self.assertEqual(list(folder.iterdir()), [])
        full = Path("/dev/full")
        if full.exists():
            error = self.assertRaises(OSError, full.write_bytes, b"x")
            self.assertIn("is full", str(full_disk_problem(full, error)))
