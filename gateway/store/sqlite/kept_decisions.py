"""Keeps policy decisions, and the events of OPA's decision log, in SQLite."""

import sqlite3
from collections.abc import Sequence

from gateway.core.decision import Decision
from gateway.core.history import HistoryEntry
from gateway.store.decisions import DecisionQuery, FoundDecisions, RecordedDecision
from gateway.store.sqlite import decision_queries
from gateway.store.sqlite.access import SqliteAccess
from gateway.store.sqlite.transactions import append_history


class SqliteDecisions(SqliteAccess):
    """Keeps policy decisions in SQLite. Implements `KeepsDecisions`."""

    async def decision(self, decision_id: str) -> Decision | None:
        return await self._read(lambda db: decision_queries.find_decision(db, decision_id))

    async def recorded_decision(self, decision_id: str) -> RecordedDecision | None:
        return await self._read(lambda db: decision_queries.find_recorded(db, decision_id))

    async def decisions(self, query: DecisionQuery) -> FoundDecisions:
        return await self._read(lambda db: decision_queries.find_decisions(db, query))

    async def record_decision(self, decision: Decision) -> None:
        await self._write(lambda db: decision_queries.insert(db, decision, None))

    async def record_refused_act(self, decision: Decision, *, entry: HistoryEntry) -> None:
        def write(db: sqlite3.Connection) -> None:
            decision_queries.insert(db, decision, None)
            append_history(db, [entry])

        await self._write(write)

    async def record_of_opa(self, records: Sequence[tuple[str, bytes]], *, kept: int) -> None:
        await self._write(lambda db: decision_queries.insert_opa_records(db, records, kept=kept))

    async def opa_record(self, engine_decision_id: str) -> bytes | None:
        return await self._read(lambda db: decision_queries.find_opa_record(db, engine_decision_id))

    async def record_passing(self, decisions: Sequence[Decision], *, of_tenant: int, in_all: int) -> int:
        return await self._write(
            lambda db: decision_queries.insert_passing(db, decisions, of_tenant=of_tenant, in_all=in_all)
        )
