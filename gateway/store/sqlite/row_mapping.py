"""Converts the value types of `gateway/core` to rows of SQLite tables and back.

A row has the whole value as JSON in `state`, and a column for each field that a query selects by or an update
changes. Where a column and `state` differ, the column is newer. Members of enumerations are converted to
plain strings: for any other type sqlite3 looks for an adapter at each write.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import structs

from gateway.core.history import DETAILS, HistoryEntry, HistoryKind
from gateway.core.run import Run, RunPhase, TaskRow
from gateway.core.shard_states import Shard
from gateway.steady_clock import MachineBoot

_decode_run = msgspec.json.Decoder(Run).decode
_decode_shard = msgspec.json.Decoder(Shard).decode


class EncodedTaskRow(TaskRow, frozen=True, kw_only=True):
    """A stored task whose output stays encoded as JSON: decoded, `{}` takes 30 times as much memory."""

    output: msgspec.Raw = msgspec.Raw(b"null")


_decode_task = msgspec.json.Decoder(TaskRow).decode
_decode_boot = msgspec.json.Decoder(MachineBoot).decode
_decode_encoded_task = msgspec.json.Decoder(EncodedTaskRow).decode
_decode_names = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_details = {kind: msgspec.json.Decoder(shape).decode for kind, shape in DETAILS.items()}


def to_json(value: Any) -> str:
    """Encodes a value as JSON text."""
    return msgspec.json.encode(value).decode()


def run_row(run: Run) -> tuple[Any, ...]:
    """Returns the parameters of the SQL statement `INSERT_RUN` for a run."""
    return (
        run.id,
        run.tenant,
        run.idempotency_key,
        str(run.phase),
        run.created_at,
        run.deadline_at,
        run.decision_id,
        run.decided_at,
        to_json(run.permitted),
        run.has_stages,
        _run_state(run),
        run.workflow,
    )


def run_changes(run: Run) -> tuple[Any, ...]:
    """Returns the parameters of the SQL statement `REOPEN_RUN` for a run, except the last, the run's id."""
    return (
        run.deadline_at,
        run.cancel_requested_at,
        run.finally_deadline_at,
        run.finally_cancelled_at,
        run.finished_at,
        run.decision_id,
        run.decided_at,
        to_json(run.permitted),
        _run_state(run),
        run.workflow,
    )


def _run_state(run: Run) -> str:
    """Encodes a run as JSON without its document, which has a column of its own."""
    return to_json(structs.replace(run, workflow=b""))


def read_run(row: tuple[Any, ...]) -> Run:
    """Decodes a run from a row with the columns `RUN_COLUMNS`."""
    (
        phase,
        deadline_at,
        cancel_requested_at,
        finally_deadline_at,
        finally_cancelled_at,
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
        finally_deadline_at=finally_deadline_at,
        finally_cancelled_at=finally_cancelled_at,
        finished_at=finished_at,
        decision_id=decision_id,
        decided_at=decided_at,
        permitted=_decode_names(permitted),
        workflow=workflow,
    )


def shard_row(shard: Shard, priority: int, tenant: str) -> tuple[Any, ...]:
    """Returns the parameters of the SQL statement `INSERT_SHARD` for a shard.

    `priority` and `tenant` are the run's.
    """
    return (
        shard.run,
        shard.index,
        str(shard.phase),
        shard.rev,
        priority,
        shard.not_before,
        len(shard.orphans),
        to_json(shard),
        tenant,
    )


def read_boot(row: tuple[str] | None) -> MachineBoot | None:
    """Decodes the id and time of a machine's boot from a row with its JSON; None if there is no row."""
    return None if row is None else _decode_boot(row[0])


def label_rows(run: Run) -> list[tuple[str, str, str, str]]:
    """Returns the parameters of the SQL statement `INSERT_LABEL` for each label of a run."""
    return [(run.tenant, name, value, run.id) for name, value in run.labels.items()]


def shard_changes(shard: Shard) -> tuple[Any, ...]:
    """Returns the values that the SQL statement `SWAP_SHARD` sets, without those of its `where` clause."""
    return (shard.phase, shard.rev, shard.not_before, len(shard.orphans), to_json(shard))


def read_shards(rows: Iterable[tuple[str]]) -> list[Shard]:
    """Decodes shards from rows whose one column is `state`."""
    return [_decode_shard(state) for (state,) in rows]


def task_row(task: TaskRow) -> tuple[Any, ...]:
    """Returns the parameters of the SQL statement `UPSERT_TASK` for a task."""
    return (task.run, task.shard, task.task, to_json(task))


def read_tasks(
    rows: sqlite3.Cursor, maximum_bytes: int | None = None, *, encoded: bool = False
) -> list[TaskRow]:
    """Decodes tasks from rows whose one column is `state`, ending before they exceed `maximum_bytes`."""
    tasks, size = [], 0
    for (state,) in rows:
        size += len(state)
        if maximum_bytes is not None and size > maximum_bytes:
            break
        tasks.append(_decode_encoded_task(state) if encoded else _decode_task(state))
    return tasks


def history_row(entry: HistoryEntry) -> tuple[Any, ...]:
    """Returns the parameters of the SQL statement `INSERT_HISTORY` for a history entry."""
    return (entry.run, entry.shard, str(entry.kind), entry.at, entry.actor, to_json(entry.detail))


def read_history(row: tuple[Any, ...]) -> HistoryEntry:
    """Decodes a history entry from a row that the SQL statement `HISTORY` selects."""
    seq, run, shard, name, at, actor, detail = row
    kind = HistoryKind(name)
    return HistoryEntry(
        seq=seq,
        run=run,
        shard=shard,
        kind=kind,
        at=at,
        actor=actor,
        detail=_decode_details[kind](detail),
    )
