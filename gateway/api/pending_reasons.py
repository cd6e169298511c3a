"""Why shards have no place now: worked out when somebody asks, since while nothing takes work nothing is written down."""

from collections.abc import Sequence
from random import choice

import msgspec

from gateway.api.calls import Front
from gateway.core.run import Run
from gateway.core.shard_states import Phase, Shard
from gateway.documents.workflow import Workflow
from gateway.regions.demand import plan
from gateway.regions.placement import Unplaceable
from gateway.regions.region_condition import RegionCondition

_decode = msgspec.json.Decoder(Workflow).decode


def waiting(run: Run, shards: Sequence[Shard], front: Front, at: float) -> str | None:
    """A sentence about the shards of `run` that are Pending; None where there are none, or the run is not one that can be read."""
    suspect = sum(shard.phase is Phase.SUSPECT for shard in shards)
    if suspect and (held := _held_up(front)):
        return f"{_counted(suspect)}: {held}"
    pending = [shard for shard in shards if shard.phase is Phase.PENDING]
    if not pending:
        return None
    count = _counted(len(pending))
    if front.cut_off():
        return f"{count}: this gateway takes itself to be cut off from its regions, and places nothing"
    try:
        workflow = _decode(run.workflow)
    except msgspec.MsgspecError:
        return None
    found = plan(workflow, run.permitted, front.regions(), choose=choice, settings=front.settings.placing)
    if isinstance(found, Unplaceable):
        return f"{count}: {found} ({'; '.join(f'{name}: {why}' for name, why in found.rejected.items())})"
    soonest = min(shard.not_before for shard in pending) - at
    if soonest > 0:
        return f"{count} for a pause to end, for {soonest:.0f} s more"
    return f"{count} for a turn: {found.region} fits"


def _counted(shards: int) -> str:
    return "1 shard waits" if shards == 1 else f"{shards} shards wait"


def _held_up(front: Front) -> str:
    """Why suspect shards are not moved, whatever time passes (T7); empty where they are."""
    counted = [region for region in front.regions() if not region.forgotten]
    answering = sum(region.condition.ready for region in counted)
    if front.cut_off() or 2 * answering >= len(counted):
        return ""
    lost = ", ".join(region.name for region in counted if region.condition is RegionCondition.UNREACHABLE)
    few = f"only {answering} of {len(counted)} regions answer; with fewer than half nothing is moved, since it may be us who are cut off"
    return f"{few}. `waypost forget` gives up a region that is lost for good ({lost})"
