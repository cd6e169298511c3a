"""Keeps policy bundles and their rollout states in SQLite."""

import sqlite3
from typing import Final

import msgspec

from gateway.core.history import HistoryEntry
from gateway.policy.rollout.bundle_states import Rollout
from gateway.store.sqlite import row_mapping
from gateway.store.sqlite import sql_statements as sql
from gateway.store.sqlite.access import SqliteAccess

_READ: Final = "select state from policy_rollout"
_WRITE: Final = (
    "insert into policy_rollout (id, generation, state) values (1, :generation, :state)"
    " on conflict (id) do update set generation = :generation, state = :state"
    " where generation = :generation - 1"
)
_ARCHIVE: Final = "select archive from policy_bundle where sequence = ?"
_INSERT_ARCHIVE: Final = "insert into policy_bundle (sequence, archive) values (?, ?)"
_SEQUENCES: Final = "select sequence from policy_bundle"
_DELETE_ARCHIVE: Final = "delete from policy_bundle where sequence = ?"

_decode_rollout = msgspec.json.Decoder(Rollout).decode


class SqliteRollout(SqliteAccess):
    """Keeps the archives and rollout states of policy bundles in SQLite. Implements `KeepsRollout`."""

    async def rollout(self) -> Rollout:
        row = await self._read(lambda db: db.execute(_READ).fetchone())
        return Rollout() if row is None else _decode_rollout(row[0])

    async def bundle_archive(self, sequence: int) -> bytes | None:
        row = await self._read(lambda db: db.execute(_ARCHIVE, (sequence,)).fetchone())
        return None if row is None else bytes(row[0])

    async def write_rollout(
        self, rollout: Rollout, *, entry: HistoryEntry, archive: bytes | None = None
    ) -> bool:
        return await self._write(lambda db: _write(db, rollout, entry, archive))


def _write(db: sqlite3.Connection, rollout: Rollout, entry: HistoryEntry, archive: bytes | None) -> bool:
    state = {"generation": rollout.generation, "state": row_mapping.to_json(rollout)}
    if db.execute(_WRITE, state).rowcount == 0:
        return False
    if archive is not None:
        db.execute(_INSERT_ARCHIVE, (rollout.newest, archive))
    kept = {release.sequence for release in rollout.releases}
    for (sequence,) in db.execute(_SEQUENCES).fetchall():
        if sequence not in kept:
            db.execute(_DELETE_ARCHIVE, (sequence,))
    db.execute(sql.INSERT_HISTORY, row_mapping.history_row(entry))
    return True
