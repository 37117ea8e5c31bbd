"""
Tests for :mod:`itsjustintv.support.file_watch`: against the real kernel, on a clock that is wound by hand.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest import skipUnless

from twisted.internet.defer import Deferred, execute
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support.file_watch import FileWatch, SighupHandler, WatchIntervals, directory_entries
from itsjustintv.tls.renewal_requests import Request, RequestFiles

INTERVALS = WatchIntervals()


class WatchTestCase(SynchronousTestCase):
    """
    A folder with a file, and a watch on it.
    """

    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.file = self.folder / "config.toml"
        self.file.write_text("one")
        self.files: list[Path] = [self.file]
        self.told: list[float] = []

    def in_thread(self, work: Callable[..., Any], *args: object) -> Deferred[Any]:
        """
        Run at once.
        """
        return execute(work, *args)

    def watch(self, **options: Any) -> FileWatch:
        """
        A watch that has told for the first time.
        """
        watch = FileWatch(self.reactor, self.in_thread, INTERVALS, **options)
        watch.start(lambda: self.files, lambda: self.told.append(self.reactor.seconds()))
        self.addCleanup(watch.stop)
        self.reactor.advance(0)
        self.settle()
        self.assertEqual(len(self.told), 1, "told of what may have changed before")
        self.told.clear()
        return watch

    def hear(self) -> None:
        """
        Read what the kernel has to tell.
        """
        for reader in list(self.reactor.getReaders()):
            reader.doRead()

    def settle(self) -> None:
        """
        Hear everything, and let the time of quiet pass.
        """
        self.hear()
        self.reactor.advance(INTERVALS.settle)

    def assert_tells(self, change: Callable[[], object]) -> None:
        """
        A change is told once.
        """
        self.told.clear()
        change()
        self.settle()
        self.assertEqual(len(self.told), 1)

    def assert_says_nothing(self, change: Callable[[], object]) -> None:
        """
        A change is not told.
        """
        self.told.clear()
        change()
        self.settle()
        self.assertEqual(self.told, [])


class SpecialFileTests(WatchTestCase):
    """
    What is in the place of a file may be none.
    """

    def test_a_named_pipe_in_place_of_the_file(self) -> None:
        """
        It is told as any other change, and the look at the files does not wait for a writer; nor does the next one.
        """
        watch = self.watch()
        self.file.unlink()
        os.mkfifo(self.file)
        self.settle()
        self.told.clear()
        self.reactor.advance(INTERVALS.check)
        self.settle()
        self.assertEqual(len(self.told), 1)
        self.reactor.advance(INTERVALS.check)
        self.settle()
        self.assertEqual(len(self.told), 1)
        watch.stop()

    def test_descriptors_are_not_watched(self) -> None:
        """
        What was read from a descriptor of the process cannot be read again, and is not looked at.
        """
        asked: list[Path] = []

        def remember(work: Callable[..., Any], *args: Any) -> Deferred[Any]:
            asked.extend(args[0])
            return execute(work, *args)

        watch = FileWatch(self.reactor, remember, INTERVALS)
        watch.start(lambda: [Path("/dev/stdin"), self.file], lambda: None)
        self.addCleanup(watch.stop)
        self.reactor.advance(0)
        self.assertEqual(asked, [self.file])


def nothing(_: object) -> object:
    """
    A kernel that tells nothing.
    """
    raise OSError("there is none")


@skipUnless(sys.platform == "linux", "inotify is Linux's")
class NoticeTests(WatchTestCase):
    """
    However a file is replaced, it is noticed at once. Every case is tried twice: a watch that has told once must not
    be lost.
    """

    def replace(self, content: str) -> None:
        """
        Put a new file in the place of the old one, as most editors and tools do.
        """
        new = self.folder / ".config.toml.new"
        new.write_text(content)
        new.replace(self.file)

    def test_a_file_that_is_written_in_place(self) -> None:
        """
        Writing into the file is noticed when it is closed.
        """
        self.watch()
        for _ in range(3):
            self.assert_tells(lambda: self.file.write_text("two"))

    def test_a_file_that_is_still_open(self) -> None:
        """
        A file that is being written is left alone until it is complete.
        """
        self.watch()
        with self.file.open("w") as file:
            self.assert_says_nothing(lambda: (file.write("half"), file.flush()))
        self.settle()
        self.assertEqual(len(self.told), 1)

    def test_a_writer_that_stalls(self) -> None:
        """
        However long a file stays half written, no look at the files takes it for whole; nor does a change of another
        file. It is read when it is closed.
        """
        other = self.folder / "secret"
        other.write_text("one")
        self.files.append(other)
        self.watch()
        for again in range(2):
            with self.subTest(again=again):
                self.told.clear()
                with self.file.open("w") as file:
                    for _ in range(5):
                        file.write("half")
                        file.flush()
                        self.settle()
                        self.reactor.pump([INTERVALS.check, INTERVALS.settle] * 4)
                    other.write_text(f"two {again}")
                    self.settle()
                    self.reactor.pump([INTERVALS.check, INTERVALS.settle])
                    self.assertEqual(self.told, [])
                self.settle()
                self.assertEqual(len(self.told), 1)

    def test_a_writer_that_never_closes(self) -> None:
        """
        A program that keeps the file open is waited for ten minutes from what it wrote last.
        """
        self.watch()
        with self.file.open("w") as file:
            file.write("two")
            file.flush()
            self.settle()
            self.reactor.pump([INTERVALS.check] * 19)
            self.assertEqual(self.told, [])
            self.reactor.pump([INTERVALS.check, INTERVALS.check, INTERVALS.settle])
            self.assertEqual(len(self.told), 1)

    def test_a_writer_of_a_file_that_was_replaced(self) -> None:
        """
        Another file in the place of the one that is being written is complete, and stays so while the writer goes on.
        """
        self.watch()
        with self.file.open("w") as file:
            file.write("half")
            file.flush()
            self.settle()
            self.assert_tells(lambda: (self.replace("two"), file.write("more"), file.flush()))

    def test_a_file_that_is_closed_just_before_a_refresh(self) -> None:
        """
        That a file was closed is not lost when the watch is set up anew before it was heard.
        """
        other = self.folder / "elsewhere" / "secret"
        other.parent.mkdir()
        watch = self.watch()
        with self.file.open("w") as file:
            self.assert_says_nothing(lambda: (file.write("half"), file.flush()))
        self.files.append(other)
        watch.refresh()
        self.settle()
        self.assertEqual(len(self.told), 1)

    def test_a_new_file_that_is_still_open(self) -> None:
        """
        A file that was deleted and is being written anew is left alone until it is complete.
        """
        self.watch()
        self.assert_tells(self.file.unlink)
        with self.file.open("w") as file:
            self.assert_says_nothing(lambda: (file.write("half"), file.flush()))
        self.settle()
        self.assertEqual(len(self.told), 1)

    def test_a_file_that_is_replaced_by_a_rename(self) -> None:
        """
        A rename onto the file is noticed.
        """
        self.watch()
        for _ in range(3):
            self.assert_tells(lambda: self.replace("two"))

    def test_a_hard_link_in_the_place_of_the_file(self) -> None:
        """
        A link that takes the place of the deleted file is noticed, though nobody ever closes it.
        """
        self.watch()
        other = self.folder / "other"
        other.write_text("two")
        self.assert_tells(self.file.unlink)
        self.assert_tells(lambda: self.file.hardlink_to(other))

    def test_a_hard_link_whose_other_name_is_gone(self) -> None:
        """
        A link is complete also when the name under which the file was written is removed before the link is noticed.
        """
        self.watch()
        other = self.folder / "other"
        other.write_text("two")
        # The times of files are as coarse as the kernel's ticks.
        os.utime(other, (1.0, 1.0))
        self.assert_tells(self.file.unlink)

        def link() -> None:
            self.file.hardlink_to(other)
            other.unlink()

        self.assert_tells(link)

    def test_a_request_for_certificates(self) -> None:
        """
        A request that was left before anything of it is noticed is told of at once, however fast it was written.
        """
        requests = RequestFiles(self.folder)
        self.files = [requests.request]
        self.watch()
        for number in range(3):
            request = Request(id=f"{number:016x}", asked_at=time.time(), names=("hooks.example.test",))
            self.assert_tells(lambda request=request: requests.submit(request))  # type: ignore[misc]
            self.assertEqual(requests.take(time.time()), request)
            self.settle()

    def test_a_file_that_is_deleted_and_written_anew_for_a_while(self) -> None:
        """
        That the new file is closed is heard, though it began to be written in the instant in which the old one went.
        """
        self.watch()
        for _ in range(2):
            self.file.unlink()
            with self.file.open("w") as file:
                self.assert_says_nothing(lambda file=file: (file.write("half"), file.flush()))  # type: ignore[misc]
                self.settle()
                self.assertEqual(self.told, [])
            self.settle()
            self.assertEqual(len(self.told), 1)

    def test_an_editor_that_keeps_a_copy(self) -> None:
        """
        Moving the file away and writing it anew, as some editors do, is one change.
        """
        self.watch()

        def save() -> None:
            self.file.replace(self.folder / "config.toml~")
            self.file.write_text("two")

        for _ in range(3):
            self.assert_tells(save)

    def test_a_switched_link_to_a_directory(self) -> None:
        """
        The file is a link through a link to a directory, and that link is replaced: so Kubernetes mounts a ConfigMap.
        """
        self.file.unlink()
        for version in ("..1", "..2", "..3"):
            (self.folder / version).mkdir()
            (self.folder / version / "config.toml").write_text(version)
        (self.folder / "..data").symlink_to("..1")
        self.file.symlink_to("..data/config.toml")
        self.watch()

        def switch(version: str) -> None:
            (self.folder / "..data_tmp").symlink_to(version)
            (self.folder / "..data_tmp").replace(self.folder / "..data")

        for version in ("..2", "..3", "..1"):
            self.assert_tells(lambda version=version: switch(version))  # type: ignore[misc]
        self.assert_tells(lambda: (self.folder / "..1" / "config.toml").write_text("changed where the link leads"))
        self.assert_says_nothing(lambda: (self.folder / "..2" / "config.toml").write_text("where it led before"))

    def test_a_switched_link_far_above(self) -> None:
        """
        A link anywhere on the way to the file is part of the way, absolute or not.
        """
        for release in ("1", "2"):
            (self.folder / "releases" / release / "etc").mkdir(parents=True)
            (self.folder / "releases" / release / "etc" / "config.toml").write_text(release)
        current = self.folder / "current"
        current.symlink_to(self.folder / "releases" / "1")
        self.files = [current / "etc" / ".." / "etc" / "config.toml"]
        self.watch()

        def switch(release: str) -> None:
            current.unlink()
            current.symlink_to(f"releases/{release}")

        for release in ("2", "1"):
            self.assert_tells(lambda release=release: switch(release))  # type: ignore[misc]

    def test_a_directory_that_is_deleted_and_made_anew(self) -> None:
        """
        A watch outlives the directory of its file, more than once, and directories above it.
        """
        home = self.folder / "deep" / "home"
        self.files = [home / "config.toml"]
        home.mkdir(parents=True)
        self.watch()
        for gone in (home, home.parent, home):
            self.assert_tells(lambda gone=gone: shutil.rmtree(gone))  # type: ignore[misc]
            self.assert_tells(lambda: home.mkdir(parents=True))
            self.assert_tells(lambda: (home / "config.toml").write_text("two"))
            self.assert_tells(lambda: (home / "config.toml").write_text("three"))

    def test_a_directory_that_is_swapped_for_another(self) -> None:
        """
        Moving the directory away, and another into its place, is noticed, and the new one is watched.
        """
        home, other = self.folder / "home", self.folder / "other"
        for directory in (home, other):
            directory.mkdir()
            (directory / "config.toml").write_text(directory.name)
        self.files = [home / "config.toml"]
        self.watch()
        self.assert_tells(lambda: (home.rename(self.folder / "away"), other.rename(home)))
        self.assert_tells(lambda: (home / "config.toml").write_text("new"))
        self.assert_says_nothing(lambda: (self.folder / "away" / "config.toml").write_text("old"))

    def test_permissions_that_are_mended(self) -> None:
        """
        A file that becomes readable is noticed.
        """
        self.watch()
        self.assert_tells(lambda: self.file.chmod(0o600))

    def test_other_files_beside_it(self) -> None:
        """
        What happens to other files is nobody's business.
        """
        self.watch()
        self.assert_says_nothing(lambda: (self.folder / "output.json").write_text("x"))
        self.assert_says_nothing((self.folder / "output.json").unlink)

    def test_files_that_come_and_go(self) -> None:
        """
        After a refresh the files of the moment are looked after.
        """
        secret = self.folder / "elsewhere" / "secret"
        secret.parent.mkdir()
        watch = self.watch()
        self.assert_says_nothing(lambda: secret.write_text("one"))
        self.files.append(secret)
        watch.refresh()
        self.assert_tells(lambda: secret.write_text("two"))
        self.assert_tells(lambda: self.file.write_text("two"))

    def test_a_link_that_is_switched_just_before_a_refresh(self) -> None:
        """
        A change of which the kernel has told, and nobody has heard yet, is not lost when the watch is set up anew.
        """
        for version in ("..1", "..2"):
            (self.folder / version).mkdir()
            (self.folder / version / "config.toml").write_text(version)
        data = self.folder / "..data"
        data.symlink_to("..1")
        self.files = [data / "config.toml"]
        watch = self.watch()
        data.unlink()
        data.symlink_to("..2")
        watch.refresh()
        self.settle()
        self.assertEqual(len(self.told), 1)

    def test_a_storm_is_one_change(self) -> None:
        """
        Changes in quick succession are told once, when there is quiet.
        """
        self.watch()
        start = self.reactor.seconds()
        for _ in range(5):
            self.file.write_text("again")
            self.hear()
            self.reactor.advance(INTERVALS.settle / 2)
        self.reactor.advance(INTERVALS.settle)
        self.assertEqual(len(self.told), 1)
        self.assertLess(self.told[0] - start, INTERVALS.longest)

    def test_a_storm_without_end(self) -> None:
        """
        When there is never quiet, changes are told all the same, every now and then.
        """
        self.watch()
        for _ in range(450):
            self.file.write_text("again")
            self.hear()
            self.reactor.advance(0.01)
        self.assertEqual(len(self.told), 2)

    def test_nothing_stays_open(self) -> None:
        """
        Neither changes nor a stop leave a descriptor or a timer behind.
        """
        watch = self.watch()
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(20):
            self.assert_tells(lambda: self.replace("again"))
        self.assertEqual(len(list(Path("/proc/self/fd").iterdir())), before)
        self.file.write_text("a change that is not told any more")
        self.hear()
        watch.stop()
        self.assertEqual(len(list(Path("/proc/self/fd").iterdir())), before - 1)
        self.assertEqual((self.reactor.getDelayedCalls(), self.reactor.getReaders()), ([], []))

    def test_a_change_nobody_tells_of(self) -> None:
        """
        Even where the kernel tells of nothing, on NFS say, a change is noticed after a while.
        """
        self.watch()
        self.file.write_text("two")
        for reader in list(self.reactor.getReaders()):
            os.read(reader.fileno(), 65536)
        self.reactor.advance(INTERVALS.check)
        self.reactor.advance(INTERVALS.settle)
        self.assertEqual(len(self.told), 1)

    def test_a_directory_that_cannot_be_watched(self) -> None:
        """
        When the kernel refuses a single watch, that is said, and the files are looked at instead.
        """
        from twisted.internet.inotify import INotify, INotifyError  # noqa: PLC0415 - Linux's

        class Limited(INotify):  # type: ignore[misc]
            """
            A kernel that has given all its watches away.
            """

            def watch(self, *_: object, **__: object) -> None:
                raise INotifyError("no more watches")

            def close(self) -> None:
                self.loseConnection()

        with capturedLogs() as logs:
            self.watch(notifier=Limited)
        self.assertEqual([event["reason"] for event in logs], ["no more watches"])
        self.file.write_text("two")
        self.reactor.advance(INTERVALS.poll)
        self.reactor.advance(INTERVALS.settle)
        self.assertEqual(len(self.told), 1)


class PollTests(WatchTestCase):
    """
    Where the kernel tells nothing, the files are read now and then.
    """

    def change(self, change: Callable[[], object]) -> None:
        """
        Let a change be seen.
        """
        self.told.clear()
        change()
        self.reactor.advance(INTERVALS.poll)
        self.reactor.advance(INTERVALS.settle)

    def test_that_is_said_once(self) -> None:
        """
        The operator is told once that changes are found by looking.
        """
        with capturedLogs() as logs:
            self.watch(notifier=nothing)
            self.change(lambda: self.file.write_text("two"))
            self.change(lambda: self.file.write_text("three"))
        self.assertEqual([event["log_level"] for event in logs], [LogLevel.warn])
        self.assertIn("there is none", logs[0]["reason"])

    def test_content_is_what_counts(self) -> None:
        """
        Content of the same length at the same time of day is another content; a touch changes nothing.
        """
        self.watch(notifier=nothing)
        about = self.file.stat()

        def forge() -> None:
            self.file.write_text("two")
            os.utime(self.file, ns=(about.st_atime_ns, about.st_mtime_ns))

        self.change(forge)
        self.assertEqual(len(self.told), 1)
        self.change(self.file.touch)
        self.assertEqual(self.told, [])

    def test_files_that_go_and_come(self) -> None:
        """
        A file that is deleted, and one that is there again, are changes.
        """
        self.watch(notifier=nothing)
        self.change(self.file.unlink)
        self.assertEqual(len(self.told), 1)
        self.change(lambda: self.file.write_text("one"))
        self.assertEqual(len(self.told), 1)

    def test_a_look_that_fails_is_not_the_last(self) -> None:
        """
        A defect while looking is logged, and the looking goes on.
        """
        self.watch(notifier=nothing)
        files, self.files = self.files, [None]  # type: ignore[list-item]
        self.reactor.advance(INTERVALS.poll)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.files = files
        self.change(lambda: self.file.write_text("two"))
        self.assertEqual(len(self.told), 1)

    def test_nothing_is_told_after_a_stop(self) -> None:
        """
        A look that is under way when the watch stops comes to nothing.
        """
        looks: list[Deferred[Any]] = []

        def hang(work: Callable[..., Any], files: Iterable[Path]) -> Deferred[Any]:
            looks.append(Deferred())
            return looks[-1]

        watch = FileWatch(self.reactor, hang, INTERVALS, notifier=nothing)
        watch.start(lambda: self.files, lambda: self.told.append(0))
        self.reactor.advance(0)
        watch.stop()
        looks[0].callback({})
        self.assertEqual((self.told, self.reactor.getDelayedCalls()), ([], []))


class DirectoryEntriesTests(SynchronousTestCase):
    """
    What decides where a path leads.
    """

    def test_every_entry_on_the_way_counts_once(self) -> None:
        """
        Each directory on the way is named as it is without links and without ``..``, whether a link is absolute or not.
        """
        folder = Path(self.mktemp()).resolve()
        (folder / "real" / "etc").mkdir(parents=True)
        (folder / "absolute").symlink_to(folder / "real")
        (folder / "relative").symlink_to("absolute")
        above = {(parent, child.name) for child, parent in zip((folder, *folder.parents), folder.parents, strict=False)}
        self.assertEqual(
            directory_entries(folder / "relative" / "etc" / ".." / "etc" / "config.toml") - above,
            {
                (folder, "relative"),
                (folder, "absolute"),
                (folder, "real"),
                (folder / "real", "etc"),
                (folder / "real" / "etc", "config.toml"),
            },
        )

    def test_links_in_a_circle_end(self) -> None:
        """
        Links that lead nowhere are followed as far as the kernel would.
        """
        folder = Path(self.mktemp()).resolve()
        folder.mkdir(parents=True)
        (folder / "a").symlink_to("b")
        (folder / "b").symlink_to("a")
        found = directory_entries(folder / "a" / "config.toml")
        self.assertLessEqual({(folder, "a"), (folder, "b")}, found)


@skipUnless(hasattr(signal, "SIGHUP"), "there is no SIGHUP here")
class SighupHandlerTests(SynchronousTestCase):
    """
    SIGHUP calls.
    """

    def setUp(self) -> None:
        before = signal.getsignal(signal.SIGHUP)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        self.calls: list[str] = []
        self.later: list[Callable[[], None]] = []
        self.reactor: Any = MemoryReactorClock()
        self.reactor.callFromThread = self.later.append
        self.hangup = SighupHandler(self.reactor, lambda: self.calls.append("called"))
        self.hangup.startService()

    def test_the_signal_calls_in_the_reactors_turn(self) -> None:
        """
        The signal interrupts whatever runs, so the call is left to the reactor.
        """
        signal.raise_signal(signal.SIGHUP)
        self.assertEqual(self.calls, [])
        self.later[0]()
        self.assertEqual(self.calls, ["called"])

    def test_a_stopping_daemon_is_not_killed_by_it(self) -> None:
        """
        Once the daemon stops, the signal does nothing.
        """
        self.hangup.stopService()
        signal.raise_signal(signal.SIGHUP)
        self.later[0]()
        self.assertEqual(self.calls, [])
