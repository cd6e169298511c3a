"""Tests in virtual time that a failed task is a result like any other: no failover tries it again."""

import pytest

from clusters.features import AFTER_FAILURE
from gateway.core.shard_states import Phase
from gateway.documents.workflow import Metadata, Spec, Workflow
from tests.simulation.scenario import cut, run
from tests.simulation.world import World
from waypost.workflow.task import Retry, TaskSpec
from waypost.workflow.task_phase import TaskPhase


def task(name: str, *needs: str, seconds: float, failing: float = 0.0, **fields: str) -> TaskSpec:
    spec = {"name": name, "type": "delay", "run": {"seconds": seconds, "failing": failing}, "needs": needs}
    return TaskSpec(**spec, retry=Retry(limit=0), **fields)  # type: ignore[arg-type]


def document(*tasks: TaskSpec, fail_fast: bool = True) -> Workflow:
    spec = Spec(tasks=tasks, fail_fast=fail_fast)
    return Workflow(api_version="waypost/v1", kind="Workflow", metadata=Metadata(name="w"), spec=spec)


@pytest.mark.parametrize("fail_fast", [True, False])
@pytest.mark.parametrize("restarted", [True, False])
async def test_a_failed_task_is_not_tried_again_after_a_failover(
    world: World, *, fail_fast: bool, restarted: bool
) -> None:
    """Its result goes with the shard, also where another gateway has taken over meanwhile."""
    work = task("work", seconds=0.2, failing=1.0)
    await world.submit(
        document(work, task("clean", "work", seconds=30.0, runs="always"), fail_fast=fail_fast)
    )
    while world.ends.get(("run-000", 0, "work")) is not TaskPhase.FAILED:
        await world.tick()
    region = world.shards["run-000", 0].region or ""
    cut(world, region)
    if restarted:
        world.kill_gateway()
        await world.start_gateway()
    while world.shards["run-000", 0].phase is not Phase.FAILED:
        await world.tick()

    starts = [start.task for start in world.starts]
    assert starts.count("work") == 1
    assert starts.count("clean") == 2
    assert world.shards["run-000", 0].region != region


async def test_a_region_without_the_feature_gets_no_such_run(world: World) -> None:
    """Regions are upgraded one after the other; what an older cluster does not know it is not sent."""
    older = {"beijing", "shanghai"}
    for name in older:
        world.clusters[name].features = ()
    world.kill_gateway()
    await world.start_gateway()
    await run(world, 5)
    for _ in range(10):
        await world.submit(document(task("a", seconds=1.0), fail_fast=False))
    await run(world, 20)

    assert {start.region for start in world.starts} == {"shenzhen"}
    assert world.done()
    assert AFTER_FAILURE in world.clusters["shenzhen"].features
