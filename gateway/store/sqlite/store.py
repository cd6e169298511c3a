"""`SqliteStore`: keeps the runs, shards and all other data of one gateway process in one SQLite file.

Reads are here; writes are in `transactions.py`, and the SQL of both in `sql_statements.py`.
`waypost.sqlite_group_commit` makes commits durable and shares them among callers.
"""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, Self, TypeVar

from gateway.core.decision import Decision
from gateway.core.history import HistoryEntry
from gateway.core.run import Run, TaskRow
from gateway.core.shard_states import Phase, Shard
from gateway.regions.region_condition import Taint
from gateway.steady_clock import MachineBoot
from gateway.store.acts import ActQuery, FoundActs
from gateway.store.interface import (
    Admission,
    Admitted,
    Cursor,
    FoundRuns,
    OpenWork,
    RunQuery,
    ShardWrite,
    StoreUnusable,
)
from gateway.store.sqlite import row_mapping, transactions
from gateway.store.sqlite import sql_statements as sql
from gateway.store.sqlite.act_queries import find_acts
from gateway.store.sqlite.archiving.archived_runs import SqliteRetention
from gateway.store.sqlite.backups.restored_mark import SqliteRestoredMark
from gateway.store.sqlite.kept_decisions import SqliteDecisions
from gateway.store.sqlite.kept_exceptions import SqliteExceptions
from gateway.store.sqlite.kept_rollout import SqliteRollout
from gateway.store.sqlite.kept_trail import SqliteTrail
from gateway.store.sqlite.outbox.kept_notifications import SqliteNotifications
from gateway.store.sqlite.releases.kept_rollbacks import SqliteRollbacks
from gateway.store.sqlite.releases.kept_routing import SqliteRouting
from gateway.store.sqlite.releases.kept_workflows import SqliteWorkflows
from gateway.store.sqlite.run_queries import find_runs, read_some
from gateway.store.sqlite.stage_inputs import SqliteStages
from gateway.store.subscriptions import Subscriptions
from gateway.store.tenant_limits import beginning_after, in_turns
from waypost.sqlite_files.errors import StorageError
from waypost.sqlite_group_commit import Database
from waypost.workflow.task_phase import TaskPhase

T = TypeVar("T")

PENDING_SCANNED: Final = 4
"""The maximum number of one tenant's waiting shards scanned for each shard that is requested."""

BRIEF_SHARDS: Final = 16
"""The maximum number of shards of a run that is written on the event loop's thread, in microseconds."""

BRIEF_ROWS: Final = 150
"""The maximum number of rows that `record` writes on the event loop's thread.

On the writer's thread each row waits for a busy interpreter's lock.
"""


