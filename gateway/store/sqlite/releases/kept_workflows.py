"""Keeps released workflows, with their versions and documents, in SQLite."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.core.history import HistoryEntry
from gateway.core.principal import Principal
from gateway.core.workflow_release import ReleasedWorkflow
from gateway.store.sqlite import row_mapping
from gateway.store.sqlite.access import SqliteAccess
from gateway.store.sqlite.transactions import append_history
from gateway.store.workflows import FoundWorkflows, StagedWorkflow

_ONE: Final = "select state from released_workflow where tenant = ? and name = ?"
_COUNT: Final = "select count(*) from released_workflow where tenant = ?"
_PAGE: Final = (
    "select state from released_workflow where (tenant, name) > (?, ?)"
    " and (? is null or tenant in (select value from json_each(?))) order by tenant, name limit ?"
)
_DOCUMENT: Final = "select document from workflow_version where tenant = ? and name = ? and number = ?"
_INSERT: Final = "insert or ignore into released_workflow (tenant, name, rev, state) values (?, ?, ?, ?)"
_SWAP: Final = "update released_workflow set rev = ?, state = ? where tenant = ? and name = ? and rev = ?"
_INSERT_DOCUMENT: Final = "insert into workflow_version (tenant, name, number, document) values (?, ?, ?, ?)"
_FORGET_DOCUMENTS: Final = (
    "delete from workflow_version where tenant = ? and name = ?"
    " and number not in (select value from json_each(?))"
)

_STAGED: Final = (
    "select state, asked_by from staged_release join released_workflow using (tenant, name)"
    " where (tenant, name) > (?, ?) order by tenant, name limit ?"
)
_STAGE: Final = "insert or replace into staged_release (tenant, name, asked_by) values (?, ?, ?)"
_UNSTAGE: Final = "delete from staged_release where tenant = ? and name = ?"

_decode_principal = msgspec.json.Decoder(Principal).decode
_decode = msgspec.json.Decoder(ReleasedWorkflow).decode


class SqliteWorkflows(SqliteAccess):
    """Keeps released workflows, with their versions and documents, in SQLite. Implements `KeepsWorkflows`."""

    async def released_workflow(self, tenant: str, name: str) -> ReleasedWorkflow | None:
        return await self._read(lambda db: _one(db, tenant, name))

    async def count_workflows(self, tenant: str) -> int:
        return await self._read(lambda db: int(db.execute(_COUNT, (tenant,)).fetchone()[0]))

    async def released_workflows(
        self, *, tenants: tuple[str, ...] | None, limit: int, after: tuple[str, str] = ("", "")
    ) -> FoundWorkflows:
        permitted = None if tenants is None else row_mapping.to_json(tenants)
        parameters = (*after, permitted, permitted, limit + 1)
        found = await self._read(lambda db: [_decode(state) for (state,) in db.execute(_PAGE, parameters)])
        last = found[limit - 1] if len(found) > limit else None
        return FoundWorkflows(
            workflows=tuple(found[:limit]), next=None if last is None else (last.tenant, last.name)
        )

    async def workflow_document(self, tenant: str, name: str, number: int) -> bytes | None:
        row = await self._read(lambda db: db.execute(_DOCUMENT, (tenant, name, number)).fetchone())
        return None if row is None else bytes(row[0])

    async def staged_workflows(
        self, *, limit: int, after: tuple[str, str] = ("", "")
    ) -> Sequence[StagedWorkflow]:
        return await self._read(
            lambda db: [
                StagedWorkflow(workflow=_decode(state), asked_by=_decode_principal(asked_by))
                for state, asked_by in db.execute(_STAGED, (*after, limit))
            ]
        )

    async def write_workflow(
        self,
        workflow: ReleasedWorkflow,
        *,
        entry: HistoryEntry,
        document: bytes | None = None,
        asked_by: Principal | None = None,
    ) -> bool:
        return await self._write(lambda db: _write(db, workflow, entry, document, asked_by))


def _one(db: sqlite3.Connection, tenant: str, name: str) -> ReleasedWorkflow | None:
    row = db.execute(_ONE, (tenant, name)).fetchone()
    return None if row is None else _decode(row[0])


def _write(
    db: sqlite3.Connection,
    workflow: ReleasedWorkflow,
    entry: HistoryEntry,
    document: bytes | None,
    asked_by: Principal | None,
) -> bool:
    state, key = row_mapping.to_json(workflow), (workflow.tenant, workflow.name)
    if workflow.rev == 1:
        changed = db.execute(_INSERT, (*key, workflow.rev, state)).rowcount
    else:
        changed = db.execute(_SWAP, (workflow.rev, state, *key, workflow.rev - 1)).rowcount
    if not changed:
        return False
    if document is not None:
        db.execute(_INSERT_DOCUMENT, (*key, workflow.versions[-1].number, document))
        numbers = row_mapping.to_json([one.number for one in workflow.versions])
        db.execute(_FORGET_DOCUMENTS, (*key, numbers))
    if workflow.canary is None or not workflow.canary.steps:
        db.execute(_UNSTAGE, key)
    elif asked_by is not None:
        db.execute(_STAGE, (*key, row_mapping.to_json(asked_by)))
    append_history(db, [entry])
    return True
