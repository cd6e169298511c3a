"""The mark in SQLite that says which part of the audit trail was archived, and how far it has left."""

import sqlite3
from typing import Final

import msgspec

from gateway.store.sqlite import row_mapping
from gateway.store.trail import ArchivedTrail

_READ: Final = "select value from meta where name = 'archived_trail'"
_WRITE: Final = "insert or replace into meta values ('archived_trail', ?)"

_decode = msgspec.json.Decoder(ArchivedTrail).decode


def read_mark(db: sqlite3.Connection) -> ArchivedTrail | None:
    """Reads which part of the audit trail was archived last; None if none was."""
    row = db.execute(_READ).fetchone()
    return None if row is None else _decode(row[0])


def write_mark(db: sqlite3.Connection, archived: ArchivedTrail) -> None:
    """Stores which part of the audit trail was archived last, and how far it has left."""
    db.execute(_WRITE, (row_mapping.to_json(archived),))


def cut_entry(db: sqlite3.Connection) -> int:
    """Returns the number of the last history entry that is no part of the trail any more; 0: none is."""
    mark = read_mark(db)
    if mark is None:
        return 0
    return mark.last_entry if mark.cut else mark.before


def cut_seal(db: sqlite3.Connection) -> int:
    """Returns the number of the last seal that is no part of the trail any more; 0 if none is there still."""
    mark = read_mark(db)
    return mark.last_seal if mark is not None and mark.cut else 0
