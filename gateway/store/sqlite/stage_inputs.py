"""Reads the inputs of a run's later stages from SQLite: outputs by shard, and failures."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from gateway.core.shard_states import Phase, Shard
from gateway.store.sqlite import row_mapping
from gateway.store.sqlite import sql_statements as sql
from gateway.store.sqlite.access import SqliteAccess
from gateway.store.stages.interface import CollectedTask
from gateway.store.stages.rules import BAD_ENDS, ending_status, stages_of
from waypost.workflow.instances import instance_name
from waypost.workflow.stages import COLLECT_SHARD, FINALLY_SHARD, Ending, FailedTask, shard_name
from waypost.workflow.task_phase import TaskPhase

_OUTPUTS: Final = (
    # Both lists lead into the primary key: a run may have ten million other tasks.
    "select task, shard, state ->> '$.phase', state -> '$.output', state ->> '$.instances' from task_result"
    " where run = ?"
    " and shard in (select value from json_each(?)) and task in (select value from json_each(?))"
    f" and state ->> '$.phase' in ('{TaskPhase.SUCCEEDED}', '{TaskPhase.FAILED}') order by shard"
)
_OF_INSTANCES: Final = (
    "select state -> '$.output' from json_each(?) join task_result on run = ? and shard = ? and task = value"
    " order by json_each.key"
)
_FAILED: Final = (
    "select task, state ->> '$.reason' from task_result where run = ? and shard = ?"
    f" and state ->> '$.phase' = '{TaskPhase.FAILED}'"
    # An instance fails its task, whose reason names it.
    " and instr(task, '[') = 0 and task not in (select value from json_each(?)) order by task limit ?"
)
# By an index, as `PHASES_OF_RUN`: a run may have a million shards that have succeeded.
_IN_PHASE: Final = (
    "with of(tenant, priority, run) as (select tenant, priority, run from shard where run = ? limit 1)"
    " select state from of cross join shard indexed by shard_by_phase where shard.phase = ?"
    " and shard.tenant = of.tenant and shard.priority = of.priority and shard.run = of.run"
    f" and shard.idx < {FINALLY_SHARD} order by shard.idx limit ?"
)


class SqliteStages(SqliteAccess):
    """Reads the inputs of a run's later stages from SQLite. Implements `FeedsStages`."""

    async def collected(
        self, run_id: str, tasks: Sequence[str], *, shards: int, maximum_bytes: int
    ) -> Mapping[str, CollectedTask] | None:
        return await self._read(lambda db: _collected(db, run_id, tasks, shards, maximum_bytes))

    async def ending(self, run_id: str, *, tolerated: Iterable[str], limit: int) -> Ending:
        without = row_mapping.to_json(list(tolerated))
        return await self._read(lambda db: _ending(db, run_id, without, limit))


def _ending(db: sqlite3.Connection, run_id: str, without: str, limit: int) -> Ending:
    stages = stages_of(
        (Phase(phase) for (phase,) in db.execute(sql.MAIN_PHASES_OF_RUN, (run_id,))),
        row_mapping.read_shards(db.execute(sql.OTHER_STAGES, (run_id,))),
    )
    status = ending_status(stages)
    reasons = (shard.reason for shard in _in_phase(db, run_id, Phase(status), limit) if shard.reason)
    failures: list[FailedTask] = []
    bad = [shard for phase in BAD_ENDS for shard in _in_phase(db, run_id, phase, limit)]
    for shard in sorted(bad, key=lambda shard: shard.index):
        failures += _failures(db, shard, without, limit - len(failures))
        if len(failures) >= limit:
            break
    return Ending(status=status, reason=next(reasons, ""), failed=tuple(failures))


def _in_phase(db: sqlite3.Connection, run_id: str, phase: Phase, limit: int) -> list[Shard]:
    """Returns the first shards of a run in a phase, without that of `finally`."""
    return row_mapping.read_shards(db.execute(_IN_PHASE, (run_id, phase, limit)))


def _failures(db: sqlite3.Connection, shard: Shard, without: str, limit: int) -> list[FailedTask]:
    name = shard_name(shard.index) if shard.index == COLLECT_SHARD else shard.index
    rows = db.execute(_FAILED, (shard.run, shard.index, without, limit))
    found = [FailedTask(shard=name, task=task, reason=reason or "") for task, reason in rows]
    return found or [FailedTask(shard=name, task=None, reason=shard.reason)]


def _collected(
    db: sqlite3.Connection, run_id: str, tasks: Sequence[str], shards: int, maximum_bytes: int
) -> Mapping[str, CollectedTask] | None:
    found = {task: ["null"] * shards for task in tasks}
    failed = Counter[str]()
    size = sum(len("null,") * shards + 1 for _ in tasks)
    if not tasks:
        return {}
    where = (run_id, row_mapping.to_json(tuple(range(shards))), row_mapping.to_json(tasks))
    for task, shard, phase, own, instances in db.execute(_OUTPUTS, where):
        if phase == TaskPhase.FAILED:
            failed[task] += 1
            continue
        output = own if instances is None else _list_of_instances(db, run_id, shard, task, instances)
        size += len(output.encode()) - len("null")
        if size > maximum_bytes:
            return None
        found[task][shard] = output
    if size > maximum_bytes:
        return None
    return {
        task: CollectedTask(outputs=msgspec.Raw(f"[{','.join(outputs)}]".encode()), failed=failed[task])
        for task, outputs in found.items()
    }


def _list_of_instances(db: sqlite3.Connection, run_id: str, shard: int, task: str, count: int) -> str:
    """Returns the list of the outputs of a task's instances (`forEach`), as JSON."""
    names = row_mapping.to_json([instance_name(task, index) for index in range(count)])
    outputs = [output or "null" for (output,) in db.execute(_OF_INSTANCES, (names, run_id, shard))]
    return f"[{','.join(outputs)}]"
