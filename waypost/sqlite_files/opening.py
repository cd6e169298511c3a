"""Opens the connection that writes to a SQLite database, with a write-ahead log, and checks the file."""

import sqlite3
from pathlib import Path
from typing import Final

from waypost.sqlite_files.missing_log import check_complete, has_log, unmark
from waypost.sqlite_files.structure_check import check_file

CHECK_SECONDS: Final = 1.0
"""The most seconds for which a file is checked when it is opened, enough for about 250 MiB."""
PRAGMAS: Final = ("journal_mode=wal", "synchronous=full", "wal_autocheckpoint=4000", "foreign_keys=off")


def connect(path: str) -> sqlite3.Connection:
    """Connects to a database, for use by any thread, one at a time; transactions begin explicitly."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)


def open_for_reading(path: str) -> sqlite3.Connection:
    """Opens a further connection to a database, which writes nothing and makes no checkpoints."""
    db = connect(path)
    for pragma in ("query_only=1", "wal_autocheckpoint=0"):
        db.execute(f"pragma {pragma}")
    return db


def open_for_writing(path: str) -> sqlite3.Connection:
    """Opens a database and checks its file; `:memory:` has none.

    Raises `sqlite3.Error` where it cannot be opened or is damaged, and `StorageError` where its write-ahead
    log is missing.
    """
    logged = has_log(Path(path))
    db = connect(path)
    try:
        for pragma in PRAGMAS:
            db.execute(f"pragma {pragma}")
        if path != ":memory:":
            check_complete(db, Path(path), logged=logged)
            if logged:
                unmark(db)
            check_file(db, CHECK_SECONDS)
    except BaseException:
        db.close()
        raise
    return db
