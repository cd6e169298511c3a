"""The mark of a restored store, by which the gateway begins a new era at its next start."""

import sqlite3
from typing import Final

from gateway.core.history import HistoryEntry
from gateway.store.sqlite import transactions
from gateway.store.sqlite.access import SqliteAccess

_MARK: Final = "insert or replace into meta values ('restored', ?)"
_MARKED: Final = "select 1 from meta where name = 'restored'"
_UNMARK: Final = "delete from meta where name = 'restored'"


def mark_restored(db: sqlite3.Connection, entry: HistoryEntry) -> None:
    """Marks a store as restored from a backup, and stores the history `entry` that says so."""
    db.execute(_MARK, (str(entry.at),))
    transactions.append_history(db, [entry])


class SqliteRestoredMark(SqliteAccess):
    """The part of the SQLite store that knows whether it was restored. Implements `RemembersRestore`."""

    async def is_restored(self) -> bool:
        return await self._read(lambda db: db.execute(_MARKED).fetchone()) is not None

    async def end_restore(self) -> None:
        await self._write(lambda db: db.execute(_UNMARK))
