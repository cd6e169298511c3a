"""Reads the inputs of a run's later stages from SQLite: outputs by shard, and failed tasks."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from gateway.core.run import TaskRow
from gateway.store.sqlite import row_mapping
from gateway.store.sqlite.access import SqliteAccess
from waypost.workflow.task_phase import TaskPhase

_OUTPUTS: Final = (
    # Both lists lead into the primary key: a run may have ten million other tasks.
    "select task, shard, state -> '$.output' from task_result where run = ?"
    " and shard in (select value from json_each(?)) and task in (select value from json_each(?))"
    f" and state ->> '$.phase' = '{TaskPhase.SUCCEEDED}' order by shard"
)
_FAILED: Final = (
    "select json_remove(state, '$.output') from task_result where run = ? and shard = ?"
    f" and state ->> '$.phase' = '{TaskPhase.FAILED}'"
    " and task not in (select value from json_each(?)) order by task limit ?"
)


class SqliteStages(SqliteAccess):
    """Reads the inputs of a run's later stages from SQLite. Implements `FeedsStages`."""

    async def outputs_by_shard(
        self, run_id: str, tasks: Sequence[str], *, shards: int, maximum_bytes: int
    ) -> Mapping[str, msgspec.Raw] | None:
        return await self._read(lambda db: _outputs(db, run_id, tasks, shards, maximum_bytes))

    async def failed_tasks(
        self, run_id: str, shard: int, *, without: Iterable[str] = (), limit: int
    ) -> Sequence[TaskRow]:
        where = (run_id, shard, row_mapping.to_json(list(without)), limit)
        return await self._read(lambda db: row_mapping.read_tasks(db.execute(_FAILED, where)))


def _outputs(
    db: sqlite3.Connection, run_id: str, tasks: Sequence[str], shards: int, maximum_bytes: int
) -> Mapping[str, msgspec.Raw] | None:
    found = {task: ["null"] * shards for task in tasks}
    size = sum(len("null,") * shards + 1 for _ in tasks)
    if not tasks:
        return {}
    where = (run_id, row_mapping.to_json(tuple(range(shards))), row_mapping.to_json(tasks))
    for task, shard, output in db.execute(_OUTPUTS, where):
        size += len(output.encode()) - len("null")
        if size > maximum_bytes:
            return None
        found[task][shard] = output
    if size > maximum_bytes:
        return None
    return {task: msgspec.Raw(f"[{','.join(outputs)}]".encode()) for task, outputs in found.items()}
