"""Tests in virtual time that instances of a task (`forEach`) survive the loss of regions: one fault each.

The world itself checks that no instance runs again whose result is held, unless its list was made again (I7),
and that a task succeeds with instances of its own list alone.
"""

from typing import Literal

from gateway.core.shard_states import Phase
from gateway.documents.workflow import Metadata, Spec, Workflow
from tests.simulation.scenario import cut, heal, run, workflow
from tests.simulation.world import REGIONS, World
from waypost.workflow.task import TaskSpec

SECONDS = 20.0


def each_item(scope: Literal["global", "region"]) -> Workflow:
    """Returns a workflow that makes a list, and runs a task for each of its items, one after the other."""
    tasks = (
        TaskSpec(name="list", type="delay", run={"seconds": 1.0, "items": (4, 4)}, result_scope=scope),
        TaskSpec(
            name="each",
            type="delay",
            run={"seconds": SECONDS},
            needs=("list",),
            for_each="${tasks.list.output}",
            max_parallel=1,
        ),
    )
    made = workflow(1.0, shards=1)
    return Workflow(
        api_version=made.api_version, kind=made.kind, metadata=Metadata(name="each"), spec=Spec(tasks=tasks)
    )


def begun(world: World, task: str) -> list[tuple[int, str]]:
    """Returns the attempts in which a task was started, with their regions."""
    return [(start.attempt.epoch, start.region) for start in world.starts if start.task == task]


def begun_in(world: World, epoch: int) -> set[str]:
    return {start.task for start in world.starts if start.attempt.epoch == epoch}


async def until_started(world: World, task: str, *, times: int) -> str:
    """Waits until a task has been started so often; returns the region in which it runs."""
    end = world.timeline.now + 300
    while len(begun(world, task)) < times:
        assert world.timeline.now < end, world.shards
        await world.tick()
    return begun(world, task)[-1][1]


async def to_the_end(world: World) -> None:
    end = world.timeline.now + 900
    while {shard.phase for shard in world.shards.values()} != {Phase.SUCCEEDED}:
        assert world.timeline.now < end, world.shards
        await world.tick()


async def test_a_region_lost_among_the_instances_costs_the_one_that_ran(world: World) -> None:
    """Those that had finished there keep their results, and the list keeps its own."""
    await world.submit(each_item("global"))
    region = await until_started(world, "each[2]", times=1)
    await run(world, 1)
    cut(world, region)
    await to_the_end(world)

    assert begun_in(world, 1) >= {"list", "each[0]", "each[1]", "each[2]"}
    assert begun_in(world, 2) == {"each[2]", "each[3]"}


async def test_a_list_that_is_made_again_has_other_instances(world: World) -> None:
    """Also where the region that made it again is lost before one of them has finished, and comes back."""
    await world.submit(each_item("region"))
    first = await until_started(world, "each[2]", times=1)
    await run(world, 1)
    cut(world, first)
    second = await until_started(world, "each[0]", times=2)
    for other in set(REGIONS) - {second}:
        world.clusters[other].slots = 0
    await run(world, 1)
    heal(world, first)
    await run(world, 10)
    cut(world, second)
    await run(world, 60)
    heal(world, second)
    await to_the_end(world)

    assert begun(world, "list") == [(1, first), (2, second)]
    assert begun_in(world, 2) >= {"list", "each[0]"}
    assert begun_in(world, 3) == {f"each[{index}]" for index in range(4)}
