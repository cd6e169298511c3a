"""Tests in virtual time when a shard stays in its region and when it moves: one fault each."""

import pytest
from msgspec import structs

from clusters.protocol import Batch
from gateway.core.shard_states import Phase
from tests.simulation.network import SimulatedLink
from tests.simulation.scenario import NOTE, cut, heal, placed, run, run_until_phase, shards_in, workflow
from tests.simulation.world import REGIONS, World
from waypost.workflow.task import SideEffects


@pytest.mark.parametrize("lost", [("beijing", "shanghai"), REGIONS])
async def test_a_gateway_that_was_cut_off_moves_nothing(world: World, lost: tuple[str, ...]) -> None:
    """The regions never stopped working: what started again elsewhere would run twice for nothing."""
    await world.submit(workflow(300.0, shards=12))
    await run(world, 15)
    cut(world, *lost)
    await run(world, 40)
    heal(world, *lost)
    await run(world, 30)

    assert {shard.phase for shard in world.shards.values()} == {Phase.RUNNING}
    assert {(shard.epoch, shard.failovers) for shard in world.shards.values()} == {(1, 0)}


async def test_the_region_that_comes_back_last_keeps_its_shards(world: World) -> None:
    """Half of the regions answer again; this one may in a moment, and has had no chance yet to show it."""
    await world.submit(workflow(300.0, shards=12))
    await run(world, 15)
    cut(world, *REGIONS)
    await run(world, 40)
    heal(world, "beijing", "shanghai")
    await run(world, 5)
    heal(world, "shenzhen")
    await run(world, 30)

    assert {(shard.epoch, shard.failovers) for shard in world.shards.values()} == {(1, 0)}


async def test_new_work_goes_on_in_the_region_that_answers(world: World) -> None:
    """Two of three are lost at once: what may run there stays, and what runs nowhere yet does not wait for a
    person. So does what was sent to them before they were known to be lost."""
    await world.submit(workflow(300.0, shards=12))
    await run(world, 15)
    cut(world, "beijing", "shanghai")
    for _ in range(30):
        await world.submit(workflow(1.0, shards=1))
        await run(world, 0.5)
    controller = world.controller
    assert controller is not None
    assert controller.cut_off
    await run(world, 10)

    old = {shard.phase: shard.epoch for key, shard in world.shards.items() if key[0] == "run-000"}
    assert old == {Phase.SUSPECT: 1, Phase.RUNNING: 1}
    new = [shard for key, shard in world.shards.items() if key[0] != "run-000"]
    assert {(shard.phase, shard.region) for shard in new} == {(Phase.SUCCEEDED, "shenzhen")}


async def test_without_half_of_the_regions_nothing_moves(world: World) -> None:
    """Lost one long after the other they are no blackout; yet one region of three does not show that the
    gateway's own network works."""
    await world.submit(workflow(300.0, shards=12))
    await run(world, 2)
    cut(world, "beijing")
    await run(world, 30)
    assert placed(world)["beijing"] == 0
    cut(world, "shanghai")
    await run(world, 60)

    assert {shard.phase for shard in shards_in(world, "shanghai")} == {Phase.SUSPECT}


def swallow_creates(monkeypatch: pytest.MonkeyPatch, *regions: str) -> None:
    """Drops batches with creates on the way to `regions`, without an answer."""
    send = SimulatedLink.send

    def swallowing(link: SimulatedLink, batch: Batch) -> None:
        if link.name not in regions or not batch.creates:
            send(link, batch)

    monkeypatch.setattr(SimulatedLink, "send", swallowing)


async def test_an_unconfirmed_create_is_placed_elsewhere_at_its_fence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the region's condition: no cluster takes the create any more. It counts as a failover, so that
    it ends (T14)."""
    swallow_creates(monkeypatch, "beijing")
    await world.submit(workflow(20.0, shards=12))
    await run(world, 1)
    first = {shard.key for shard in shards_in(world, "beijing")}
    assert first
    await run(world, 6)

    assert {world.shards[key].epoch for key in first} >= {2}
    assert min(world.shards[key].failovers for key in first) == 1
    assert min(world.shards[key].epoch for key in first) == 2


async def test_an_intent_is_suspect_with_its_region(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the create arrived is unknown: it waits like the running ones, and is confirmed when the region
    is back (T5, T6)."""
    swallow_creates(monkeypatch, "beijing")
    await world.submit(workflow(20.0, shards=12))
    await run(world, 0.7)
    assert {shard.phase for shard in shards_in(world, "beijing")} == {Phase.DISPATCHING}
    world.clusters["beijing"].crash(world.timeline.now)  # refuses connections: lost in two seconds
    await run_until_phase(world, 4, Phase.SUSPECT, "beijing")


