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
from gateway.store.stages.interface import CollectedTask
from waypost.tracing.context import trace_fields
from waypost.workflow.placeholders import PlaceholderError
from waypost.workflow.stages import FINALLY_SHARD, Ending, Stage, stage_of
from waypost.workflow.task_phase import TaskPhase

FAILURES_MAXIMUM: Final = 100
"""The maximum number of failures in the input of `finally`."""
TOO_LARGE: Final = f"the outputs that collect needs have more than {OUTPUTS_BYTES >> 20} MiB"


def early_ends(
    waiting: Sequence[Shard], ws: WorkingSet, now: Instant, settings: FailoverSettings
) -> frozenset[str]:
    """Returns the runs of those waiting shards of `finally` beside which another shard may still run.

    What cleans up after the others must not run beside an attempt that is being ended. An attempt in a region
    that is lost is not waited for, except until its run-lease must have ended.
    """
    ending = {shard.run for shard in waiting if shard.index == FINALLY_SHARD}
    if not ending:
        return frozenset()
    return frozenset(
        tracked.shard.run
        for tracked in ws.shards.values()
        if tracked.shard.orphans
        and tracked.shard.run in ending
        and (
            any(ws.regions[orphan.region].health.condition.reachable for orphan in tracked.shard.orphans)
            or not tracked.leases_ended(now, settings.exclusive_wait_seconds)
        )
    )


async def at_stage(run: LoadedRun, shard: Shard, store: Store) -> LoadedRun:
    """Returns the form of a run that has the tasks of the shard's stage; `run` has those of any stage.

    It has no tasks, so is not readable, where this version cannot render those that are stored.
    """
    stage = stage_of(shard.index)
    if not run.readable or stage is run.stage is Stage.MAIN:
        return run
    ending = None
    if stage is Stage.FINALLY and shard.phase is not Phase.WAITING:
        tolerated = (task.name for task in run.workflow.spec.all_tasks if task.continue_on_failure)
        ending = await store.ending(run.stored.id, tolerated=tolerated, limit=FAILURES_MAXIMUM)
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


async def stored_rows(store: Store, shard: Shard, run: LoadedRun) -> Sequence[TaskRow] | None:
    """Reads the rows of a shard's tasks; for `collect` also, as rows of its own, the outputs that it needs.

    None where these outputs are too large to be sent to a cluster.
    """
    # A shard that was never placed has left no results: a read for each of a million would be in vain.
    rows = await store.tasks(shard.run, shard.index) if shard.epoch else ()
    if run.stage is not Stage.COLLECT or shard.phase is Phase.WAITING:
        return rows
    names, count = collected_tasks(run.workflow), run.workflow.shard_count
    found = await store.collected(shard.run, names, shards=count, maximum_bytes=OUTPUTS_BYTES)
    if found is None:
        return None
    return [*(_collected_row(shard, name, task, count) for name, task in found.items()), *rows]


def _collected_row(shard: Shard, name: str, task: CollectedTask, count: int) -> TaskRow:
    """Returns the row of a main task in the shard `collect`: Failed if it has failed in a shard.

    The failure was tolerated (`continueOnFailure`), since all main shards have succeeded.
    """
    return TaskRow(
        run=shard.run,
        shard=shard.index,
        task=name,
        phase=TaskPhase.FAILED if task.failed else TaskPhase.SUCCEEDED,
        reason=f"failed in {task.failed} of {count} shards" if task.failed else "",
        epoch=shard.epoch,
        region="",
        incarnation="",
        tries=0,
        started_at=0.0,
        ended_at=0.0,
        output=task.outputs,
    )
