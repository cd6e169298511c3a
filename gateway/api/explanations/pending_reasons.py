"""Makes the sentences that say why the shards and tasks of a run wait now.

The reasons are computed at the request, since the history may lack them: while no region takes work, the
controller looks at no shard and records nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from random import choice
from typing import Final

import msgspec

from gateway.api.http.services import Services
from gateway.core.run import Run, TaskRow
from gateway.core.shard_states import Phase, Shard
from gateway.documents.workflow import Workflow
from gateway.regions.blackout_guard import enough_answer
from gateway.regions.placement import Unplaceable, place
from gateway.regions.placement_demand import demand_of
from gateway.regions.region_condition import RegionCondition
from gateway.regions.region_view import RegionView
from gateway.store.interface import Store
from waypost.workflow.stages import FINALLY_SHARD, shard_name, stage_of
from waypost.workflow.task import TaskSpec
from waypost.workflow.task_phase import TaskPhase

TASKS_NAMED: Final = 3
"""The maximum number of waiting tasks that a sentence names."""
SHARDS_READ: Final = 3
"""The maximum number of shards whose tasks are read for one sentence."""

_decode = msgspec.json.Decoder(Workflow).decode


def pending_reason(run: Run, shards: Sequence[Shard], services: Services, at: float) -> str | None:
    """Returns a sentence on why Suspect or Pending shards of `run` wait at `at`, in wall-clock seconds.

    The sentence is about Suspect shards that cannot move, if there are any, else about Pending ones. None
    where there are neither, or where the stored document cannot be read.
    """
    # Suspect shards first: where they cannot move only an operator helps, and the sentence says how.
    suspect = sum(shard.phase is Phase.SUSPECT for shard in shards)
    if suspect and (reason := _cannot_move(services)):
        return f"{_shards_wait(suspect)}: {reason}"
    pending = [shard for shard in shards if shard.phase is Phase.PENDING]
    if not pending:
        return None
    wait = _shards_wait(len(pending))
    if pending[0].index == FINALLY_SHARD and (ending := _ending_in(shards, services)):
        return f"{wait}: finally begins when no attempt of the run is left in {', '.join(ending)}"
    if services.cut_off() and not any(region.condition.reachable for region in services.regions()):
        return f"{wait}: this gateway takes itself to be cut off from its regions, and none answers"
    try:
        workflow = _decode(run.workflow)
    except msgspec.MsgspecError:
        return None
    demand = demand_of(workflow, run.permitted, stage_of(pending[0].index), tenant=run.tenant)
    found = place(demand, services.regions(), choose=choice, settings=services.settings.placing)
    if isinstance(found, Unplaceable):
        return f"{wait}: {found} ({'; '.join(f'{name}: {why}' for name, why in found.rejected.items())})"
    soonest = min(shard.not_before for shard in pending) - at
    if soonest > 0:
        return f"{wait} for a pause to end, for {soonest:.0f} s more"
    return f"{wait} for a turn: {found.region} fits"


async def task_waits(
    run: Run, shards: Sequence[Shard], store: Store, regions: Sequence[RegionView], at: float
) -> str | None:
    """Returns a sentence on which tasks of Running shards wait at `at`, in wall-clock seconds, and for what.

    The sentence names the first few tasks. None where no task waits, or where the stored document cannot be
    read.
    """
    running = [shard for shard in shards if shard.phase is Phase.RUNNING]
    if run.phase.terminal or not running:
        return None
    try:
        spec = _decode(run.workflow).spec
    except msgspec.MsgspecError:
        return None
    views = {view.name: view for view in regions}
    waits: list[str] = []
    for shard in running[:SHARDS_READ]:
        rows = {row.task: row for row in await store.tasks(run.id, shard.index, outputs=False)}
        tasks = spec.tasks_of(stage_of(shard.index))
        waits += _task_waits_of(shard, tasks, rows, views.get(shard.region or ""), at)
    named, more = waits[:TASKS_NAMED], len(waits) - TASKS_NAMED
    named += [f"{more} more of its tasks wait"] if more > 0 else []
    return "; ".join(named) or None


def _task_waits_of(
    shard: Shard, tasks: Sequence[TaskSpec], rows: Mapping[str, TaskRow], region: RegionView | None, at: float
) -> Iterator[str]:
    """Yields a clause for each task of `shard` that waits, unless it waits for the tasks that it needs."""
    own = {task.name for task in tasks}
    for task in tasks:
        row = rows.get(task.name)
        name = f"task {task.name} of shard {shard_name(shard.index)}"
        if row is not None and row.phase is TaskPhase.RETRYING and row.next_try_at is not None:
            failed = f"{row.tries} failed ({row.reason})"
            left = row.next_try_at - at
            pause = f"for {left:.0f} s more" if left > 0 else _processor_wait(task, shard, region)
            yield f"{name} waits to be tried again, {pause}: try {failed}"
        elif (row is None or (row.phase is TaskPhase.STOPPED and row.epoch != shard.epoch)) and all(
            need not in own or (need in rows and rows[need].over) for need in task.needs
        ):
            yield f"{name} waits {_processor_wait(task, shard, region)}"


def _processor_wait(task: TaskSpec, shard: Shard, region: RegionView | None) -> str:
    """Returns a clause on what a task that may start waits for: a free processor, or that its region acts."""
    if region is None or not region.queued:
        return f"to be started in {shard.region}"
    owned = "" if region.cpu is None else f" of {region.cpu:g}"
    queue = "1 task waits" if region.queued == 1 else f"{region.queued} tasks wait"
    return f"for a processor in {shard.region} (it asks for {task.resources.cpu:g}{owned}; {queue} there)"


def _ending_in(shards: Sequence[Shard], services: Services) -> list[str]:
    """Returns the regions that answer and in which attempts that were given up may still run."""
    answering = {region.name for region in services.regions() if region.condition.reachable}
    return sorted({orphan.region for shard in shards for orphan in shard.orphans} & answering)


def _shards_wait(count: int) -> str:
    return "1 shard waits" if count == 1 else f"{count} shards wait"


def _cannot_move(services: Services) -> str:
    """Returns a clause saying that Suspect shards cannot move, as fewer than half of the regions answer.

    Empty if enough regions answer, or if the gateway is cut off and none answers.
    """
    counted = [region for region in services.regions() if region.counted]
    answering = sum(region.condition.reachable for region in counted)
    if enough_answer(answering, len(counted)) or (services.cut_off() and not answering):
        return ""  # without any answer it is not for a person to give the regions up
    lost = ", ".join(region.name for region in counted if region.condition is RegionCondition.UNREACHABLE)
    return (
        f"only {answering} of {len(counted)} regions answer; with fewer than half nothing is moved,"
        " since it may be us who are cut off."
        f" `waypost forget` gives up a region that is lost for good ({lost})"
    )
