"""Values to rows and back."""

import sqlite3
from typing import Any

import msgspec
from msgspec import structs

from gateway.core.principal import Decision
from gateway.core.run import AuditEntry, Run, RunPhase, TaskRow
from gateway.core.shard_states import Shard

RUN = "phase, deadline_at, cancel_requested_at, finished_at, decision_id, decided_at, permitted, state, workflow"
"""The columns that `read_run` takes, in its order."""

encode = msgspec.json.encode
_decode_run = msgspec.json.Decoder(Run).decode
_decode_shard = msgspec.json.Decoder(Shard).decode
_decode_task = msgspec.json.Decoder(TaskRow).decode
_decode_decision = msgspec.json.Decoder(Decision).decode
_decode_names = msgspec.json.Decoder(tuple[str, ...]).decode


def run_row(run: Run) -> tuple[Any, ...]:
    """What never changes goes into `state`, without the document; what may change has a column."""
    return (
        run.id,
        run.tenant,
        run.idempotency_key,
        run.phase,
        run.created_at,
        run.deadline_at,
        run.decision_id,
        run.decided_at,
        encode(run.permitted).decode(),
        run_state(run),
        run.workflow,
    )


def run_state(run: Run) -> str:
    """The whole run but for its document, which has a column of its own."""
    return encode(structs.replace(run, workflow=b"")).decode()


def read_run(row: tuple[Any, ...]) -> Run:
    (
        phase,
        deadline_at,
        cancel_requested_at,
        finished_at,
        decision_id,
        decided_at,
        permitted,
        state,
        workflow,
    ) = row
    return structs.replace(
        _decode_run(state),
        phase=RunPhase(phase),
        deadline_at=deadline_at,
        cancel_requested_at=cancel_requested_at,
        finished_at=finished_at,
        decision_id=decision_id,
        decided_at=decided_at,
        permitted=_decode_names(permitted),
        workflow=workflow,
    )


def shard_row(shard: Shard, priority: int) -> tuple[Any, ...]:
    return (
        shard.run,
        shard.index,
        shard.phase,
        shard.rev,
        priority,
        shard.not_before,
        len(shard.orphans),
        encode(shard).decode(),
    )


def read_shards(rows: sqlite3.Cursor) -> list[Shard]:
    """From rows whose one column is `state`."""
    return [_decode_shard(state) for (state,) in rows]


def read_tasks(rows: sqlite3.Cursor, maximum_bytes: int | None = None) -> list[TaskRow]:
    """The first of them whose states are no longer than that together."""
    tasks, size = [], 0
    for (state,) in rows:
        size += len(state)
        if maximum_bytes is not None and size > maximum_bytes:
            break
        tasks.append(_decode_task(state))
    return tasks


def decision_row(decision: Decision) -> tuple[Any, ...]:
    return (decision.id, decision.at, encode(decision).decode())


def read_decision(row: tuple[str] | None) -> Decision | None:
    return None if row is None else _decode_decision(row[0])


def audit_row(entry: AuditEntry) -> tuple[Any, ...]:
    return (entry.run, entry.shard, entry.kind, entry.at, entry.actor, encode(entry.detail).decode())


def read_audit(row: tuple[Any, ...]) -> AuditEntry:
    seq, run, shard, kind, at, actor, detail = row
    return AuditEntry(
        seq=seq, run=run, shard=shard, kind=kind, at=at, actor=actor, detail=msgspec.json.decode(detail)
    )
