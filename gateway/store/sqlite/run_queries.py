"""Lists runs from SQLite, newest first, by an index that matches the query or else by a bounded scan."""

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from gateway.core.run import Run
from gateway.store.interface import FoundRuns, RunQuery
from gateway.store.sqlite import row_mapping
from gateway.store.sqlite.sql_statements import RUN, RUN_COLUMNS

SCANNED_MAXIMUM: Final = 2_000
"""The maximum number of runs scanned for one page, which takes some milliseconds."""

_HEAD_COLUMNS: Final = RUN_COLUMNS.replace("workflow", "x'' as workflow")
_HAS_LABEL: Final = (
    "exists (select 1 from run_label as label where label.tenant = run.tenant and label.name = ?"
    " and label.value = ? and label.run = run.id)"
)


class RunScan(NamedTuple):
    """An SQL statement that selects run ids, newest first, each with whether the run matches the query."""

    statement: str
    parameters: list[object]
    limit: int


def find_runs(db: sqlite3.Connection, query: RunQuery) -> FoundRuns:
    """Returns one page of the runs that match `query`, and the id after which the next page begins."""
    if query.tenants == ():
        return FoundRuns(runs=(), next=None)
    scan = run_scan(query)
    found: list[str] = []
    scanned, after = 0, query.after
    for run_id, matches in db.execute(scan.statement, scan.parameters).fetchall():
        if matches and len(found) == query.limit:
            return FoundRuns(runs=_heads(db, found), next=found[-1])
        if matches:
            found.append(run_id)
        scanned, after = scanned + 1, run_id
    return FoundRuns(runs=_heads(db, found), next=after if scanned == scan.limit else None)


def _heads(db: sqlite3.Connection, ids: list[str]) -> tuple[Run, ...]:
    # Without the documents, which can be a megabyte each.
    statement = f"select {_HEAD_COLUMNS} from run where id = ?"
    rows = (db.execute(statement, (run_id,)).fetchone() for run_id in ids)
    return tuple(row_mapping.read_run(row) for row in rows)


def read_some(db: sqlite3.Connection, run_ids: Sequence[str], maximum_bytes: int) -> dict[str, Run]:
    """Reads the runs with these ids, ending before their documents exceed `maximum_bytes` together."""
    found, size = dict[str, Run](), 0
    for run_id in run_ids:
        row = db.execute(RUN, (run_id,)).fetchone()
        if row is not None:
            run = row_mapping.read_run(row)
            size += len(run.workflow)
            if size > maximum_bytes:
                break
            found[run_id] = run
    return found


def run_scan(query: RunQuery) -> RunScan:
    """Builds the SQL statement for a query of runs; it uses the index that leaves the fewest runs to test."""
    labels = list(query.labels.items())
    table, key, where, given = "run", "id", ["true"], list[object]()
    tests, tested = list[str](), list[object]()
    phase = query.phase
    if query.tenants is not None and len(query.tenants) == 1:
        if labels:
            name, value = labels.pop(0)
            table, key = "run_label as found join run on run.id = found.run", "found.run"
            where, given = (
                ["found.tenant = ?", "found.name = ?", "found.value = ?"],
                [query.tenants[0], name, value],
            )
        elif phase is not None:
            where, given, phase = ["tenant = ?", "phase = ?"], [query.tenants[0], phase], None
        else:
            where, given = ["tenant = ?"], [query.tenants[0]]
    elif query.tenants is not None:
        tests.append(f"run.tenant in ({', '.join('?' * len(query.tenants))})")
        tested += query.tenants
    if phase is not None:
        tests.append("run.phase = ?")
        tested.append(phase)
    for label in labels:
        tests.append(_HAS_LABEL)
        tested += label
    if query.after is not None:
        where.append(f"{key} < ?")
        given.append(query.after)
    limit = max(SCANNED_MAXIMUM, query.limit + 1) if tests else query.limit + 1
    statement = (
        f"select {key}, {' and '.join(tests) or 'true'} from {table} where {' and '.join(where)}"
        f" order by {key} desc limit ?"
    )
    return RunScan(statement, [*tested, *given, limit], limit)
