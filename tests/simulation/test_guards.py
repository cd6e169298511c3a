"""What keeps a shard where it is, and what makes it move: one fault each, in virtual time."""

import pytest
from msgspec import structs

from clusters.protocol import Batch
from gateway.core.shard_states import Phase, Shard
from tests.simulation.network import SimulatedLink
from tests.simulation.test_operators import cut, placed, run, workflow
from tests.simulation.world import REGIONS, World
from waypost.workflow.task import SideEffects


def heal(world: World, *names: str) -> None:
    for name in names:
        world.healed_at[name] = 0.0


def there(world: World, region: str) -> list[Shard]:
    return [shard for shard in world.shards.values() if shard.region == region]


async def until(world: World, seconds: float, phase: Phase, region: str) -> None:
    """Until every shard there is in `phase`, `seconds` at most."""
    end = world.timeline.now + seconds
    while {shard.phase for shard in there(world, region)} != {phase}:
        assert world.timeline.now < end, there(world, region)
        await world.tick()


@pytest.mark.parametrize("lost", [("beijing", "shanghai"), REGIONS])
async def test_a_gateway_that_was_cut_off_moves_nothing(world: World, lost: tuple[str, ...]) -> None:
    """The regions never stopped working: whatever is started again elsewhere would run twice for nothing."""
    await world.submit(workflow(300.0, shards=12))
    await run(world, 15)
    cut(world, *lost)
    await run(world, 40)
    heal(world, *lost)
    await run(world, 30)

    assert {shard.phase for shard in world.shards.values()} == {Phase.RUNNING}
    assert {(shard.epoch, shard.failovers) for shard in world.shards.values()} == {(1, 0)}


async def test_the_region_that_comes_back_last_keeps_its_shards(world: World) -> None:
    """Half of the regions answer again, and this one is as likely to in a moment: it has had no chance yet to show that it lives."""
    await world.submit(workflow(300.0, shards=12))
    await run(world, 15)
    cut(world, *REGIONS)
    await run(world, 40)
    heal(world, "beijing", "shanghai")
    await run(world, 5)
    heal(world, "shenzhen")
    await run(world, 30)

    assert {(shard.epoch, shard.failovers) for shard in world.shards.values()} == {(1, 0)}


async def test_without_half_of_the_regions_nobody_can_tell_who_is_lost(world: World) -> None:
    """Lost one long after the other they are no blackout by time; yet one region of three is no proof that our own road is good."""
    await world.submit(workflow(300.0, shards=12))
    await run(world, 2)
    cut(world, "beijing")
    await run(world, 30)
    assert placed(world)["beijing"] == 0
    cut(world, "shanghai")
    await run(world, 60)

    assert {shard.phase for shard in there(world, "shanghai")} == {Phase.SUSPECT}


def swallow_creates(monkeypatch: pytest.MonkeyPatch, *regions: str) -> None:
    """Batches with creates never arrive there, and are never answered; all else does."""
    send = SimulatedLink.send

    def swallowing(link: SimulatedLink, batch: Batch) -> None:
        if link.name not in regions or not batch.creates:
            send(link, batch)

    monkeypatch.setattr(SimulatedLink, "send", swallowing)


async def test_what_nobody_confirms_goes_elsewhere_at_its_fence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the region's condition: no create can land any more. It is counted, so that a shard does not wander for ever (T14)."""
    swallow_creates(monkeypatch, "beijing")
    await world.submit(workflow(20.0, shards=12))
    await run(world, 1)
    first = {shard.key for shard in there(world, "beijing")}
    assert first
    await run(world, 6)

    assert {world.shards[key].epoch for key in first} >= {2}
    assert min(world.shards[key].failovers for key in first) == 1
    assert min(world.shards[key].epoch for key in first) == 2


async def test_an_intent_is_suspect_with_its_region(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows whether the create has landed: it waits as the running ones do, and is confirmed when the region is back (T5, T6)."""
    swallow_creates(monkeypatch, "beijing")
    await world.submit(workflow(20.0, shards=12))
    await run(world, 0.7)
    assert {shard.phase for shard in there(world, "beijing")} == {Phase.DISPATCHING}
    world.clusters["beijing"].crash(world.timeline.now)  # refuses connections: lost in two seconds
    await until(world, 4, Phase.SUSPECT, "beijing")


async def test_a_region_that_comes_back_goes_on_under_the_same_epoch(world: World) -> None:
    """Its fence is a new one: under the old one the cluster would refuse its own attempt as too late (T6)."""
    await world.submit(workflow(300.0, shards=12, side_effects=SideEffects.EXCLUSIVE))
    await run(world, 10)
    cut(world, "beijing")
    await until(world, 10, Phase.SUSPECT, "beijing")
    heal(world, "beijing")
    await until(world, 10, Phase.RUNNING, "beijing")
    await run(world, 30)

    assert {shard.phase for shard in world.shards.values()} == {Phase.RUNNING}
    assert {(shard.epoch, shard.failovers) for shard in world.shards.values()} == {(1, 0)}


async def test_past_its_deadline_nothing_is_open(world: World) -> None:
    """Queued, running, or in a region that is lost: people are told in time (T12). The world itself looks at every pass."""
    for side_effects in SideEffects:
        late = workflow(300.0, shards=6, side_effects=side_effects)
        await world.submit(structs.replace(late, spec=structs.replace(late.spec, deadline_seconds=20.0)))
    await run(world, 2)
    cut(world, "beijing", "shanghai")
    await run(world, 25)

    assert {(shard.phase, shard.reason) for shard in world.shards.values()} == {
        (Phase.FAILED, "DeadlineExceeded")
    }


async def test_a_new_owner_waits_anew(world: World) -> None:
    """It does not know since when the region is silent, nor whether it is the region or its own road: it looks for itself first (T7)."""
    await world.submit(workflow(300.0, shards=12))
    await run(world, 15)
    cut(world, "beijing")
    await until(world, 10, Phase.SUSPECT, "beijing")
    mine = {shard.key for shard in there(world, "beijing")}
    world.kill_gateway()
    await world.start_gateway()
    started = world.timeline.now
    while any(world.shards[key].phase is Phase.SUSPECT for key in mine):
        await world.tick()

    assert world.timeline.now - started >= world.failover.wait_minimum_seconds
