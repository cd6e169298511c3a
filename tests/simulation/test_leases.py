"""Tests in virtual time that exclusive work never runs twice at once: one fault each.

The world itself checks that no two exclusive attempts of a shard run at once (I4), and that nothing runs
unlisted (I3).
"""

import pytest
from msgspec import structs

from gateway.core.shard_states import Phase
from gateway.store.interface import ShardWrite
from gateway.store.sqlite.store import SqliteStore
from tests.simulation.network import SimulatedLink
from tests.simulation.scenario import NOTE, cut, give_up, heal, run, run_until_phase, shards_in, workflow
from tests.simulation.world import REGIONS, World
from waypost.workflow.task import SideEffects

LONG = 300.0
LOST = ("beijing", "shanghai")


async def reopen(world: World, name: str) -> None:
    """Retries a run that was cancelled, as an operator would."""
    stored = await world.store.run(name)
    assert stored is not None
    assert await world.store.retry(
        name, run=stored, decision=world._decision(f"again-{world.timeline.now}"), entry=NOTE
    )
    for shard in await world.store.shards(name):
        world.shards[shard.key] = shard


@pytest.mark.parametrize("forgotten", [False, True])
async def test_what_was_cancelled_in_a_lost_region_starts_again_when_its_lease_is_over(
    world: World, forgotten: bool
) -> None:
    """It runs there until then, even if an operator has forgotten the region: only a lease that is over is
    proof."""
    await world.submit(workflow(LONG, shards=6, side_effects=SideEffects.EXCLUSIVE))
    await run(world, 10)
    there = {shard.key for shard in world.shards.values() if shard.region == "beijing"}
    assert there
    cut(world, "beijing")
    await run(world, 4)
    await world.store.cancel("run-000", at=world.now.wall, entry=NOTE)
    if forgotten:
        await give_up(world, "beijing")
    for _ in range(400):
        if all(shard.phase is Phase.CANCELLED for shard in world.shards.values()):
            break
        await world.tick()
    assert {shard.phase for shard in world.shards.values()} == {Phase.CANCELLED}
    await reopen(world, "run-000")
    await run(world, 30)

    assert {world.shards[key].phase for key in there} == {Phase.RUNNING}


async def test_cancelled_means_that_nothing_runs_any_more(world: World) -> None:
    """Processes take their time to end: until they have, the shard is Cancelling (T10)."""
    for cluster in world.clusters.values():
        cluster.linger_seconds = 6.0
    await world.submit(workflow(LONG, shards=30))
    await run(world, 3)
    await world.store.cancel("run-000", at=world.now.wall, entry=NOTE)
    lingered = 0
    for _ in range(150):
        await world.tick()
        lingering = {(i.run, i.shard) for cluster in world.clusters.values() for i in cluster.lingering}
        lingered += len(lingering)
        assert {world.shards[key].phase for key in lingering} <= {Phase.CANCELLING, Phase.RUNNING}
    assert lingered
    assert {shard.phase for shard in world.shards.values()} == {Phase.CANCELLED}
    assert world.done()


async def test_what_a_forgotten_region_still_runs_is_ended_when_it_answers_again(world: World) -> None:
    """No shard lists it any more: it is found when lists are compared, and gets its tombstone (I3)."""
    await world.submit(workflow(60.0, shards=12))
    await run(world, 2)
    cut(world, *LOST)
    await run(world, 20)
    await give_up(world, *LOST)
    await run(world, 20)
    left = {name: set(world.clusters[name].alive()) for name in LOST}
    assert all(left.values())
    heal(world, *LOST)
    await run(world, 20)

    world.given_up.clear()
    world.check_reality()
    assert not any(left[name] & set(world.clusters[name].alive()) for name in LOST)


async def test_a_lease_is_granted_on_what_the_store_says(world: World, store: SqliteStore) -> None:
    """Another gateway may have moved the shard: one that has not read that yet must not grant the lease."""
    await world.submit(workflow(LONG, shards=6, side_effects=SideEffects.EXCLUSIVE))
    await run(world, 10)
    shard = shards_in(world, "beijing")[0]
    attempt = world.clusters["beijing"].journal.attempts[shard.attempt]
    moved = structs.replace(shard, phase=Phase.SUSPECT, suspect_since=world.now.wall, rev=shard.rev + 1)
    assert await store.record([ShardWrite(shard=moved)], {}) == [True]
    held = attempt.lease_until
    await run(world, 12)

    assert (
        attempt.lease_until <= held + 5.0
    )  # what was granted before the other write may still have been on its way
    assert world.controller is not None
    registry, name = world.controller._metrics.registry, "waypost_lease_renewals_total"
    for outcome in ("Renewed", "Refused"):
        assert registry.get_sample_value(name, {"region": "beijing", "outcome": outcome})


@pytest.mark.parametrize("region", REGIONS)
async def test_a_journal_that_replaces_another_takes_nothing_over(
    world: World, store: SqliteStore, region: str
) -> None:
    """What the old journal had under way is lost and begins again under a new epoch: the new one knows
    nothing of it."""
    await world.submit(workflow(60.0, shards=12))
    await run(world, 15)
    mine = {shard.key for shard in shards_in(world, region)}
    world.replace_cluster(region)
    await run(world, 4)
    assert {world.shards[key].epoch for key in mine} == {1}
    assert not world.clusters[region].journal.attempts, "it is not admitted"
    assert await store.bind_incarnation(region, "asked") == f"{region}-journal-1"

    await store.release_incarnation(region, entry=NOTE)
    await run(world, 5)
    found = {
        (world.shards[key].phase, world.shards[key].epoch, world.shards[key].attempts_lost) for key in mine
    }
    assert found == {(Phase.RUNNING, 2, 1)}


async def test_an_exclusive_shard_that_is_lost_again_and_again_never_runs_twice(world: World) -> None:
    """Its region comes and goes, its processes linger: the wait begins again each time."""
    for cluster in world.clusters.values():
        cluster.linger_seconds = 6.0
    await world.submit(workflow(LONG, shards=9, side_effects=SideEffects.EXCLUSIVE))
    await run(world, 10)
    for name in (*REGIONS, *REGIONS):
        if not shards_in(world, name):
            continue
        cut(world, name)
        await run_until_phase(world, 10, Phase.SUSPECT, name)
        world.kill_gateway()
        await world.start_gateway()
        await run(world, 25)
        heal(world, name)
        await run(world, 20)
    await run(world, 40)
    assert {shard.phase for shard in world.shards.values()} == {Phase.RUNNING}


async def test_a_journal_that_replaces_another_is_not_sent_its_attempts(
    world: World, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stream opens late, or a write conflicts: under the same epoch they would run beside those of the
    old one (T6, I4)."""
    await world.submit(workflow(LONG, shards=6, side_effects=SideEffects.EXCLUSIVE))
    await run(world, 10)
    mine = {shard.key for shard in shards_in(world, "beijing")}
    world.replace_cluster("beijing")
    await run_until_phase(world, 10, Phase.SUSPECT, "beijing")
    opened = SimulatedLink._open
    monkeypatch.setattr(
        SimulatedLink,
        "_open",
        lambda link, stream, began: None if link.name == "beijing" else opened(link, stream, began),
    )
    await store.release_incarnation("beijing", entry=NOTE)
    await run(world, 10)

    assert not world.clusters["beijing"].journal.attempts
    monkeypatch.setattr(SimulatedLink, "_open", opened)
    await run(world, 60)
    assert {(world.shards[key].phase, world.shards[key].attempts_lost) for key in mine} == {
        (Phase.RUNNING, 1)
    }
