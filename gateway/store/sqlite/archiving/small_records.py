"""Reads the whole records of small ended runs from SQLite, many with one call."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.store.retention import RunRecord
from gateway.store.sqlite import decision_queries, row_mapping
from gateway.store.sqlite import sql_statements as sql

ROWS_MAXIMUM: Final = 200
"""The most shards, tasks or history entries of a run that counts as small."""

_SIZE: Final = (
    "select length(workflow) + coalesce((select sum(size) + iif(count(*) > :rows, :bytes, 0) from (select"
    " length(state) as size from shard where run = :run limit :rows + 1)), 0)"
    " + coalesce((select sum(size) + iif(count(*) > :rows, :bytes, 0) from (select"
    " length(state) as size from task_result where run = :run limit :rows + 1)), 0)"
    " + coalesce((select sum(size) + iif(count(*) > :rows, :bytes, 0) from (select"
    " length(detail) as size from audit where run = :run limit :rows + 1)), 0)"
    " from run where id = :run"
)


def read_small_records(
    db: sqlite3.Connection, run_ids: Sequence[str], maximum_bytes: int
) -> Sequence[RunRecord]:
    """Reads the records of those of the runs that are small, and of which every row decodes."""
    found = []
    for run_id in run_ids:
        row = db.execute(_SIZE, {"run": run_id, "rows": ROWS_MAXIMUM, "bytes": maximum_bytes}).fetchone()
        if row is None or row[0] >= maximum_bytes:
            continue
        try:
            found.append(_record(db, run_id))
        except (msgspec.MsgspecError, ValueError):
            # A read of the run by itself says which row is damaged.
            continue
    return found


def _record(db: sqlite3.Connection, run_id: str) -> RunRecord:
    run = row_mapping.read_run(db.execute(sql.RUN, (run_id,)).fetchone())
    statement, parameters = sql.tasks_of(run_id, None, limit=None, outputs=True)
    history = [row_mapping.read_history(row) for row in db.execute(sql.HISTORY, (run_id, 0, ROWS_MAXIMUM))]
    behind = {run.decision_id} | {entry.decision_id for entry in history if entry.decision_id is not None}
    decisions = [decision_queries.find_decision(db, name) for name in sorted(behind)]
    return RunRecord(
        run=run,
        shards=row_mapping.read_shards(db.execute(sql.SHARDS_OF_RUN, (run_id,))),
        tasks=row_mapping.read_tasks(db.execute(statement, parameters), encoded=True),
        history=history,
        decisions=[decision for decision in decisions if decision is not None],
    )
