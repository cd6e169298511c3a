"""Tests cordon and forget in virtual time, on the real controller and store."""

import pytest

from gateway.core.shard_states import Phase
from gateway.regions.region_condition import RegionCondition, Taint
from tests.simulation.scenario import NOTE, cut, give_up, placed, run, workflow
from tests.simulation.world import World
from waypost.workflow.task import SideEffects

LOST = ("beijing", "shanghai")


async def test_a_cordoned_region_takes_nothing_new_and_finishes_what_it_has(world: World) -> None:
    """So that it can be emptied, and stopped, without moving anything."""
    await world.submit(workflow(5.0, shards=12))
    await run(world, 2)
    before = placed(world)["beijing"]
    assert before > 0

    await world.store.add_taint("beijing", Taint.CORDONED, entry=NOTE)
    await run(world, 1)
    await world.submit(workflow(5.0, shards=12))
    await run(world, 2)
    assert placed(world)["beijing"] == before
    await run(world, 15)
    assert world.done()
    assert {shard.failovers for shard in world.shards.values()} == {0}

    await world.store.remove_taint("beijing", Taint.CORDONED, entry=NOTE)
    await run(world, 1)
    await world.submit(workflow(5.0, shards=12))
    await run(world, 2)
    assert placed(world)["beijing"] > before


@pytest.mark.parametrize("side_effects", [SideEffects.IDEMPOTENT, SideEffects.EXCLUSIVE])
async def test_forgetting_the_lost_regions_ends_a_blackout(world: World, side_effects: SideEffects) -> None:
    """Two of three lost together: the gateway takes itself to be cut off until an operator, who knows,
    forgets them."""
    await world.submit(workflow(5.0, shards=12, side_effects=side_effects))
    await run(world, 2)
    cut(world, *LOST)
    await run(world, 60)
    assert not world.done(), "cut off: nothing shows whether the regions are lost or the gateway's network"
    assert {shard.phase for shard in world.shards.values() if shard.region in LOST} == {Phase.SUSPECT}

    await give_up(world, *LOST)
    await run(world, 30)

    assert world.done()
    assert {shard.phase for shard in world.shards.values()} == {Phase.SUCCEEDED}


async def test_what_is_submitted_after_a_region_was_forgotten_runs(world: World) -> None:
    """The blackout guard does not count it any more, not even in a gateway that is restarted."""
    cut(world, *LOST)
    await run(world, 10)
    await give_up(world, *LOST)
    await run(world, 20)
    await world.submit(workflow(1.0, shards=6))
    await run(world, 20)
    assert world.done()

    world.kill_gateway()
    await world.start_gateway()
    await world.submit(workflow(1.0, shards=6))
    await run(world, 30)
    assert world.done()


async def test_a_region_that_answers_again_is_forgotten_no_more(world: World) -> None:
    """What it finished meanwhile does not count, it takes new work again, and its next loss is waited for as
    any other."""
    await world.submit(workflow(5.0, shards=12))
    await run(world, 2)
    cut(world, *LOST)
    await run(world, 30)
    await give_up(world, *LOST)
    await run(world, 30)
    assert world.done()

    for name in LOST:
        world.healed_at[name] = 0.0
    await run(world, 60)

    assert await world.store.taints() == {}
    assert world.controller is not None
    assert {view.condition for view in world.controller.views(world.now)}.isdisjoint(
        {RegionCondition.UNREACHABLE, RegionCondition.UNKNOWN}
    )
    await world.submit(workflow(1.0, shards=12))
    await run(world, 2)
    assert all(placed(world)[name] for name in LOST)
    assert {entry.kind for entry in await world.store.history("")} >= {"RegionReturned"}


async def test_an_operator_does_not_shorten_a_lease(world: World) -> None:
    """Operators err: a region that is up after all may run an exclusive task until its lease has ended."""
    await world.submit(workflow(40.0, shards=3, side_effects=SideEffects.EXCLUSIVE))
    await run(world, 2)
    there = {shard.key for shard in world.shards.values() if shard.region == "beijing"}
    assert there
    cut(world, "beijing")
    while (await world.store.shards("run-000"))[min(there)[1]].phase is not Phase.SUSPECT:
        await world.tick()
    suspected = world.timeline.now
    await give_up(world, "beijing")
    while world.shards[min(there)].phase is Phase.SUSPECT:
        await world.tick()

    assert world.timeline.now - suspected >= 16.5
