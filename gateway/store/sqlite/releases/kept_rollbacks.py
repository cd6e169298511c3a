"""Keeps alerts and automatic rollbacks in SQLite."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import structs

from gateway.core.history import HistoryEntry
from gateway.core.rollback import ACTED, Alert, Rollback
from gateway.store.rollbacks import FoundAlerts, FoundRollbacks
from gateway.store.sqlite import row_mapping
from gateway.store.sqlite.access import SqliteAccess
from gateway.store.sqlite.transactions import append_history

ALERTS_KEPT: Final = 10_000
ROLLBACKS_KEPT: Final = 1_000
"""The maximum number of stored rollbacks that were not carried out; those carried out are all kept."""

_WHERE: Final = "where group_key = ? and fingerprint = ? and starts_at = ?"
_TAKE: Final = (
    "insert or ignore into alert (group_key, fingerprint, starts_at, settled, state) values (?, ?, ?, ?, ?)"
)
_RESOLVE: Final = f"update alert set settled = 1, state = ? {_WHERE} and settled = 0"
_SETTLE: Final = f"update alert set settled = 1 {_WHERE}"
_FORGET: Final = "delete from alert where id <= (select max(id) from alert) - ?"
_OPEN: Final = "select id, state from alert where settled = 0 and id > ? order by id limit ?"
_INSERT: Final = (
    "insert or ignore into released_rollback (rev, kind, released, acted, state) values (?, ?, ?, ?, ?)"
)
_SWAP: Final = "update or ignore released_rollback set rev = ?, acted = ?, state = ? where id = ? and rev = ?"
_FORGET_ROLLBACKS: Final = (
    "delete from released_rollback where acted = 0 and id <= (select max(id) from released_rollback) - ?"
)
_ONE: Final = "select id, state from released_rollback where id = ?"
_LIST: Final = "select id, state from released_rollback where id < ? order by id desc limit ?"
_ACTED: Final = "select id, state from released_rollback where acted = 1 order by id desc limit ?"

_decode_alert = msgspec.json.Decoder(Alert).decode
_decode = msgspec.json.Decoder(Rollback).decode


class SqliteRollbacks(SqliteAccess):
    """Keeps alerts and automatic rollbacks in SQLite. Implements `KeepsRollbacks`."""

    async def take_alerts(self, alerts: Sequence[Alert]) -> int:
        return await self._write(lambda db: _take(db, alerts))

    async def open_alerts(self, *, limit: int, after: int = 0) -> FoundAlerts:
        rows = await self._read(lambda db: db.execute(_OPEN, (after, limit + 1)).fetchall())
        following = rows[limit - 1][0] if len(rows) > limit else None
        alerts = tuple(_decode_alert(state) for _, state in rows[:limit])
        return FoundAlerts(alerts=alerts, next=following)

    async def settle_alert(self, alert: Alert) -> None:
        await self._write(lambda db: _settle(db, alert))

    async def write_rollback(self, rollback: Rollback, *, settles: Alert | None = None) -> Rollback | None:
        return await self._write(lambda db: _write(db, rollback, settles))

    async def record_act(self, entry: HistoryEntry) -> None:
        await self._write(lambda db: append_history(db, [entry]))

    async def rollback(self, rollback_id: int) -> Rollback | None:
        found = await self._read(lambda db: _rollbacks(db, _ONE, rollback_id))
        return found[0] if found else None

    async def rollbacks(self, *, limit: int, before: int | None = None) -> FoundRollbacks:
        below = 2**63 - 1 if before is None else before
        found = await self._read(lambda db: _rollbacks(db, _LIST, below, limit + 1))
        following = found[limit - 1].id if len(found) > limit else None
        return FoundRollbacks(rollbacks=tuple(found[:limit]), next=following)

    async def acted_rollbacks(self, *, limit: int) -> Sequence[Rollback]:
        return await self._read(lambda db: _rollbacks(db, _ACTED, limit))


def _key(alert: Alert) -> tuple[str, str, str]:
    return alert.group, alert.fingerprint, alert.starts_at


def _take(db: sqlite3.Connection, alerts: Sequence[Alert]) -> int:
    new = 0
    for alert in alerts:
        state = row_mapping.to_json(alert)
        taken = db.execute(_TAKE, (*_key(alert), int(alert.resolved), state)).rowcount
        new += taken
        if alert.resolved and not taken:
            db.execute(_RESOLVE, (state, *_key(alert)))
    if new:
        db.execute(_FORGET, (ALERTS_KEPT,))
    return new


def _settle(db: sqlite3.Connection, alert: Alert) -> None:
    db.execute(_SETTLE, _key(alert))


def _write(db: sqlite3.Connection, rollback: Rollback, settles: Alert | None) -> Rollback | None:
    # The number is the column's.
    state = row_mapping.to_json(structs.replace(rollback, id=0))
    acted = int(rollback.phase in ACTED)
    if rollback.id == 0:
        row = (rollback.rev, rollback.kind, rollback.release, acted, state)
        cursor = db.execute(_INSERT, row)
        written = structs.replace(rollback, id=cursor.lastrowid or 0)
    else:
        cursor = db.execute(_SWAP, (rollback.rev, acted, state, rollback.id, rollback.rev - 1))
        written = rollback
    if not cursor.rowcount:
        return None
    if settles is not None:
        _settle(db, settles)
    if rollback.id == 0:
        db.execute(_FORGET_ROLLBACKS, (ROLLBACKS_KEPT,))
    return written


def _rollbacks(db: sqlite3.Connection, statement: str, *parameters: int) -> Sequence[Rollback]:
    return [
        structs.replace(_decode(state), id=rollback_id)
        for rollback_id, state in db.execute(statement, parameters)
    ]
