"""Keeps the seals (signed digests) of the audit trail in SQLite, and reads the trail's entries."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.store.sqlite.archiving.archived_trail import SqliteArchivedTrail, count_sealed
from gateway.store.sqlite.archiving.trail_mark import cut_entry, cut_seal
from gateway.store.trail import TRAIL_KINDS, Stretch
from observability.audit import ENTRIES_MAXIMUM, Seal

SCANNED_MAXIMUM: Final = 5_000
"""The maximum number of history entries scanned for one range, which takes some milliseconds."""

_SCAN: Final = (
    "select audit.seq, audit.run, audit.shard, audit.kind, audit.at, audit.actor, audit.detail,"
    " decision.state from audit left join decision"
    f" on audit.kind in ({', '.join(repr(kind.value) for kind in TRAIL_KINDS)})"
    " and decision.id = audit.detail ->> '$.decision_id'"
    " where audit.seq > ? order by audit.seq limit ?"
)
_SEALS: Final = "select state from seal where number > ? order by number limit ?"
_LAST: Final = "select state from seal order by number desc limit 1"
_ADD: Final = "insert or ignore into seal (number, state) values (?, ?)"

_decode_seal = msgspec.json.Decoder(Seal).decode


class SqliteTrail(SqliteArchivedTrail):
    """Reads the audit trail from SQLite and keeps its seals. Implements `KeepsTrail`, `ArchivesTrail`."""

    async def trail(self, *, after: int) -> Stretch:
        return await self._read(lambda db: _stretch(db, after))

    async def seals(self, *, after: int, limit: int) -> Sequence[Seal]:
        rows = await self._read(lambda db: db.execute(_SEALS, (max(after, cut_seal(db)), limit)).fetchall())
        return [_decode_seal(state) for (state,) in rows]

    async def last_seal(self) -> Seal | None:
        row = await self._read(lambda db: db.execute(_LAST).fetchone())
        return None if row is None else _decode_seal(row[0])

    async def add_seal(self, seal: Seal) -> bool:
        return await self._write(lambda db: _add(db, seal))


def _add(db: sqlite3.Connection, seal: Seal) -> bool:
    if not db.execute(_ADD, (seal.number, msgspec.json.encode(seal).decode())).rowcount:
        return False
    count_sealed(db, len(seal.entries))
    return True


def _stretch(db: sqlite3.Connection, after: int) -> Stretch:
    entries: dict[int, Mapping[str, Any]] = {}
    last = max(after, cut_entry(db))
    for number, run, shard, kind, at, actor, detail, decision in db.execute(_SCAN, (last, SCANNED_MAXIMUM)):
        last = number
        if kind not in TRAIL_KINDS:
            continue
        entries[number] = {
            "seq": number,
            "run": run,
            "shard": shard,
            "kind": kind,
            "at": at,
            "actor": actor,
            "detail": msgspec.json.decode(detail),
            "decision": None if decision is None else msgspec.json.decode(decision),
        }
        if len(entries) == ENTRIES_MAXIMUM:
            break
    return Stretch(entries=entries, last=last)
