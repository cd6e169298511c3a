"""Tests where shards are placed: where policy permits it by now, and spread evenly where wanted."""

from msgspec import structs

from gateway.documents.workflow import PlacementWishes, Workflow
from gateway.settings import FailoverSettings
from gateway.store.sqlite.store import SqliteStore
from tests.simulation.scenario import NOTE, cut, placed, run, workflow
from tests.simulation.world import REGIONS, World


async def test_a_shard_is_not_moved_to_a_region_that_policy_no_longer_permits(store: SqliteStore) -> None:
    """The decision behind the run's acceptance has grown old: policy is asked again before the next placement
    (T2)."""
    world = World(store, 1, trouble=1e-9, failover=FailoverSettings(decision_fresh_seconds=10.0))
    await world.start_gateway()
    await run(world, 5)
    await world.submit(workflow(300.0, shards=12))
    await run(world, 2)
    world.permitted.append((world.timeline.now, ("shenzhen",)))
    await run(world, 11)
    cut(world, "beijing")
    await run(world, 40)

    assert world.policy.asked
    assert placed(world)["beijing"] == 0
    moved = [shard for shard in world.shards.values() if shard.epoch > 1]
    assert {shard.region for shard in moved} == {"shenzhen"}


async def test_a_fresh_decision_is_not_asked_for_again(world: World) -> None:
    """Policy is asked once for each acceptance, not at every failover."""
    await world.submit(workflow(300.0, shards=12))
    await run(world, 2)
    cut(world, "beijing")
    await run(world, 40)
    assert placed(world)["beijing"] == 0
    assert world.policy.asked == []


def spread(found: Workflow) -> Workflow:
    return structs.replace(found, spec=structs.replace(found.spec, placement=PlacementWishes(spread=True)))


async def test_a_run_that_wants_spreading_is_spread_evenly(world: World) -> None:
    """However much nearer one region is: the run is to survive the loss of any of them."""
    world.paths["beijing"].delay_seconds = 0.002
    for name in ("shanghai", "shenzhen"):
        world.paths[name].delay_seconds = 0.04
    await run(world, 60)
    await world.submit(workflow(60.0, shards=12))
    await run(world, 3)
    assert placed(world)["beijing"] > 4
    await world.store.cancel("run-000", at=world.now.wall, entry=NOTE)
    await run(world, 5)
    world.shards.clear()

    await world.submit(spread(workflow(60.0, shards=12)))
    await run(world, 3)
    assert placed(world) == dict.fromkeys(REGIONS, 4)
