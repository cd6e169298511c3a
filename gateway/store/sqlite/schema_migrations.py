"""Brings the SQLite database's schema up to date by numbered SQL files, each applied once, in order.

A file that was released is never changed. A new version expands the schema first and contracts it a release
later.
"""

import hashlib
import sqlite3
from importlib.resources import files

from waypost.sqlite_files.errors import StorageError


def migrate(db: sqlite3.Connection) -> None:
    """Applies the migrations that were not applied to the database yet.

    Raises `StorageError` where the database is newer than this program, or where the text of an applied
    migration has changed since.
    """
    db.execute(
        "create table if not exists migration"
        " (number integer primary key, name text not null, checksum text not null)"
    )
    applied = dict(db.execute("select name, checksum from migration order by number"))
    known = {
        entry.name: entry.read_text()
        for entry in files("gateway.store.sqlite").joinpath("migrations").iterdir()
        if entry.name.endswith(".sql")
    }
    if unknown := sorted(set(applied) - set(known)):
        raise StorageError(f"the store was written by a newer version: it has {', '.join(unknown)}")
    for name in sorted(known):
        checksum = hashlib.sha256(known[name].encode()).hexdigest()
        if name not in applied:
            # One statement at a time: sqlite3's `executescript` commits first, and a migration goes into the
            # caller's transaction.
            for statement in known[name].split(";\n"):
                db.execute(statement)
            number = int(name.partition("_")[0])
            db.execute("insert into migration values (?, ?, ?)", (number, name, checksum))
        elif applied[name] != checksum:
            raise StorageError(f"migration {name} is not the one that this store was made with")