async def test_a_region_that_comes_back_goes_on_under_the_same_epoch(world: World) -> None:
    """Its fence is a new one: under the old one the cluster would refuse its own attempt as late (T6)."""
    await world.submit(workflow(300.0, shards=12, side_effects=SideEffects.EXCLUSIVE))
    await run(world, 10)
    cut(world, "beijing")
    await run_until_phase(world, 10, Phase.SUSPECT, "beijing")
    heal(world, "beijing")
    await run_until_phase(world, 10, Phase.RUNNING, "beijing")
    await run(world, 30)

    assert {shard.phase for shard in world.shards.values()} == {Phase.RUNNING}
    assert {(shard.epoch, shard.failovers) for shard in world.shards.values()} == {(1, 0)}


async def test_past_its_deadline_nothing_is_open(world: World) -> None:
    """Queued, running, or in a region that is lost: the run ends in time (T12). The world itself checks every
    pass."""
    for side_effects in SideEffects:
        late = workflow(300.0, shards=6, side_effects=side_effects)
        await world.submit(structs.replace(late, spec=structs.replace(late.spec, deadline_seconds=20.0)))
    await run(world, 2)
    cut(world, "beijing", "shanghai")
    await run(world, 25)
    assert not any(shard.phase.placed for shard in world.shards.values())
    # Exclusive ones may hold a lease where nobody can look.
    await run(world, 20)

    assert {(shard.phase, shard.reason) for shard in world.shards.values()} == {
        (Phase.FAILED, "DeadlineExceeded")
    }


async def test_what_was_cancelled_before_its_deadline_ends_as_cancelled(world: World) -> None:
    """Though it takes longer than that: processes that do not end, or a lease that has to be waited for."""
    late = workflow(300.0, shards=3, side_effects=SideEffects.EXCLUSIVE)
    await world.submit(structs.replace(late, spec=structs.replace(late.spec, deadline_seconds=10.0)))
    await run(world, 8)
    cut(world, *REGIONS)
    await world.store.cancel("run-000", at=world.now.wall, entry=NOTE)
    await run(world, 10)
    assert {shard.phase for shard in world.shards.values()} == {Phase.CANCELLING}
    heal(world, *REGIONS)
    await run(world, 30)

    assert {shard.phase for shard in world.shards.values()} == {Phase.CANCELLED}


async def test_a_region_that_is_back_before_its_shards_have_moved_keeps_them(world: World) -> None:
    """Stopped for two seconds without a drain: it was lost, and answered before it had answered often enough
    to be reachable again."""
    await world.submit(workflow(300.0, shards=12))
    await run(world, 60)
    world.clusters["beijing"].crash(world.timeline.now)
    await run_until_phase(world, 10, Phase.SUSPECT, "beijing")
    if not world.clusters["beijing"].up:
        world.clusters["beijing"].restart(world.timeline.now)
    await run_until_phase(world, 5, Phase.RUNNING, "beijing")

    assert {(shard.epoch, shard.failovers) for shard in world.shards.values()} == {(1, 0)}
    history = [entry.kind for entry in await world.store.history("run-000")]
    told = [kind for kind in history if kind in ("RegionLost", "RegionBack")]
    lost = placed(world)["beijing"]
    assert told == ["RegionLost"] * lost + ["RegionBack"] * lost


async def test_regions_lost_in_turn_take_new_work_all_the_time(world: World) -> None:
    """Each was lost three times of late; with all of them ejected nothing would run anywhere."""
    for _ in range(3):
        for name in REGIONS:
            cut(world, name)
            await run(world, 9)
            heal(world, name)
            await run(world, 8)
    for _ in range(12):
        await world.submit(workflow(1.0, shards=1))
        began = world.timeline.now
        while not world.done():
            assert world.timeline.now < began + 5, world.shards
            await world.tick()
        await run(world, 5)


async def test_a_new_owner_waits_from_its_own_start(world: World) -> None:
    """It does not know since when the region is silent, nor whether its own network is at fault: it finds out
    first (T7)."""
    await world.submit(workflow(300.0, shards=12))
    await run(world, 15)
    cut(world, "beijing")
    await run_until_phase(world, 10, Phase.SUSPECT, "beijing")
    mine = {shard.key for shard in shards_in(world, "beijing")}
    world.kill_gateway()
    await world.start_gateway()
    started = world.timeline.now
    while any(world.shards[key].phase is Phase.SUSPECT for key in mine):
        await world.tick()

    assert world.timeline.now - started >= world.failover.wait_minimum_seconds
