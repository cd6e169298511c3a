"""SQLite stores for tests, in files that have their tables already."""

import sqlite3
import tempfile
from functools import cache
from pathlib import Path

from gateway.store.sqlite import transactions
from gateway.store.sqlite.store import SqliteStore
from waypost.files.permissions import write_private
from waypost.sqlite_group_commit import Database


@cache
def _empty() -> bytes:
    """Returns the content of a new store's file. To make its tables takes longer than many a test."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.db"
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("pragma journal_mode=wal")
        db.execute("begin")
        transactions.prepare(db)
        db.execute("commit")
        db.close()
        return path.read_bytes()


def store_at(path: Path) -> SqliteStore:
    """Returns the store in the file `path`, which is made if it is not there."""
    if not path.exists():
        write_private(path, _empty())
    return SqliteStore(Database(path))
