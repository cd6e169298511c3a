"""Numbered SQL, applied in order, once each, and never changed afterwards. New versions expand first and contract a release later."""

import hashlib
import sqlite3
from importlib.resources import files

from waypost.sqlite_database import StorageError


def migrate(db: sqlite3.Connection) -> None:
    """Brings the schema up to date. Raises `StorageError` where the file is newer than this program, or a migration was changed."""
    db.execute(
        "create table if not exists migration (number integer primary key, name text not null, checksum text not null)"
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
            for statement in known[name].split(";\n"):
                db.execute(statement)
            db.execute(
                "insert into migration values (?, ?, ?)", (int(name.partition("_")[0]), name, checksum)
            )
        elif applied[name] != checksum:
            raise StorageError(f"migration {name} is not the one that this store was made with")
