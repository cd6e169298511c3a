"""Locks a database file, so that only one process owns it."""

import fcntl
import os
from pathlib import Path
from typing import Final

from waypost.sqlite_files.errors import StorageError

_HELD: Final[set[tuple[int, int]]] = set()
"""The files (device, inode) whose locks this process holds."""


class FileLock:
    """The lock of a database file, held until `release`; the file is created where it does not exist.

    It is a `flock` on the file itself: whatever name the file is reached by, it is the same lock. On Linux it
    is independent of the POSIX locks that SQLite takes. Those end when a process closes any descriptor of the
    file, so the lock is released after the database is closed, and a file that this process holds is not
    opened again.
    Raises `StorageError` where the file cannot be opened or its lock is held.
    """

    def __init__(self, path: str | Path) -> None:
        in_use = StorageError(f"{path} is in use by another process: one process owns a database")
        try:
            if _identity(os.stat(path)) in _HELD:
                raise in_use
        except FileNotFoundError:
            pass
        try:
            self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"cannot open {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise in_use from error
        self._held = _identity(os.fstat(self._descriptor))
        _HELD.add(self._held)

    def __repr__(self) -> str:
        return f"FileLock({self._held})"

    def release(self) -> None:
        """Releases the lock. To be called once, after the database is closed."""
        _HELD.discard(self._held)
        os.close(self._descriptor)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
