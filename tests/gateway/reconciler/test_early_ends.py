"""Tests that `finally` is not placed beside an attempt of its run that may still run."""

import pytest
from msgspec import structs

from gateway.core.instant import Instant
from gateway.core.shard_states import Orphan, Phase, Shard
from gateway.reconciler.working_set.stages import early_ends
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.regions.region_condition import RegionCondition
from gateway.settings import FailoverSettings
from tests.gateway.reconciler.under_way import NOW, loaded_run, region, tracked
from waypost.workflow.stages import FINALLY_SHARD
from waypost.workflow.task import SideEffects

SETTINGS = FailoverSettings()
LATER = Instant(NOW.monotonic + SETTINGS.exclusive_wait_seconds + 6, NOW.wall)


def world(condition: RegionCondition, side_effects: SideEffects) -> WorkingSet:
    """Returns a working set with an ended shard of `run-1`, of which an attempt may run in the region."""
    beijing = region()
    beijing.health = structs.replace(beijing.health, condition=condition)
    ws = WorkingSet(regions={"beijing": beijing})
    one = tracked(loaded_run("run-1", side_effects=side_effects), 0)
    orphans = (Orphan(region="beijing", epoch=1),)
    one.shard = structs.replace(one.shard, phase=Phase.QUARANTINED, orphans=orphans)
    one.left_at = NOW.monotonic
    ws.add(one)
    return ws


@pytest.mark.parametrize(
    ("condition", "side_effects", "now", "placed"),
    [
        (RegionCondition.HEALTHY, SideEffects.IDEMPOTENT, NOW, False),
        (RegionCondition.HEALTHY, SideEffects.EXCLUSIVE, LATER, False),
        (RegionCondition.UNREACHABLE, SideEffects.IDEMPOTENT, NOW, True),
        (RegionCondition.UNREACHABLE, SideEffects.EXCLUSIVE, NOW, False),
        (RegionCondition.UNREACHABLE, SideEffects.EXCLUSIVE, LATER, True),
    ],
)
def test_what_cleans_up_waits_for_what_can_be_ended(
    condition: RegionCondition, side_effects: SideEffects, now: Instant, placed: bool
) -> None:
    """An attempt in a lost region cannot be; its lease ends by itself."""
    ws = world(condition, side_effects)
    ending = Shard(run="run-1", index=FINALLY_SHARD, phase=Phase.PENDING)
    others = [Shard(run="run-1", index=7), structs.replace(ending, run="run-2")]

    found = early_ends([ending, *others], ws, now, SETTINGS)

    assert found == (frozenset() if placed else {"run-1"})
