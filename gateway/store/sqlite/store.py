"""The store on SQLite: for one gateway process. Statements are in `transactions.py`, durability in `waypost.sqlite_database`."""

import asyncio
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self, TypeVar

from clusters.protocol import TaskPhase
from gateway.core.errors import Unavailable
from gateway.core.principal import Decision
from gateway.core.run import AuditEntry, Run, TaskRow
from gateway.core.shard_states import Phase, Shard
from gateway.regions.region_condition import Taint
from gateway.store.interface import Admission, Admitted, Cursor, RunQuery, ShardWrite
from gateway.store.sqlite import row_mapping, transactions
from gateway.store.sqlite.schema_migrations import migrate
from waypost.sqlite_database import Database, StorageError

T = TypeVar("T")

BRIEF_SHARDS = 16
"""An acceptance with so few is written in microseconds."""

OPEN = "phase in ('Pending', 'Dispatching', 'Running', 'Suspect', 'Cancelling')"
WORKING = "where phase in ('Dispatching', 'Running', 'Suspect', 'Cancelling') union select shard.state from shard where orphans > 0"
PENDING = (
    "join run on run.id = shard.run where shard.phase = 'Pending' and shard.not_before <= ? and run.cancel_requested_at is null"
    " and (run.deadline_at is null or run.deadline_at > ?) and shard.run not in (select value from json_each(?))"
    " order by shard.priority desc, shard.run, shard.idx limit ?"
)
OVERDUE = f"join run on run.id = shard.run where run.deadline_at <= ? and run.finished_at is null and +shard.{OPEN} limit ?"
"""The plus keeps SQLite from walking all open shards: the few runs that it is about come first, by their own index."""
CANCELLED = (
    "join run on run.id = shard.run where run.cancel_requested_at is not null and run.finished_at is null"
    " and +shard.phase in ('Pending', 'Dispatching', 'Running', 'Suspect') limit ?"
)


