"""
Tests for :mod:`itsjustintv.support.files`. What a kill in the middle leaves is in ``tests/tls/test_store.py``.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support.files import replace


class ReplaceTests(SynchronousTestCase):
    """
    Replacing a file.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "deep" / "file"

    def test_it_is_for_nobody_else(self) -> None:
        """
        The file and the directories made for it are of this user only, whatever was there before.
        """
        replace(self.path, b"one")
        self.path.chmod(0o644)
        replace(self.path, b"two", 86400.0)
        self.assertEqual(self.path.read_bytes(), b"two")
        self.assertEqual(self.path.stat().st_mtime, 86400.0)
        modes = [path.stat().st_mode & 0o777 for path in (self.path, self.path.parent, self.path.parent.parent)]
        self.assertEqual(modes, [0o600, 0o700, 0o700])

    def test_a_full_disk_leaves_the_old_one(self) -> None:
        """
        When the content cannot be written the old one is there, and nothing of the new one.
        """
        replace(self.path, b"one")

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", full)
        self.assertRaises(OSError, replace, self.path, b"two")
        self.assertEqual(self.path.read_bytes(), b"one")
        self.assertEqual(list(self.path.parent.iterdir()), [self.path])

    def test_it_lasts(self) -> None:
        """
        The content is put on stable storage before the rename, and the rename after it.
        """
        steps: list[str] = []
        sync, rename = os.fsync, Path.replace

        def synced(descriptor: int) -> None:
            steps.append(Path(f"/proc/self/fd/{descriptor}").readlink().name[:5])
            sync(descriptor)

        def renamed(path: Path, target: Path) -> Path:
            steps.append("rename")
            return rename(path, target)

        self.patch(os, "fsync", synced)
        self.patch(Path, "replace", renamed)
        replace(self.path, b"one")
        self.assertEqual(steps, [".file", "rename", "deep"])
