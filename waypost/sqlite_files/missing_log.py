"""Marks a SQLite database file as incomplete without its write-ahead log, and finds that the log is missing.

What is committed goes to the log (`-wal`) first, and later into the file. Without the log SQLite opens the
file as it was some time ago, without an error: a young one as an empty database.

The mark is in the file alone: the log says that there is none. Whatever reads both, or copies the log into
the file, therefore sees no mark: SQLite when the database is closed, `sqlite3 DATABASE .backup`, the next
checkpoint. So the mark lasts until that checkpoint.
"""

import os
import sqlite3
from pathlib import Path
from typing import Final

from waypost.sqlite_files.errors import StorageError

MARK: Final = 0x57414C21
"""The `application_id` in the header of a marked file; 0 in all others."""


def has_log(path: Path) -> bool:
    """Returns whether a database has a write-ahead log that is not empty; to be asked before it is opened."""
    try:
        # SQLite keeps it beside the file itself, not beside a symbolic link to that.
        return os.stat(f"{os.path.realpath(path)}-wal").st_size > 0
    except OSError:
        return False


def check_complete(db: sqlite3.Connection, path: Path, *, logged: bool) -> None:
    """Raises `StorageError` if a database was opened without the log that its file needs.

    `logged` is what `has_log` returned before the database was opened.
    """
    if not logged and is_marked(db):
        raise StorageError(
            f"{path}-wal is missing, and with it what was committed last: put that file back beside"
            f" {path.name}, or go on without what was in it after: sqlite3 {path} 'pragma application_id=0'"
        )


def mark_incomplete(db: sqlite3.Connection) -> None:
    """Copies the log into the database file, and marks the file as incomplete without what comes after.

    To be called outside of a transaction, while nobody else uses the database.
    """
    try:
        _set_application_id(db, MARK)
        # Not `truncate`: killed at this point, it would leave a marked file with an empty log.
        db.execute("pragma wal_checkpoint(full)").fetchone()
    finally:
        unmark(db)


def unmark(db: sqlite3.Connection) -> None:
    """Removes the mark of a database whose log is there, or is in the file.

    A start that was interrupted in `mark_incomplete` leaves it: a complete file would be refused.
    """
    if is_marked(db):
        _set_application_id(db, 0)


def is_marked(db: sqlite3.Connection) -> bool:
    """Returns whether a database, with its log, is marked as incomplete without that."""
    return int(db.execute("pragma application_id").fetchone()[0]) == MARK


def _set_application_id(db: sqlite3.Connection, number: int) -> None:
    db.execute(f"pragma application_id={number}")
