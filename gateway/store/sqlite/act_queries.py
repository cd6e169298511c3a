"""Lists audited actions, newest first, by a bounded scan of an index of such actions in SQLite."""

import sqlite3
from typing import Final

from gateway.core.history import ACTS, ExceptionDetail, HistoryEntry, OperationDetail, WorkflowDetail
from gateway.store.acts import ActQuery, FoundActs
from gateway.store.sqlite import row_mapping

SCANNED_MAXIMUM: Final = 2_000
"""The maximum number of actions scanned for one page, which takes some milliseconds."""

# The condition on `kind` is the index's own (`audit_of_acts` in migration 17), or SQLite would not take it.
_SCAN: Final = (
    "select audit.seq, audit.run, audit.shard, audit.kind, audit.at, audit.actor, audit.detail,"
    " coalesce(run.tenant, archived_run.tenant) from audit indexed by audit_of_acts"
    " left join run on run.id = audit.run left join archived_run on archived_run.id = audit.run"
    f" where ({' or '.join(f'audit.kind = {kind.value!r}' for kind in ACTS)})"
    " and audit.seq < ? order by audit.seq desc limit ?"
)
NEWEST: Final = 2**63 - 1


def find_acts(db: sqlite3.Connection, query: ActQuery) -> FoundActs:
    """Returns one page of the audited actions that match `query`, newest first."""
    found: list[HistoryEntry] = []
    scanned, last = 0, NEWEST if query.before is None else query.before
    for *columns, tenant in db.execute(_SCAN, (last, SCANNED_MAXIMUM)):
        entry = row_mapping.read_history(tuple(columns))
        if entry.at < query.since:
            # Entries are in the order of their commits, so all further ones are older.
            return FoundActs(entries=tuple(found), next=None)
        if _matches(entry, tenant, query):
            if len(found) == query.limit:
                return FoundActs(entries=tuple(found), next=found[-1].seq)
            found.append(entry)
        scanned, last = scanned + 1, entry.seq
    return FoundActs(entries=tuple(found), next=last if scanned == SCANNED_MAXIMUM else None)


def _matches(entry: HistoryEntry, tenant: str | None, query: ActQuery) -> bool:
    region = entry.detail.region if isinstance(entry.detail, OperationDetail) else None
    of_tenant = bool(entry.run)
    if isinstance(entry.detail, ExceptionDetail | WorkflowDetail):
        tenant, of_tenant = entry.detail.tenant, True
    return (
        entry.kind in query.kinds
        and query.actor in (None, entry.actor)
        and query.region in (None, region)
        and query.run in (None, entry.run)
        and (not of_tenant or query.tenants is None or tenant in query.tenants)
    )
