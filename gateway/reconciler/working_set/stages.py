"""Loads the stages of a run after its main shards: their tasks, and their inputs from the shards before.

What was before a stage stays as it is while the stage is under way, so it is read from the store whenever it
is needed, and kept nowhere else.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from loguru import logger
from msgspec import structs

from clusters.protocol import OUTPUTS_BYTES
from gateway.core.instant import Instant
from gateway.core.run import TaskRow
from gateway.core.shard_states import Phase, Shard
from gateway.documents.run_spec import collected_tasks, run_spec
from gateway.reconciler.working_set.tracked_shard import LoadedRun
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.regions.placement_demand import features_of
from gateway.settings import FailoverSettings
from gateway.store.interface import Store
from gateway.store.stages.rules import ending_status, stages_of
from waypost.tracing.context import trace_fields
from waypost.workflow.placeholders import PlaceholderError
from waypost.workflow.stages import (
    COLLECT_SHARD,
    FINALLY_SHARD,
    Ending,
    FailedTask,
    Stage,
    shard_name,
    stage_of,
)
from waypost.workflow.task_phase import TaskPhase

FAILURES_MAXIMUM: Final = 100
"""The maximum number of failures in the input of `finally`."""
TOO_LARGE: Final = f"the outputs that collect needs have more than {OUTPUTS_BYTES >> 20} MiB"


def without_early_ends(
    waiting: Sequence[Shard], ws: WorkingSet, now: Instant, settings: FailoverSettings
) -> Sequence[Shard]:
    """Returns the waiting shards without those of `finally` beside which another shard may still run.

    What cleans up after the others must not run beside an attempt that is being ended. An attempt in a region
    that is lost is not waited for, except until its run-lease must have ended.
    """
    ending = {shard.run for shard in waiting if shard.index == FINALLY_SHARD}
    if not ending:
        return waiting
    running = {
        tracked.shard.run
        for tracked in ws.shards.values()
        if tracked.shard.orphans
        and tracked.shard.run in ending
        and (
            any(ws.regions[orphan.region].health.condition.reachable for orphan in tracked.shard.orphans)
            or not tracked.leases_ended(now, settings.exclusive_wait_seconds)
        )
    }
    return [shard for shard in waiting if shard.index != FINALLY_SHARD or shard.run not in running]


async def at_stage(run: LoadedRun, shard: Shard, store: Store) -> LoadedRun:
    """Returns the form of a run that has the tasks of the shard's stage; `run` has those of any stage.

    It has no tasks, so is not readable, where this version cannot render those that are stored.
    """
    stage = stage_of(shard.index)
    if not run.readable or stage is run.stage is Stage.MAIN:
        return run
    ending = None
    if stage is Stage.FINALLY and shard.phase is not Phase.WAITING:
        ending = await _ending(store, run)
    try:
        return await asyncio.to_thread(_rendered, run, stage, ending)
    except (PlaceholderError, RecursionError) as error:
        name, span = run.stored.id, run.stored.span
        logger.bind(run=name, **trace_fields(span)).error(
            "{} of run {} cannot be read: {}", stage, name, error
        )
        return replace(run, stage=stage, spec=structs.replace(run.spec, tasks=()), tasks={})


def _rendered(run: LoadedRun, stage: Stage, ending: Ending | None) -> LoadedRun:
    stored = run.stored
    spec = run_spec(
        stored.id,
        run.workflow,
        stage,
        ending=ending,
        fairness_key=stored.tenant,
        fairness_weight=stored.weight,
        span=stored.span,
    )
    return replace(
        run,
        stage=stage,
        spec=spec,
        tasks={task.name: task for task in spec.tasks},
        features=features_of(run.workflow, stage),
    )


async def _ending(store: Store, run: LoadedRun) -> Ending:
    """Reads how all but `finally` has ended, with the first failures that were not to be tolerated."""
    run_id, tasks = run.stored.id, run.workflow.spec.all_tasks
    tolerated = {task.name for task in tasks if task.continue_on_failure}
    shards = await store.shards(run_id)
    stages = stages_of(
        (shard.phase for shard in shards if shard.index < COLLECT_SHARD),
        (shard for shard in shards if shard.index >= COLLECT_SHARD),
    )
    status = ending_status(stages)
    rest = [shard for shard in shards if shard is not stages.final]
    failed: list[FailedTask] = []
    for shard in rest:
        if shard.phase not in (Phase.FAILED, Phase.QUARANTINED):
            continue
        left = FAILURES_MAXIMUM - len(failed)
        name = shard_name(shard.index) if shard is stages.collect else shard.index
        rows = await store.failed_tasks(run_id, shard.index, without=tolerated, limit=left)
        found = [FailedTask(shard=name, task=row.task, reason=row.reason) for row in rows]
        failed += found or [FailedTask(shard=name, task=None, reason=shard.reason)]
        if len(failed) >= FAILURES_MAXIMUM:
            break
    reason = next((shard.reason for shard in rest if shard.phase == status and shard.reason), "")
    return Ending(status=status, reason=reason, failed=tuple(failed))


async def stored_rows(store: Store, shard: Shard, run: LoadedRun) -> Sequence[TaskRow] | None:
    """Reads the rows of a shard's tasks; for `collect` also, as rows of its own, the outputs that it needs.

    None where these outputs are too large to be sent to a cluster.
    """
    # A shard that was never placed has left no results: a read for each of a million would be in vain.
    rows = await store.tasks(shard.run, shard.index) if shard.epoch else ()
    if run.stage is not Stage.COLLECT or shard.phase is Phase.WAITING:
        return rows
    names, count = collected_tasks(run.workflow), run.workflow.shard_count
    outputs = await store.outputs_by_shard(shard.run, names, shards=count, maximum_bytes=OUTPUTS_BYTES)
    if outputs is None:
        return None
    collected = [
        TaskRow(
            run=shard.run,
            shard=shard.index,
            task=name,
            phase=TaskPhase.SUCCEEDED,
            epoch=shard.epoch,
            region="",
            incarnation="",
            tries=0,
            started_at=0.0,
            ended_at=0.0,
            output=output,
        )
        for name, output in outputs.items()
    ]
    return [*collected, *rows]
