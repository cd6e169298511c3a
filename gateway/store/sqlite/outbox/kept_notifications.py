"""Keeps notifications in SQLite until they are delivered."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from gateway.core.history import HistoryEntry
from gateway.core.run import Notification, Run, RunPhase
from gateway.store.notifications.outbox import notifications_of
from gateway.store.sqlite import row_mapping
from gateway.store.sqlite import sql_statements as sql
from gateway.store.sqlite.access import SqliteAccess

_ADD: Final = (
    "insert or ignore into notification (id, run, url, phase, at, tries, due_at) values (?, ?, ?, ?, ?, 0, ?)"
)
# Those that were tried least come first: a receiver that is away for hours delays no other.
_DUE: Final = (
    "select id, run, url, phase, at, tries from notification where due_at <= ?"
    " order by tries, due_at, id limit ?"
)
_PUT_OFF: Final = "update notification set tries = ?, due_at = ? where id = ?"
_CLAIM: Final = "update notification set due_at = ? where id = ?"
_END: Final = "delete from notification where id = ?"


class SqliteNotifications(SqliteAccess):
    """Keeps notifications in SQLite until they are delivered. Implements `KeepsNotifications`."""

    async def claim_notifications(self, *, now: float, until: float, limit: int) -> Sequence[Notification]:
        # Most looks find nothing: a read does not wait for a commit.
        if not await self._read(lambda db: _due(db, now, 1)):
            return ()
        return await self._write(lambda db: _claim(db, now, until, limit), brief=True)

    async def put_off_notification(self, identity: str, *, tries: int, until: float) -> None:
        await self._write(lambda db: db.execute(_PUT_OFF, (tries, until, identity)) and None, brief=True)

    async def end_notification(self, identity: str, *, entry: HistoryEntry) -> None:
        await self._write(lambda db: _end(db, identity, entry), brief=True)


def queue_notifications(db: sqlite3.Connection, run: Run, phase: RunPhase, at: float | None) -> None:
    """Stores the notifications about a run's end; none where it has not ended."""
    for one in notifications_of(run, phase, at or 0.0) if phase.terminal else ():
        db.execute(_ADD, (one.id, one.run, one.url, one.phase, one.at, one.at))


def _due(db: sqlite3.Connection, now: float, limit: int) -> list[Notification]:
    return [
        Notification(id=identity, run=run, url=url, phase=RunPhase(phase), at=at, tries=tries)
        for identity, run, url, phase, at, tries in db.execute(_DUE, (now, limit))
    ]


def _claim(db: sqlite3.Connection, now: float, until: float, limit: int) -> list[Notification]:
    found = _due(db, now, limit)
    db.executemany(_CLAIM, [(until, one.id) for one in found])
    return found


def _end(db: sqlite3.Connection, identity: str, entry: HistoryEntry) -> None:
    db.execute(_END, (identity,))
    db.execute(sql.INSERT_HISTORY, row_mapping.history_row(entry))