class SqliteStore:
    """Satisfies `gateway.store.interface.Store`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._identity, self._era = "", 0
        self._subscribers: dict[str | None, set[asyncio.Event]] = {}

    async def __aenter__(self) -> Self:
        await self._database.__aenter__()
        try:
            self._identity, self._era = await self._database.write(_prepare)
        except BaseException:
            await self._database.__aexit__()
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

    async def raise_era(self, *, audit: AuditEntry) -> None:
        self._era = await self._write(lambda db: transactions.raise_era(db, audit))

    async def admit(self, admission: Admission) -> Admitted:
        brief = len(admission.shards) <= BRIEF_SHARDS
        admitted = await self._write(lambda db: transactions.admit(db, admission), brief=brief)
        if not admitted.replay:
            self._changed(admission.run.id)
        return admitted

    async def run(self, run_id: str) -> Run | None:
        row = await self._read(
            lambda db: db.execute(f"select {row_mapping.RUN} from run where id = ?", (run_id,)).fetchone()
        )
        return None if row is None else row_mapping.read_run(row)

    async def runs(self, query: RunQuery) -> Sequence[Run]:
        conditions, parameters = _conditions(query)
        sql = f"select {row_mapping.RUN} from run where {' and '.join(conditions)} order by id desc limit ?"
        return await self._read(
            lambda db: [row_mapping.read_run(row) for row in db.execute(sql, (*parameters, query.limit))]
        )

    async def shards(self, run_id: str) -> Sequence[Shard]:
        return await self._shards("where run = ? order by idx", run_id)

    async def shard(self, run_id: str, index: int) -> Shard | None:
        found = await self._shards("where run = ? and idx = ?", run_id, index)
        return found[0] if found else None

    async def tasks(
        self,
        run_id: str,
        shard: int | None = None,
        *,
        limit: int | None = None,
        maximum_bytes: int | None = None,
        outputs: bool = True,
    ) -> Sequence[TaskRow]:
        where, parameters = _of_shard(run_id, shard)
        state = "state" if outputs else "json_remove(state, '$.output')"
        sql = f"select {state} from task_result where {where} order by run, shard, task limit ?"
        return await self._read(
            lambda db: row_mapping.read_tasks(
                db.execute(sql, (*parameters, -1 if limit is None else limit)), maximum_bytes
            )
        )

    async def task(self, run_id: str, shard: int, name: str) -> TaskRow | None:
        sql = "select state from task_result where run = ? and shard = ? and task = ?"
        return await self._read(
            lambda db: next(iter(row_mapping.read_tasks(db.execute(sql, (run_id, shard, name)))), None)
        )

    async def task_counts(self, run_id: str, shard: int | None = None) -> Mapping[TaskPhase, int]:
        where, parameters = _of_shard(run_id, shard)
        sql = f"select state ->> 'phase', count(*) from task_result where {where} group by 1"
        found = await self._read(lambda db: db.execute(sql, parameters).fetchall())
        return {TaskPhase(phase): count for phase, count in found}

    async def decision(self, decision_id: str) -> Decision | None:
        return await self._read(
            lambda db: row_mapping.read_decision(
                db.execute("select state from decision where id = ?", (decision_id,)).fetchone()
            )
        )

    async def audit(self, run_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[AuditEntry]:
        sql = "select seq, run, shard, kind, at, actor, detail from audit where run = ? and seq > ? order by seq limit ?"
        return await self._read(
            lambda db: [row_mapping.read_audit(row) for row in db.execute(sql, (run_id, after, limit))]
        )

    async def pending(self, *, now: float, limit: int, without: Sequence[str] = ()) -> Sequence[Shard]:
        return await self._shards(PENDING, now, now, row_mapping.encode(without).decode(), limit)

    async def working(self) -> Sequence[Shard]:
        return await self._shards(WORKING)

    async def overdue(self, *, now: float, limit: int) -> Sequence[Shard]:
        return await self._shards(OVERDUE, now, limit)

    async def cancelled(self, *, limit: int) -> Sequence[Shard]:
        return await self._shards(CANCELLED, limit)

    async def cancel(self, run_id: str, *, at: float, audit: AuditEntry) -> Run | None:
        run = await self._write(lambda db: transactions.cancel(db, run_id, at, audit))
        self._changed(run_id)
        return run

    async def retry(self, run_id: str, *, run: Run, decision: Decision, audit: AuditEntry) -> bool:
        opened = await self._write(lambda db: transactions.retry(db, run, decision, audit))
        self._changed(run_id)
        return opened

    async def redecide(self, run_id: str, *, decision: Decision) -> None:
        await self._write(lambda db: transactions.redecide(db, run_id, decision))

    async def record(self, writes: Sequence[ShardWrite], cursors: Mapping[str, Cursor]) -> Sequence[bool]:
        took = await self._write(lambda db: transactions.record(db, writes, cursors))
        for run_id in {write.shard.run for write in writes}:
            self._changed(run_id)
        return took

    async def cursors(self) -> Mapping[str, Cursor]:
        found = await self._read(
            lambda db: db.execute("select region, incarnation, seq from cursor").fetchall()
        )
        return {region: Cursor(incarnation=incarnation, seq=seq) for region, incarnation, seq in found}

    async def admit_incarnation(self, region: str, incarnation: str) -> str:
        return await self._write(lambda db: transactions.bind_incarnation(db, region, incarnation))

    async def release_incarnation(self, region: str, *, audit: AuditEntry) -> bool:
        return await self._write(lambda db: transactions.release_incarnation(db, region, audit))

    async def taints(self) -> Mapping[str, frozenset[Taint]]:
        found = await self._read(lambda db: db.execute("select region, name from region_order").fetchall())
        return {
            region: frozenset(Taint(name) for other, name in found if other == region) for region, _ in found
        }

    async def add_taint(self, region: str, taint: Taint, *, audit: AuditEntry) -> bool:
        return await self._write(
            lambda db: transactions.set_order(db, transactions.GIVE_ORDER, (region, taint), audit)
        )

    async def remove_taint(self, region: str, taint: Taint, *, audit: AuditEntry) -> bool:
        return await self._write(
            lambda db: transactions.set_order(db, transactions.WITHDRAW_ORDER, (region, taint), audit)
        )

    @contextmanager
    def subscribe(self, run_id: str | None) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        waiting = self._subscribers.setdefault(run_id, set())
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting:
                self._subscribers.pop(run_id, None)

    async def check(self) -> None:
        await self._write(
            lambda db: (
                db.execute("insert or replace into meta values ('checked', ?)", (uuid.uuid4().hex,)) and None
            )
        )

    async def counts(self) -> Mapping[Phase, int]:
        found = await self._read(
            lambda db: db.execute(f"select phase, count(*) from shard where {OPEN} group by phase").fetchall()
        )
        return {Phase(phase): count for phase, count in found}

    def _changed(self, run_id: str) -> None:
        for name in (run_id, None):
            for event in self._subscribers.get(name, ()):
                event.set()

    async def _shards(self, where: str, *parameters: object) -> Sequence[Shard]:
        return await self._read(lambda db: transactions.shards_where(db, where, parameters))

    async def _write(self, work: Callable[[sqlite3.Connection], T], *, brief: bool = False) -> T:
        try:
            return await self._database.write(work, brief=brief)
        except StorageError as error:
            raise Unavailable("the store does not take writes now", retry_after_seconds=1.0) from error

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._database.read(work)
        except StorageError as error:
            raise Unavailable("the store does not answer now", retry_after_seconds=1.0) from error


def _of_shard(run_id: str, shard: int | None) -> tuple[str, tuple[object, ...]]:
    """A condition on tasks, and its parameters."""
    return ("run = ?", (run_id,)) if shard is None else ("run = ? and shard = ?", (run_id, shard))


def _prepare(db: sqlite3.Connection) -> tuple[str, int]:
    """Schema, identity and era."""
    migrate(db)
    db.execute("insert or ignore into meta values ('identity', ?)", (uuid.uuid4().hex,))
    db.execute("insert or ignore into meta values ('era', '0')")
    meta = dict(db.execute("select name, value from meta"))
    return meta["identity"], int(meta["era"])


def _conditions(query: RunQuery) -> tuple[list[str], list[Any]]:
    conditions: list[str] = ["1"]
    parameters: list[Any] = []
    if query.tenants is not None:
        conditions.append(f"tenant in ({', '.join('?' * len(query.tenants))})")
        parameters += query.tenants
    if query.phase is not None:
        conditions.append("phase = ?")
        parameters.append(query.phase)
    for name, value in query.labels.items():
        conditions.append("exists (select 1 from json_each(state, '$.labels') where key = ? and value = ?)")
        parameters += [name, value]
    if query.after is not None:
        conditions.append("id < ?")
        parameters.append(query.after)
    return conditions, parameters
