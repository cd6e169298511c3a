"""Tests routing revisions in virtual time, on the real controller and store."""

from gateway.core.history import HistoryKind, PlacementDetail
from gateway.regions.region_condition import Taint
from gateway.regions.routing import RegionRouting
from tests.simulation.scenario import NOTE, placed, route, run, unroute, workflow
from tests.simulation.world import REGIONS, World

ALONE = {name: RegionRouting(cordon=name != "beijing") for name in REGIONS}


async def test_new_work_follows_the_routing_and_running_work_stays(world: World) -> None:
    await world.submit(workflow(30.0, shards=12))
    await run(world, 2)
    before = placed(world)
    assert min(before.values()) > 0

    number = await route(world, ALONE)
    await run(world, 1)
    await world.submit(workflow(5.0, shards=12))
    await run(world, 2)
    assert placed(world) == before | {"beijing": before["beijing"] + 12}
    assert {shard.routing for key, shard in world.shards.items() if key[0] == "run-001"} == {number}
    entries = [one.detail for one in await world.store.history("run-001") if one.kind is HistoryKind.PLACED]
    assert {one.routing for one in entries if isinstance(one, PlacementDetail)} == {number}

    await unroute(world, number)
    await run(world, 1)
    await world.submit(workflow(5.0, shards=12))
    await run(world, 2)
    assert placed(world)["shanghai"] > before["shanghai"]
    await run(world, 40)
    assert world.done()
    assert {shard.failovers for shard in world.shards.values()} == {0}


async def test_a_cordon_of_an_operator_outlives_the_routing(world: World) -> None:
    """In an emergency: neither a revision nor its rollback opens the region again."""
    await world.store.add_taint("beijing", Taint.CORDONED, entry=NOTE)
    number = await route(world, {"beijing": RegionRouting(weight=100.0)})
    for _ in range(2):
        await run(world, 1)
        await world.submit(workflow(5.0, shards=12))
        await run(world, 2)
        assert placed(world)["beijing"] == 0
        if number:
            await unroute(world, number)
            number = 0


async def test_shares_follow_the_weights(world: World) -> None:
    """Where the regions are equally near and have room."""
    for path in world.paths.values():
        path.delay_seconds = 0.01
    await route(world, {"beijing": RegionRouting(weight=8.0)})
    await run(world, 5)
    await world.submit(workflow(20.0, shards=60))
    await run(world, 3)
    there = placed(world)
    assert there["beijing"] > 2 * max(there["shanghai"], there["shenzhen"])


async def test_an_avoided_region_takes_what_fits_nowhere_else(world: World) -> None:
    await route(world, {"beijing": RegionRouting(avoid=True)})
    await run(world, 1)
    await world.submit(workflow(5.0, shards=12))
    await run(world, 2)
    assert placed(world)["beijing"] == 0
    for name in ("shanghai", "shenzhen"):
        await world.store.add_taint(name, Taint.CORDONED, entry=NOTE)
    await run(world, 1)
    await world.submit(workflow(5.0, shards=12))
    await run(world, 2)
    assert placed(world)["beijing"] == 12
