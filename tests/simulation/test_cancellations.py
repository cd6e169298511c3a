"""Tests in virtual time when a cancelled run is over."""

from msgspec import structs

from gateway.core.history import HistoryKind
from gateway.core.shard_states import Phase, Shard
from tests.gateway.core.history_entries import history_entry
from tests.simulation.scenario import cut, heal, run, workflow
from tests.simulation.world import World
from waypost.workflow.task import Retry


async def cancel(world: World) -> None:
    entry = history_entry(HistoryKind.CANCEL_REQUESTED, run="run-000", at=world.now.wall)
    await world.store.cancel("run-000", at=world.now.wall, entry=entry)


def shard(world: World) -> Shard:
    return world.shards["run-000", 0]


async def test_a_run_is_cancelled_without_a_word_of_a_region_only_once_that_is_lost(world: World) -> None:
    """Its attempt stays listed: it may run there, and is ended when the region is back (T10, T11)."""
    await world.submit(workflow(300.0, shards=1))
    await run(world, 1)
    region = shard(world).region or ""
    cut(world, region)
    await cancel(world)
    seen = set[tuple[Phase, bool]]()
    for _ in range(150):
        await world.tick()
        assert world.controller is not None
        seen.add((shard(world).phase, region in lost(world)))
    assert (Phase.CANCELLING, False) in seen
    assert (Phase.CANCELLED, False) not in seen
    assert shard(world).phase is Phase.CANCELLED
    assert [orphan.region for orphan in shard(world).orphans] == [region]
    assert world.clusters[region].alive() != []

    heal(world, region)
    await run(world, 20)
    assert shard(world).orphans == ()
    assert world.clusters[region].alive() == []


async def test_a_large_run_is_cancelled_pass_by_pass(world: World) -> None:
    """A thousand shards took five scans, half a second apart: no pass may take all of them at once."""
    await world.submit(workflow(300.0, shards=1_000))
    await run(world, 1)
    await cancel(world)
    for _ in range(10):
        await world.tick()
    assert {shard.phase for shard in world.shards.values()} == {Phase.CANCELLING, Phase.CANCELLED}


async def test_a_region_that_is_not_heard_yet_is_waited_for(world: World) -> None:
    """A gateway that has just started knows nothing of any region: that is no loss."""
    await world.submit(workflow(300.0, shards=1))
    await run(world, 1)
    region = shard(world).region or ""
    cut(world, region)
    await cancel(world)
    await run(world, 1)
    assert shard(world).phase is Phase.CANCELLING
    world.kill_gateway()
    heal(world, region)
    world.paths[region].requests_cut = world.paths[region].answers_cut = False
    world.paths[region].delay_seconds = 0.35
    await world.start_gateway()
    while shard(world).phase is Phase.CANCELLING:
        await world.tick()
    assert shard(world).orphans == ()
    assert world.clusters[region].alive() == []


def lost(world: World) -> set[str]:
    assert world.controller is not None
    return {one.name for one in world.controller.views(world.now) if one.condition == "Unreachable"}


async def test_a_retry_after_a_cancellation_gives_fresh_tries(world: World) -> None:
    """As after a failure: who cancels and mends what was wrong wants all of them."""
    given = workflow(0.3, shards=1)
    task = structs.replace(
        given.spec.tasks[0], run={"seconds": 0.3, "failing": 1.0}, retry=Retry(limit=100, backoff_seconds=0.0)
    )
    await world.submit(structs.replace(given, spec=structs.replace(given.spec, tasks=(task,))))
    await run(world, 3)
    assert (await world.store.tasks("run-000"))[0].tries > 2
    await cancel(world)
    while not shard(world).phase.terminal:
        await world.tick()
    stored = await world.store.run("run-000")
    assert stored is not None
    decision = world._decision("d-again")
    reopened = history_entry(HistoryKind.REOPENED, run="run-000", at=world.now.wall)
    assert await world.store.retry("run-000", run=stored, decision=decision, entry=reopened)
    world.shards |= {one.key: one for one in await world.store.shards("run-000")}
    while shard(world).phase is not Phase.RUNNING:
        await world.tick()

    (attempt,) = world.clusters[shard(world).region or ""].journal.attempts.values()
    assert attempt.spec.tries == {}
