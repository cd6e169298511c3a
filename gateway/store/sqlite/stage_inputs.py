"""Reads the inputs of a run's later stages from SQLite: outputs by shard, and failed tasks."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from gateway.core.run import TaskRow
from gateway.store.sqlite import row_mapping
from gateway.store.sqlite.access import SqliteAccess
from waypost.workflow.instances import instance_name
from waypost.workflow.task_phase import TaskPhase

_OUTPUTS: Final = (
    # Both lists lead into the primary key: a run may have ten million other tasks.
    "select task, shard, state -> '$.output', state ->> '$.instances' from task_result where run = ?"
    " and shard in (select value from json_each(?)) and task in (select value from json_each(?))"
    f" and state ->> '$.phase' = '{TaskPhase.SUCCEEDED}' order by shard"
)
_OF_INSTANCES: Final = (
    "select state -> '$.output' from json_each(?) join task_result on run = ? and shard = ? and task = value"
    " order by json_each.key"
)
_FAILED: Final = (
    "select json_remove(state, '$.output') from task_result where run = ? and shard = ?"
    f" and state ->> '$.phase' = '{TaskPhase.FAILED}'"
    # An instance fails its task, whose reason names it.
    " and instr(task, '[') = 0 and task not in (select value from json_each(?)) order by task limit ?"
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
    for task, shard, own, instances in db.execute(_OUTPUTS, where):
        output = own if instances is None else _list_of_instances(db, run_id, shard, task, instances)
        size += len(output.encode()) - len("null")
        if size > maximum_bytes:
            return None
        found[task][shard] = output
    if size > maximum_bytes:
        return None
    return {task: msgspec.Raw(f"[{','.join(outputs)}]".encode()) for task, outputs in found.items()}


def _list_of_instances(db: sqlite3.Connection, run_id: str, shard: int, task: str, count: int) -> str:
    """Returns the list of the outputs of a task's instances (`forEach`), as JSON."""
    names = row_mapping.to_json([instance_name(task, index) for index in range(count)])
    outputs = [output or "null" for (output,) in db.execute(_OF_INSTANCES, (names, run_id, shard))]
    return f"[{','.join(outputs)}]"
