"""Explains to people, in a sentence, why shards wait; computed from the present state of the regions.

While no region takes work the controller looks at no shard and records nothing: the history has no reason.
"""

from collections.abc import Mapping, Sequence
from random import choice

import msgspec

from clusters.protocol import TaskPhase
from gateway.api.http.services import Services
from gateway.core.run import Run
from gateway.core.shard_states import Phase, Shard
from gateway.documents.workflow import Workflow
from gateway.regions.blackout_guard import enough_answer
from gateway.regions.placement import Unplaceable, place
from gateway.regions.placement_demand import demand_of
from gateway.regions.region_condition import RegionCondition

_decode = msgspec.json.Decoder(Workflow).decode


def pending_reason(run: Run, shards: Sequence[Shard], services: Services, at: float) -> str | None:
    """A sentence that says why shards of `run` wait at wall-clock second `at`.

    It is about Suspect shards that cannot move, if there are any, else about Pending ones. None where there
    are neither, or where the stored document cannot be read.
    """
    # Suspect shards first: where they cannot move only an operator helps, and the sentence says how.
    suspect = sum(shard.phase is Phase.SUSPECT for shard in shards)
    if suspect and (reason := _cannot_move(services)):
        return f"{_shards_wait(suspect)}: {reason}"
    pending = [shard for shard in shards if shard.phase is Phase.PENDING]
    if not pending:
        return None
    wait = _shards_wait(len(pending))
    if services.cut_off():
        return f"{wait}: this gateway takes itself to be cut off from its regions, and places nothing"
    try:
        workflow = _decode(run.workflow)
    except msgspec.MsgspecError:
        return None
    demand = demand_of(workflow, run.permitted)
    found = place(demand, services.regions(), choose=choice, settings=services.settings.placing)
    if isinstance(found, Unplaceable):
        return f"{wait}: {found} ({'; '.join(f'{name}: {why}' for name, why in found.rejected.items())})"
    soonest = min(shard.not_before for shard in pending) - at
    if soonest > 0:
        return f"{wait} for a pause to end, for {soonest:.0f} s more"
    return f"{wait} for a turn: {found.region} fits"


def processor_reason(run: Run, shards: Sequence[Shard], counts: Mapping[TaskPhase, int]) -> str | None:
    """A sentence about shards that have a region, where no task of theirs runs; None if one does.

    `counts` has the tasks of the run by phase.
    """
    placed = [shard for shard in shards if shard.phase is Phase.RUNNING]
    if run.phase.terminal or not placed or counts.get(TaskPhase.RUNNING, 0):
        return None
    regions = ", ".join(sorted({shard.region for shard in placed if shard.region is not None}))
    return f"{_shards_wait(len(placed))} for a processor: no task of the run runs in {regions}"


def _shards_wait(count: int) -> str:
    return "1 shard waits" if count == 1 else f"{count} shards wait"


def _cannot_move(services: Services) -> str:
    """A clause that says why Suspect shards are not moved, however long they wait (T7); empty if they are."""
    counted = [region for region in services.regions() if region.counted]
    answering = sum(region.condition.reachable for region in counted)
    if services.cut_off() or enough_answer(answering, len(counted)):
        return ""
    lost = ", ".join(region.name for region in counted if region.condition is RegionCondition.UNREACHABLE)
    return (
        f"only {answering} of {len(counted)} regions answer; with fewer than half nothing is moved,"
        " since it may be us who are cut off."
        f" `waypost forget` gives up a region that is lost for good ({lost})"
    )
