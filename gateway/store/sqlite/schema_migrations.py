"""Brings the SQLite database's schema up to date by numbered SQL files, each applied once, in order.

A file that was released is never changed. A new version expands the schema first and contracts it a release
later.
"""

import hashlib
import sqlite3
from collections.abc import Collection, Mapping
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
    applied = check_known(db)
    for name, text in sorted(_known().items()):
        if name not in applied:
            # One statement at a time: sqlite3's `executescript` commits first, and a migration goes into the
            # caller's transaction.
            for statement in text.split(";\n"):
                db.execute(statement)
            number = int(name.partition("_")[0])
            db.execute("insert into migration values (?, ?, ?)", (number, name, _checksum(text)))


def check_known(db: sqlite3.Connection) -> Collection[str]:
    """Returns the names of the migrations that were applied to the database.

    Raises `StorageError` where one is unknown, since the database is newer than this program, or where the
    text of one has changed since.
    """
    applied: dict[str, str] = dict(db.execute("select name, checksum from migration order by number"))
    known = _known()
    if unknown := sorted(set(applied) - set(known)):
        raise StorageError(f"the store was written by a newer version: it has {', '.join(unknown)}")
    for name, checksum in applied.items():
        if checksum != _checksum(known[name]):
            raise StorageError(f"migration {name} is not the one that this store was made with")
    return applied


def _known() -> Mapping[str, str]:
    return {
        entry.name: entry.read_text()
        for entry in files("gateway.store.sqlite").joinpath("migrations").iterdir()
        if entry.name.endswith(".sql")
    }


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
