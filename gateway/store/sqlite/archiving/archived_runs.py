"""Lets ended runs go from SQLite once they are archived: lists them, takes them out, deletes their rows."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import structs

from gateway.store.retention import ArchivedRun, Purged, RetentionCounts, RunRecord
from gateway.store.sqlite import row_mapping
from gateway.store.sqlite import sql_statements as sql
from gateway.store.sqlite.access import SqliteAccess
from gateway.store.sqlite.archiving.archived_trail import purge_trail
from gateway.store.sqlite.archiving.deletion_budget import DeletionBudget
from gateway.store.sqlite.archiving.small_records import read_small_records
from gateway.store.sqlite.archiving.trail_mark import cut_entry
from gateway.store.trail import TRAIL_KINDS

_TRAIL: Final = f"kind in ({', '.join(repr(kind.value) for kind in TRAIL_KINDS)})"
_ENDED: Final = (
    "select id from run indexed by run_by_end where finished_at is not null and finished_at < ?"
    " and id not in (select value from json_each(?))"
    " and not exists (select 1 from shard where shard.run = run.id and shard.orphans > 0)"
    " order by finished_at limit ?"
)
_NTH_NEWEST: Final = (
    "select finished_at from run indexed by run_by_end where finished_at is not null"
    " order by finished_at desc limit 1 offset ?"
)
_OLDEST: Final = (
    "select finished_at from run indexed by run_by_end where finished_at is not null"
    " order by finished_at limit 1"
)
_COUNTS: Final = (
    "select (select count(*) from run indexed by run_by_end where finished_at is not null),"
    " (select min(finished_at) from run indexed by run_by_end where finished_at is not null),"
    " (select count(*) from archived_run),"
    " (select count(*) from run indexed by run_by_end where finished_at is not null and finished_at < ?)"
)
_MARK: Final = "insert or replace into archived_run (id, tenant, purged, state) values (?, ?, 0, ?)"
_DELETE_RUN: Final = (
    "delete from run where id = ? and finished_at = ?"
    " and not exists (select 1 from shard where shard.run = run.id and shard.orphans > 0)"
)
_FIND: Final = "select state from archived_run where id = ?"
_TO_PURGE: Final = "select id from archived_run where purged = 0 limit 1"
_PURGED: Final = "update archived_run set purged = 1 where id = ?"
_TASKS: Final = "select shard, task, length(state) from task_result where run = ? limit ?"
_DELETE_TASK: Final = "delete from task_result where run = ? and shard = ? and task = ?"
_SHARDS: Final = "select idx, length(state) from shard where run = ? limit ?"
_DELETE_SHARD: Final = "delete from shard where run = ? and idx = ?"
# The newest entry stays: SQLite would give its number again, and the trail is sealed in the order of numbers.
_HISTORY: Final = (
    "select seq, detail ->> '$.decision_id', length(detail) + coalesce((select length(state)"
    " + coalesce(length(document), 0) from decision where decision.id = audit.detail ->> '$.decision_id'), 0)"
    f" from audit where run = ? and (seq <= ? or not {_TRAIL}) and seq < (select max(seq) from audit)"
    " order by seq limit ?"
)
_DELETE_HISTORY: Final = "delete from audit where seq = ?"
# Those behind acceptance and acts are part of the audit trail.
_DELETE_DECISION: Final = (
    "delete from decision where id = ? and not exists (select 1 from audit"
    f" where run = ? and seq > ? and {_TRAIL} and detail ->> '$.decision_id' = decision.id)"
)
_TIME: Final = "select value from meta where name = 'retention_time'"
_KEEP_TIME: Final = "insert or replace into meta values ('retention_time', ?)"
_FORGET: Final = (
    "delete from archived_run where id in (select id from archived_run indexed by archived_run_by_time"
    " where purged = 1 and state ->> '$.archived_at' < ? order by state ->> '$.archived_at' limit ?)"
)

_decode = msgspec.json.Decoder(ArchivedRun).decode


class SqliteRetention(SqliteAccess):
    """Lets ended runs go from SQLite once they are archived. Implements `Retains`."""

    async def ended_runs(self, *, before: float, limit: int, without: Sequence[str] = ()) -> Sequence[str]:
        where = (before, row_mapping.to_json(without), limit)
        return await self._read(lambda db: [name for (name,) in db.execute(_ENDED, where)])

    async def oldest_end(self) -> float | None:
        row = await self._read(lambda db: db.execute(_OLDEST).fetchone())
        return None if row is None else float(row[0])

    async def nth_newest_end(self, number: int) -> float | None:
        row = await self._read(lambda db: db.execute(_NTH_NEWEST, (number - 1,)).fetchone())
        return None if row is None else float(row[0])

    async def small_records(self, run_ids: Sequence[str], *, maximum_bytes: int) -> Sequence[RunRecord]:
        return await self._read(lambda db: read_small_records(db, run_ids, maximum_bytes))

    async def archive_runs(self, archived: Sequence[ArchivedRun]) -> Sequence[bool]:
        return await self._write(lambda db: [_take_out(db, each) for each in archived])

    async def archived_run(self, run_id: str) -> ArchivedRun | None:
        row = await self._read(lambda db: db.execute(_FIND, (run_id,)).fetchone())
        return None if row is None else _decode(row[0])

    async def purge(self, *, limit: int, maximum_bytes: int) -> Purged:
        return await self._write(lambda db: _purge(db, limit, maximum_bytes))

    async def forget_archived(self, *, before: float, limit: int) -> int:
        return await self._write(lambda db: db.execute(_FORGET, (before, limit)).rowcount)

    async def retention_time(self) -> float | None:
        row = await self._read(lambda db: db.execute(_TIME).fetchone())
        return None if row is None else float(row[0])

    async def keep_retention_time(self, at: float) -> None:
        await self._write(lambda db: db.execute(_KEEP_TIME, (repr(at),)) and None, brief=True)

    async def retention_counts(self, *, before: float | None = None) -> RetentionCounts:
        ended, oldest, archived, due = await self._read(lambda db: db.execute(_COUNTS, (before,)).fetchone())
        return RetentionCounts(ended=ended, oldest_finished_at=oldest, archived=archived, due=due)


def _take_out(db: sqlite3.Connection, archived: ArchivedRun) -> bool:
    run = archived.run
    labels = db.execute(sql.LABELS_OF_RUN, (run.id,)).fetchall()
    if db.execute(_DELETE_RUN, (run.id, run.finished_at)).rowcount == 0:
        return False
    for label in labels:
        db.execute(sql.DELETE_LABEL, label)
    without_document = structs.replace(archived, run=structs.replace(run, workflow=b""))
    db.execute(_MARK, (run.id, run.tenant, row_mapping.to_json(without_document)))
    return True


def _purge(db: sqlite3.Connection, limit: int, maximum_bytes: int) -> Purged:
    deleted: Counter[str] = Counter()
    budget = DeletionBudget(rows=limit, bytes_=maximum_bytes)
    cut = cut_entry(db)
    while budget.rows and (found := db.execute(_TO_PURGE).fetchone()):
        if _purge_run(db, found[0], cut, deleted, budget):
            db.execute(_PURGED, found)
    more = not budget.rows or purge_trail(db, deleted, budget)
    return Purged(rows=+deleted, more=more)


def _purge_run(
    db: sqlite3.Connection, run: str, cut: int, deleted: Counter[str], budget: DeletionBudget
) -> bool:
    """Deletes rows of an archived run and counts them; returns whether none is left."""
    for kind, find, delete in (("tasks", _TASKS, _DELETE_TASK), ("shards", _SHARDS, _DELETE_SHARD)):
        # One more than there is room for, which shows that some are left.
        rows = db.execute(find, (run, budget.rows + 1)).fetchall()
        taken = [(run, *key) for key in budget.taken_from(rows)]
        db.executemany(delete, taken)
        deleted[kind] += len(taken)
        if len(taken) < len(rows):
            return False
    entries = db.execute(_HISTORY, (run, cut, budget.rows + 1)).fetchall()
    taken = list(budget.taken_from(entries))
    for seq, decision in taken:
        deleted["history"] += db.execute(_DELETE_HISTORY, (seq,)).rowcount
        if decision is not None:
            deleted["decisions"] += db.execute(_DELETE_DECISION, (decision, run, cut)).rowcount
    return len(taken) == len(entries)
