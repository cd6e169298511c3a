"""Tests which waiting shards one pass of placing reads, and which it leaves for a later one."""

import random
from collections.abc import Sequence
from typing import Any, cast

from msgspec import structs

from clusters.protocol import ClusterStatus
from gateway.core.instant import Instant
from gateway.core.run import Run
from gateway.core.shard_states import Orphan, Phase, Shard
from gateway.reconciler.placing import Placer
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.regions.region_condition import RegionCondition
from gateway.regions.region_view import RegionView
from gateway.settings import FailoverSettings, PlacingSettings
from gateway.store.interface import Store
from tests.gateway.reconciler.under_way import NOW, loaded_run, region, tracked
from waypost.workflow.stages import FINALLY_SHARD

BATCH = 3


class WaitingShards:
    """Stands for a store that has these Pending shards of runs without results."""

    era = 0

    def __init__(self, waiting: Sequence[Shard]) -> None:
        self._waiting = waiting

    async def pending(self, *, limit: int, without: Sequence[str], **_: Any) -> Sequence[Shard]:
        return [shard for shard in self._waiting if shard.run not in without][:limit]

    async def some_runs(self, run_ids: Sequence[str], **_: Any) -> dict[str, Run]:
        return {run_id: loaded_run(run_id).stored for run_id in run_ids}

    async def taints(self) -> dict[str, frozenset[str]]:
        return {}

    async def tasks(self, *_: Any) -> Sequence[Any]:
        return ()


def world_of_early_ends() -> tuple[WorkingSet, list[Shard]]:
    """Returns runs whose `finally` must wait for an attempt that is being ended, as many as a pass reads."""
    beijing = region()
    beijing.health = structs.replace(beijing.health, condition=RegionCondition.HEALTHY)
    ws = WorkingSet(regions={"beijing": beijing})
    waiting = []
    for number in range(BATCH):
        run = loaded_run(f"run-{number}")
        one = tracked(run, 0)
        orphans = (Orphan(region="beijing", epoch=1),)
        one.shard = structs.replace(one.shard, phase=Phase.CANCELLED, orphans=orphans)
        ws.add(one)
        waiting.append(Shard(run=run.stored.id, index=FINALLY_SHARD, phase=Phase.PENDING))
    return ws, waiting


async def test_ends_that_must_wait_take_no_place_of_a_pass_from_other_runs() -> None:
    """A hundred cancelled runs whose tasks hang would otherwise keep all later runs from being placed."""
    ws, early = world_of_early_ends()
    other = Shard(run="run-9", index=0)
    placer = Placer(
        ws=ws,
        store=cast(Store, WaitingShards([*early, other])),
        policy=cast(Any, None),
        failover=FailoverSettings(),
        placing=PlacingSettings(batch=BATCH),
        rng=random.Random(7),
    )
    status = structs.replace(cast(ClusterStatus, region().status), executors=("delay",))
    view = RegionView(
        name="beijing",
        condition=RegionCondition.HEALTHY,
        peak_ewma_seconds=0.1,
        inflight=0,
        free_slots=9,
        status=status,
    )

    await placer.place_pending(NOW, [view])
    assert placer.is_due(NOW), "the pass has read as many shards as it may, so there are more"
    await placer.place_pending(Instant(NOW.monotonic + 0.01, NOW.wall), [view])

    assert ws.shards[other.key].shard.phase is Phase.DISPATCHING
    assert not any(shard.key in ws.shards for shard in early)
