"""Tests in virtual time that a workflow runs only in regions of its engine, also when they are lost."""

from msgspec import structs

from gateway.core.shard_states import Phase
from tests.simulation.scenario import cut, heal, placed, run, workflow
from tests.simulation.world import World


async def test_a_workflow_of_an_engine_waits_for_its_regions(world: World) -> None:
    """It moves to none of another engine; `any` goes everywhere."""
    world.kill_gateway()
    world.engines["shanghai"] = "temporal"
    await world.start_gateway()
    await run(world, 5)
    asked = workflow(30.0, shards=6)
    await world.submit(structs.replace(asked, spec=structs.replace(asked.spec, engine="temporal")))
    await run(world, 2)
    assert placed(world) == {"beijing": 0, "shanghai": 6, "shenzhen": 0}

    cut(world, "shanghai")
    await run(world, 200)
    assert {shard.phase for shard in world.shards.values()} == {Phase.PENDING}
    heal(world, "shanghai")
    await world.submit(workflow(1.0, shards=12))
    await run(world, 60)
    assert world.done()