class SqliteStore(
    SqliteDecisions,
    SqliteExceptions,
    SqliteNotifications,
    SqliteRestoredMark,
    SqliteRetention,
    SqliteRollbacks,
    SqliteRollout,
    SqliteRouting,
    SqliteStages,
    SqliteTrail,
    SqliteWorkflows,
):
    """A store in one SQLite file, which one process opens at a time. Implements `Store`."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._identity, self._era = "", 0
        self._subscriptions = Subscriptions()

    async def __aenter__(self) -> Self:
        try:
            await self._database.__aenter__()
        except StorageError as error:
            raise StoreUnusable(str(error)) from error
        try:
            self._identity, self._era = await self._database.write(transactions.prepare)
            await self._database.mark_incomplete()
        except BaseException as error:
            # A store whose schema is refused must not keep the file's lock: the next start would find it in
            # use.
            await self._database.__aexit__()
            if isinstance(error, StorageError):
                raise StoreUnusable(str(error)) from error
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._database.__aexit__()

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def era(self) -> int:
        return self._era

    async def raise_era(self, *, entry: HistoryEntry) -> None:
        self._era = await self._write(lambda db: transactions.raise_era(db, entry))

    async def admit(self, admission: Admission) -> Admitted:
        # A run of many shards would hold up the event loop: it is written on the writer's thread.
        brief = len(admission.shards) <= BRIEF_SHARDS
        admitted = await self._write(lambda db: transactions.admit(db, admission), brief=brief)
        # A known key has changed nothing.
        if not admitted.replay:
            self._subscriptions.notify(admission.run.id)
        return admitted

    async def run(self, run_id: str) -> Run | None:
        row = await self._read(lambda db: db.execute(sql.RUN, (run_id,)).fetchone())
        return None if row is None else row_mapping.read_run(row)

    async def some_runs(self, run_ids: Sequence[str], *, maximum_bytes: int) -> Mapping[str, Run]:
        return await self._read(lambda db: read_some(db, run_ids, maximum_bytes))

    async def runs(self, query: RunQuery) -> FoundRuns:
        return await self._read(lambda db: find_runs(db, query))

    async def shards(self, run_id: str) -> Sequence[Shard]:
        return await self._shards(sql.SHARDS_OF_RUN, run_id)

    async def shard(self, run_id: str, index: int) -> Shard | None:
        found = await self._shards(sql.SHARD, run_id, index)
        return found[0] if found else None

    async def tasks(
        self,
        run_id: str,
        shard: int | None = None,
        *,
        limit: int | None = None,
        maximum_bytes: int | None = None,
        outputs: bool = True,
        encoded: bool = False,
    ) -> Sequence[TaskRow]:
        statement, parameters = sql.tasks_of(run_id, shard, limit=limit, outputs=outputs)
        return await self._read(
            lambda db: row_mapping.read_tasks(
                db.execute(statement, parameters), maximum_bytes, encoded=encoded
            )
        )

    async def task(self, run_id: str, shard: int, name: str) -> TaskRow | None:
        where = (run_id, shard, name)
        found = await self._read(lambda db: row_mapping.read_tasks(db.execute(sql.TASK, where)))
        return found[0] if found else None

    async def task_counts(self, run_id: str, shard: int | None = None) -> Mapping[TaskPhase, int]:
        statement, parameters = sql.task_counts_of(run_id, shard)
        found = await self._read(lambda db: db.execute(statement, parameters).fetchall())
        return {TaskPhase(phase): count for phase, count in found}

    async def history(self, run_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[HistoryEntry]:
        where = (run_id, after, limit)
        return await self._read(
            lambda db: [row_mapping.read_history(row) for row in db.execute(sql.HISTORY, where)]
        )

    async def acts(self, query: ActQuery) -> FoundActs:
        return await self._read(lambda db: find_acts(db, query))

    async def count_open_work(self, tenant: str) -> OpenWork:
        return await self._read(lambda db: transactions.count_open_work(db, tenant))

    async def pending(
        self,
        *,
        now: float,
        limit: int,
        without: Sequence[str] = (),
        without_tenants: Sequence[str] = (),
        after: str = "",
    ) -> Sequence[Shard]:
        given = (now, row_mapping.to_json(without), limit * PENDING_SCANNED, now, now)
        return await self._shards_in_turns(
            sql.PENDING_SHARDS, *given, limit=limit, after=after, without=without_tenants
        )

    async def active(self) -> Sequence[Shard]:
        return await self._shards(sql.ACTIVE_SHARDS)

    async def overdue(self, *, now: float, limit: int) -> Sequence[Shard]:
        return await self._shards_in_turns(sql.OVERDUE_SHARDS, now, limit, limit=limit)

    async def to_cancel(self, *, limit: int) -> Sequence[Shard]:
        return await self._shards_in_turns(sql.SHARDS_TO_CANCEL, limit, limit=limit)

    async def cancel(self, run_id: str, *, at: float, entry: HistoryEntry) -> Run | None:
        run = await self._write(lambda db: transactions.cancel(db, run_id, at, entry))
        self._subscriptions.notify(run_id)
        return run

    async def retry(self, run_id: str, *, run: Run, decision: Decision, entry: HistoryEntry) -> bool:
        opened = await self._write(lambda db: transactions.retry(db, run, decision, entry))
        self._subscriptions.notify(run_id)
        return opened

    async def replace_decision(self, run_id: str, *, decision: Decision) -> None:
        await self._write(lambda db: transactions.replace_decision(db, run_id, decision))

    async def record(self, writes: Sequence[ShardWrite], cursors: Mapping[str, Cursor]) -> Sequence[bool]:
        rows = sum(1 + len(write.tasks) + len(write.history) for write in writes)
        brief = rows <= BRIEF_ROWS
        took = await self._write(lambda db: transactions.record(db, writes, cursors), brief=brief)
        # Also where a write did not take: then somebody else has changed the run, and a read too many is
        # harmless.
        for run_id in {write.shard.run for write in writes}:
            self._subscriptions.notify(run_id)
        return took

    async def cursors(self) -> Mapping[str, Cursor]:
        found = await self._read(lambda db: db.execute(sql.CURSORS).fetchall())
        return {region: Cursor(incarnation=incarnation, seq=seq) for region, incarnation, seq in found}

    async def bind_incarnation(self, region: str, incarnation: str) -> str:
        return await self._write(lambda db: transactions.bind_incarnation(db, region, incarnation))

    async def release_incarnation(self, region: str, *, entry: HistoryEntry) -> bool:
        return await self._write(lambda db: transactions.release_incarnation(db, region, entry))

    async def taints(self) -> Mapping[str, frozenset[Taint]]:
        found = await self._read(lambda db: db.execute(sql.TAINTS).fetchall())
        return {
            region: frozenset(Taint(name) for other, name in found if other == region) for region, _ in found
        }

    async def add_taint(self, region: str, taint: Taint, *, entry: HistoryEntry) -> bool:
        return await self._write(lambda db: transactions.add_taint(db, region, taint, entry))

    async def remove_taint(self, region: str, taint: Taint, *, entry: HistoryEntry) -> bool:
        return await self._write(lambda db: transactions.remove_taint(db, region, taint, entry))

    def subscribe(self, run_id: str | None) -> AbstractContextManager[asyncio.Event]:
        return self._subscriptions.subscribe(run_id)

    async def correct_times(self, boot: MachineBoot) -> float:
        return await self._write(lambda db: transactions.correct_times(db, boot))

    async def check_writable(self) -> None:
        await self._write(transactions.try_write)

    async def shard_counts(self) -> Mapping[Phase, int]:
        found = await self._read(lambda db: db.execute(sql.COUNT_SHARDS).fetchall())
        return {Phase(phase): count for phase, count in found}

    async def oldest_pending(self) -> float | None:
        found = await self._read(lambda db: db.execute(sql.OLDEST_PENDING).fetchone())
        return None if found is None else float(found[0])

    async def _shards(self, statement: str, *parameters: object) -> Sequence[Shard]:
        return await self._read(lambda db: row_mapping.read_shards(db.execute(statement, parameters)))

    async def _shards_in_turns(
        self,
        statement: str,
        *parameters: object,
        limit: int,
        after: str = "",
        without: Sequence[str] = (),
    ) -> Sequence[Shard]:
        """Returns at most `limit` shards that `statement` selects, from all tenants with open runs in turn.

        `parameters` are the statement's, after the tenant's name. The tenant that follows `after` by name is
        first; the tenants in `without` are left out.
        """

        def read(db: sqlite3.Connection) -> Sequence[Shard]:
            weights = dict(db.execute(sql.OPEN_TENANTS))
            for tenant in without:
                weights.pop(tenant, None)
            # Stepped through only as far as they are taken.
            rows = {
                tenant: db.execute(statement, (tenant, *parameters))
                for tenant in beginning_after(tuple(weights), after)
            }
            try:
                queues = [(weights[tenant], iter(cursor)) for tenant, cursor in rows.items()]
                return row_mapping.read_shards(in_turns(queues, limit))
            finally:
                for cursor in rows.values():
                    cursor.close()

        return await self._read(read)
