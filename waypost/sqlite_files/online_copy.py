"""Copies a SQLite database into one new file, as of one moment, while another process writes to it."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from waypost.sqlite_files.errors import StorageError
from waypost.sqlite_files.missing_log import check_complete, has_log, unmark

WAIT_SECONDS: Final = 30.0
"""The seconds for which a copy waits for a lock on the database, such as that of a starting writer."""


def copy_database(source: Path, target: Path) -> None:
    """Copies the database `source` into the new file `target` (mode 0600), durably, as it is at one moment.

    A process that writes to it goes on meanwhile; its write-ahead log grows until the copy is done. The copy
    is in the new file alone: it has no log of its own. Raises `StorageError` where `source` cannot be read,
    its log is missing, or `target` cannot be written.
    """
    logged = has_log(source)
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        # Opened to be read only, it takes no part in checkpoints, not even when it is closed: two connections
        # that do may damage the log (SQLite before 3.51.3).
        with closing(open_readonly(source)) as reading, closing(sqlite3.connect(target)) as writing:
            # It is made durable as a whole, below.
            writing.execute("pragma synchronous=off")
            # In one step, which is one read transaction. In several, each commit of another process between
            # two of them makes the copy begin again.
            reading.backup(writing, pages=-1)
            # Asked again: a writer may have started meanwhile, which makes the log.
            check_complete(writing, source, logged=logged or has_log(source))
            writing.execute("pragma journal_mode=delete")
            # A starting writer may just have marked the source. The copy needs no log.
            unmark(writing)
        sync(target)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"{source} cannot be copied to {target}: {error}") from error


def open_readonly(path: Path, *, alone: bool = False) -> sqlite3.Connection:
    """Opens a database that is only read. `alone` says that nobody writes to the file, and it has no log.

    Then no file is made beside it. Raises `sqlite3.Error`.
    """
    options = "mode=ro&immutable=1" if alone else "mode=ro"
    address = f"file:{quote(str(path.absolute()))}?{options}"
    return sqlite3.connect(address, uri=True, timeout=WAIT_SECONDS, isolation_level=None)


def check_whole(db: sqlite3.Connection) -> None:
    """Checks the whole structure and all indexes of a database; raises `StorageError` for a damaged one."""
    try:
        found = db.execute("pragma integrity_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        found = str(error)
    if found != "ok":
        raise StorageError(" ".join(str(found).split()))


def sync(path: Path) -> None:
    """Makes a file or a folder's list of names durable. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
