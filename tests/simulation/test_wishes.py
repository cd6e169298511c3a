"""Where shards go: what policy says by now, evenly where that is wished, and only where there is room."""

import pytest
from msgspec import structs

from gateway.core.phase import Phase
from gateway.core.run import AuditEntry
from gateway.core.workflow import PlacementWishes, Workflow
from gateway.settings import Failover
from gateway.store.sqlite import SqliteStore
from tests.simulation.test_operators import cut, placed, run, workflow
from tests.simulation.world import REGIONS, World

NOTE = AuditEntry(run="", kind="Said", at=0.0, actor="sre")


@pytest.mark.parametrize("fresh_seconds", [10.0])
async def test_a_shard_goes_nowhere_that_policy_has_ruled_out_meanwhile(store: SqliteStore, fresh_seconds: float) -> None:
    """The decision behind the run's acceptance grows old: it is asked again before the shard is placed again (T2)."""
    world = World(store, 1, trouble=1e-9, failover=Failover(decision_fresh_seconds=fresh_seconds))
    await world.start_gateway()
    await run(world, 5)
    await world.submit(workflow(300.0, shards=12))
    await run(world, 2)
    world.permitted.append((world.timeline.now, ("shenzhen",)))
    await run(world, fresh_seconds + 1)
    cut(world, "beijing")
    await run(world, 40)

    assert world.policy.asked
    assert placed(world)["beijing"] == 0
    moved = [shard for shard in world.shards.values() if shard.epoch > 1]
    assert {shard.region for shard in moved} == {"shenzhen"}


async def test_a_decision_that_is_fresh_is_not_asked_for_again(world: World) -> None:
    """Policy is asked once for each acceptance, not at every failover."""
    await world.submit(workflow(300.0, shards=12))
    await run(world, 2)
    cut(world, "beijing")
    await run(world, 40)
    assert placed(world)["beijing"] == 0
    assert world.policy.asked == []


def spread(found: Workflow) -> Workflow:
    return structs.replace(found, spec=structs.replace(found.spec, placement=PlacementWishes(spread=True)))


async def test_who_wishes_to_be_spread_is_evenly(world: World) -> None:
    """However much nearer one region is: it is a wish to survive the loss of any of them."""
    world.roads["beijing"].delay_seconds = 0.002
    for name in ("shanghai", "shenzhen"):
        world.roads[name].delay_seconds = 0.04
    await run(world, 60)
    await world.submit(workflow(60.0, shards=12))
    await run(world, 3)
    assert placed(world)["beijing"] > 4
    await world.store.cancel("run-000", at=world.now.wall, audit=NOTE)
    await run(world, 5)
    world.shards.clear()

    await world.submit(spread(workflow(60.0, shards=12)))
    await run(world, 3)
    assert placed(world) == dict.fromkeys(REGIONS, 4)


async def test_what_finds_no_slot_waits_and_counts_as_nothing(world: World) -> None:
    """Full is no fault of the shard's: it is tried again without being counted."""
    for cluster in world.clusters.values():
        cluster.slots = 2
    await run(world, 3)
    await world.submit(workflow(2.0, shards=18))
    await run(world, 60)

    assert {(shard.phase, shard.failovers, shard.attempts_lost) for shard in world.shards.values()} == {(Phase.SUCCEEDED, 0, 0)}
