"""
Tests for :mod:`itsjustintv.support.regular_files`.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support import regular_files
from itsjustintv.support.regular_files import (
    UnsuitableFile,
    is_descriptor,
    read,
    read_again,
    read_once,
    require_regular,
)

LIMIT = 4096


class FileTestCase(SynchronousTestCase):
    """
    A folder.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)

    def file(self, content: bytes = b"content") -> Path:
        """
        A regular file.
        """
        path = self.folder / "file"
        path.write_bytes(content)
        return path

    def others(self) -> dict[str, Path]:
        """
        Everything that is not a regular file and can be made here, by the words for it.
        """
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        # The name of a socket is short.
        name = Path(os.path.relpath(self.folder / "socket"))
        listening.bind(str(name))
        linked = self.folder / "linked"
        linked.symlink_to("/dev/zero")
        return {
            "it is a named pipe, use a regular file": pipe,
            "it is a socket, use a regular file": name,
            "it is a directory, use a regular file": self.folder,
            "it is a device, use a regular file": linked,
        }


class ReadTests(FileTestCase):
    """
    What is read, and what is not even opened.
    """

    def test_a_regular_file(self) -> None:
        """
        A file is read as it is, also through links.
        """
        path = self.file(b"some\r\ntext")
        link = self.folder / "link"
        link.symlink_to(path.absolute())
        again = self.folder / "again"
        again.symlink_to(link.absolute())
        self.assertEqual([read(each, LIMIT) for each in (path, link, again)], [b"some\r\ntext"] * 3)

    def test_anything_else(self) -> None:
        """
        What is not a regular file is refused at once, each with its own word: nothing waits for a writer, and nothing
        is read of what never ends.
        """
        for reason, path in self.others().items():
            for reading in (read, read_once, read_again):
                error = self.assertRaises(UnsuitableFile, reading, path, LIMIT)
                self.assertEqual(error.strerror, reason)
                self.assertEqual(str(error), f"{path} cannot be used: {reason}")

    def test_what_is_missing(self) -> None:
        """
        Other errors are those of the system.
        """
        self.assertRaises(FileNotFoundError, read, self.folder / "none", LIMIT)
        self.assertRaises(ValueError, read, self.folder / "a\0b", LIMIT)

    def test_the_size(self) -> None:
        """
        A file may be as large as the limit. A larger one is refused by its size, a sparse one too; one that does not
        say its size is read up to the limit.
        """
        path = self.file(bytes(LIMIT))
        self.assertEqual(len(read(path, LIMIT)), LIMIT)
        self.file(bytes(LIMIT + 1))
        self.assertEqual(self.assertRaises(UnsuitableFile, read, path, LIMIT).strerror, "it is larger than 4 KiB")
        os.truncate(path, 6 * 1024**3)
        self.assertEqual(self.assertRaises(UnsuitableFile, read, path, 2**20).strerror, "it is larger than 1 MiB")
        self.assertRaises(UnsuitableFile, read, Path("/proc/self/maps"), 10)
        self.assertTrue(read(Path("/proc/self/maps"), 2**24))

    def test_what_a_writer_would_replace(self) -> None:
        """
        A file or nothing may be replaced; a device, a pipe, a socket or a directory may not.
        """
        require_regular(self.file())
        require_regular(self.folder / "none")
        dangling = self.folder / "dangling"
        dangling.symlink_to("none")
        require_regular(dangling)
        for reason, path in self.others().items():
            self.assertEqual(self.assertRaises(UnsuitableFile, require_regular, path).strerror, reason)


class DescriptorTests(FileTestCase):
    """
    What the process has open already: ``/dev/stdin``, ``<(...)``.
    """

    def setUp(self) -> None:
        super().setUp()
        # The numbers of descriptors come again.
        self.patch(regular_files, "_streams", {})

    def pipe(self, content: bytes) -> Path:
        """
        The reading end of a pipe into which another thread writes.
        """
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)

        def write() -> None:
            with os.fdopen(writing, "wb") as file:
                file.write(content)

        thread = Thread(target=write)
        thread.start()
        self.addCleanup(thread.join)
        return Path(f"/dev/fd/{reading}")

    def test_names(self) -> None:
        """
        Only names of the process's own descriptors are taken for such.
        """
        for name in ("/dev/stdin", "/dev/fd/0", "/dev/fd/63", "/proc/self/fd/12"):
            self.assertTrue(is_descriptor(Path(name)), name)
        for name in ("config.toml", "dev/stdin", "/dev/null", "/dev/fd", "/dev/fd/x", "/proc/1/fd/3", "/x/dev/fd/3"):
            self.assertFalse(is_descriptor(Path(name)), name)

    def test_a_pipe_is_read_once(self) -> None:
        """
        All that comes from it is read at the first time; later the answer is the same without another reading.
        """
        path = self.pipe(b"x" * 100_000)
        self.assertEqual(read_once(path, 2**20), b"x" * 100_000)
        self.assertEqual(read_once(path, 2**20), b"x" * 100_000)
        self.assertEqual(read_again(path, 2**20), b"x" * 100_000)

    def test_one_that_was_not_read_in_the_beginning(self) -> None:
        """
        A daemon that runs does not wait for a pipe that its new configuration names.
        """
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        error = self.assertRaises(UnsuitableFile, read_again, Path(f"/proc/self/fd/{reading}"), LIMIT)
        self.assertEqual(error.strerror, "it can be read at the start only, use a regular file")

    def test_one_that_never_ends(self) -> None:
        """
        No more is read than the limit.
        """
        with Path("/dev/zero").open("rb") as endless:
            error = self.assertRaises(UnsuitableFile, read_once, Path(f"/dev/fd/{endless.fileno()}"), LIMIT)
        self.assertEqual(error.strerror, "it is larger than 4 KiB")

    def test_a_file_behind_a_descriptor(self) -> None:
        """
        A file is read from its beginning, wherever the descriptor stands.
        """
        with self.file(b"content").open("rb") as file:
            file.read(3)
            self.assertEqual(read_once(Path(f"/dev/fd/{file.fileno()}"), LIMIT), b"content")
