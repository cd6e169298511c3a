"""Lets the oldest part of the audit trail go from SQLite once it is archived, in steps."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import structs

from gateway.core.history import ACTS, HistoryEntry
from gateway.store.decisions import FoundDecisions, RecordedDecision
from gateway.store.sqlite import decision_queries, row_mapping
from gateway.store.sqlite import sql_statements as sql
from gateway.store.sqlite.access import SqliteAccess
from gateway.store.sqlite.archiving.deletion_budget import DeletionBudget
from gateway.store.sqlite.archiving.trail_mark import read_mark, write_mark
from gateway.store.trail import TRAIL_KINDS, ArchivedTrail
from observability.audit import Seal

SCANNED_MAXIMUM: Final = 1_000
"""The most rows that one call looks at, which takes some milliseconds."""
SEALS_AT_ONCE: Final = 20
"""The most seals that one commit deletes: each has up to 80 KB."""

_TRAIL: Final = f"kind in ({', '.join(repr(kind.value) for kind in TRAIL_KINDS)})"
# The condition is that of the index, or SQLite would not take it.
_ACTS: Final = " or ".join(f"kind = {kind.value!r}" for kind in ACTS)
_SEALED: Final = "select value from meta where name = 'sealed_entries'"
_COUNT: Final = "update meta set value = cast(value as integer) + ? where name = 'sealed_entries'"
_LAST_SEAL: Final = "select state from seal order by number desc limit 1"
_WITH_DOCUMENT: Final = (
    "select id from decision where document is not null"
    " and id in (select value from json_each(?)) order by id"
)
_DECISIONS: Final = (
    "select id, at, run, (run <> '' and (exists (select 1 from run where run.id = decision.run)"
    f" or exists (select 1 from audit where audit.run = decision.run and {_TRAIL}"
    " and detail ->> '$.decision_id' = decision.id)))"
    " or id in (select detail ->> '$.decision_id' from audit indexed by audit_of_acts"
    f" where ({_ACTS}) and seq > ?)"
    " from decision where id > ? and passing = 0 order by id limit ?"
)
_DELETE_DECISION: Final = "delete from decision where id = ?"
# Of runs that are gone whatever is left: the entry that was the newest when their rows were deleted.
_ENTRIES: Final = (
    "select seq, audit.run, detail ->> '$.decision_id',"
    f" (run <> '' or {_TRAIL}) and not exists (select 1 from run where run.id = audit.run),"
    " length(detail) + coalesce((select length(state) + coalesce(length(document), 0) from decision"
    " where decision.id = audit.detail ->> '$.decision_id'), 0)"
    " from audit where seq > ? and seq <= ? order by seq limit ?"
)
_DELETE_ENTRY: Final = "delete from audit where seq = ?"
# That of an act which is not about a run is left to `left_decisions`: others may have the same.
_DELETE_DECISION_OF_RUN: Final = (
    "delete from decision where id = ? and not exists (select 1 from audit"
    f" where run = ? and seq > ? and {_TRAIL} and detail ->> '$.decision_id' = decision.id)"
)
_DELETE_SEALS: Final = (
    "delete from seal where number in (select number from seal where number <= ? order by number limit ?)"
)

_decode_seal = msgspec.json.Decoder(Seal).decode


class SqliteArchivedTrail(SqliteAccess):
    """Lets the oldest part of the audit trail go from SQLite. Implements `ArchivesTrail`."""

    async def sealed_entries(self) -> int:
        return await self._read(lambda db: int(db.execute(_SEALED).fetchone()[0]))

    async def archived_trail(self) -> ArchivedTrail | None:
        return await self._read(read_mark)

    async def announce_archived_trail(self, archived: ArchivedTrail, *, entry: HistoryEntry) -> bool:
        return await self._write(lambda db: _announce(db, archived, entry))

    async def cut_trail(self) -> bool:
        return await self._write(_cut)

    async def kept_documents(self, decision_ids: Sequence[str]) -> Sequence[RecordedDecision]:
        return await self._read(lambda db: _kept_documents(db, decision_ids))

    async def left_decisions(
        self, *, before: float, beyond_entry: int, after: str, limit: int
    ) -> FoundDecisions:
        return await self._read(lambda db: _left(db, before, beyond_entry, after, limit))

    async def delete_decisions(self, decision_ids: Sequence[str]) -> None:
        ids = [(name,) for name in decision_ids]
        await self._write(lambda db: db.executemany(_DELETE_DECISION, ids) and None)


def count_sealed(db: sqlite3.Connection, entries: int) -> None:
    """Adds to the number of entries that are under the seals in the store."""
    db.execute(_COUNT, (entries,))


def _announce(db: sqlite3.Connection, archived: ArchivedTrail, entry: HistoryEntry) -> bool:
    before = read_mark(db)
    if before is not None and not before.deleted:
        return False
    number = db.execute(sql.INSERT_HISTORY, row_mapping.history_row(entry)).lastrowid or 0
    cut = 0 if before is None else before.last_entry
    fields = {"announced_by": number, "before": cut, "deleted_up_to": cut}
    write_mark(db, structs.replace(archived, cut=False, deleted=False, **fields))
    return True


def _cut(db: sqlite3.Connection) -> bool:
    mark = read_mark(db)
    if mark is None or mark.cut:
        return False
    newest = db.execute(_LAST_SEAL).fetchone()
    if newest is None or _decode_seal(newest[0]).entries[-1][0] < mark.announced_by:
        return False
    write_mark(db, structs.replace(mark, cut=True))
    count_sealed(db, -mark.entries)
    return True


def _kept_documents(db: sqlite3.Connection, decision_ids: Sequence[str]) -> list[RecordedDecision]:
    found = db.execute(_WITH_DOCUMENT, (row_mapping.to_json(decision_ids),)).fetchall()
    read = (decision_queries.find_recorded(db, name) for (name,) in found)
    return [recorded for recorded in read if recorded is not None]


def _left(db: sqlite3.Connection, before: float, beyond_entry: int, after: str, limit: int) -> FoundDecisions:
    found: list[RecordedDecision] = []
    scanned, last = 0, after
    for name, at, _, needed in db.execute(_DECISIONS, (beyond_entry, after, SCANNED_MAXIMUM)):
        # Ids are in the order of time, so all further ones are newer.
        if at >= before:
            return FoundDecisions(decisions=tuple(found), next=None)
        if len(found) == limit:
            return FoundDecisions(decisions=tuple(found), next=last)
        scanned, last = scanned + 1, name
        if not needed and (recorded := decision_queries.find_recorded(db, name)) is not None:
            found.append(recorded)
    return FoundDecisions(decisions=tuple(found), next=last if scanned == SCANNED_MAXIMUM else None)


def purge_trail(db: sqlite3.Connection, deleted: Counter[str], budget: DeletionBudget) -> bool:
    """Deletes rows of a part of the trail that was cut, and counts them; returns whether more may be left."""
    mark = read_mark(db)
    if mark is None or not mark.cut or mark.deleted:
        return False
    looked_at, more = mark.deleted_up_to, True
    rows = db.execute(_ENTRIES, (looked_at, mark.last_entry, SCANNED_MAXIMUM)).fetchall()
    for number, run, decision, goes, size in rows:
        if goes and not budget.take(size):
            break
        looked_at = number
        if goes:
            deleted["trail"] += db.execute(_DELETE_ENTRY, (number,)).rowcount
            if run and decision is not None:
                where = (decision, run, mark.last_entry)
                deleted["decisions"] += db.execute(_DELETE_DECISION_OF_RUN, where).rowcount
    if not rows:
        several = min(budget.rows, SEALS_AT_ONCE)
        gone = db.execute(_DELETE_SEALS, (mark.last_seal, several)).rowcount
        deleted["seals"] += gone
        more = gone == several
    write_mark(db, structs.replace(mark, deleted_up_to=looked_at, deleted=not more))
    return more
