"""Tests which reports of a restored store begin a new era.

True restores are in `test_outages.py`.
"""

import pytest

from gateway.core.history import HistoryKind
from gateway.core.shard_states import Phase
from gateway.reconciler.links.reports import StreamEnded
from gateway.regions.region_condition import RegionCondition
from gateway.store.sqlite.backups.restored_mark import mark_restored
from gateway.store.sqlite.store import SqliteStore
from tests.gateway.core.history_entries import history_entry
from tests.simulation.network import SimulatedLink
from tests.simulation.scenario import run, workflow
from tests.simulation.world import World
from waypost.workflow.task import SideEffects

opened = SimulatedLink._open


def claim_restored(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Makes these regions answer every new stream with the error Restored."""

    def refuse(link: SimulatedLink, stream: int, began: float) -> None:
        if link.name in names:
            link._put(StreamEnded(at=link.timeline.now, reason="Restored"))
        else:
            opened(link, stream, began)

    monkeypatch.setattr(SimulatedLink, "_open", refuse)


def reason_of(world: World, name: str) -> str:
    assert world.controller is not None
    view = next(view for view in world.controller.views(world.now) if view.name == name)
    assert view.condition is RegionCondition.UNREACHABLE
    return view.reason


async def work_everywhere(world: World) -> None:
    await world.submit(workflow(300.0, shards=6))
    await world.submit(workflow(300.0, shards=3, side_effects=SideEffects.EXCLUSIVE))
    await world.submit(workflow(0.5, shards=9))
    await run(world, 5)


def elsewhere(world: World) -> dict[tuple[str, int], int]:
    """Returns the epochs of the running shards in the other regions."""
    return {
        key: shard.epoch
        for key, shard in world.shards.items()
        if shard.region in ("shanghai", "shenzhen") and shard.phase is Phase.RUNNING
    }


async def test_one_region_that_takes_the_store_for_restored_loses_nothing_elsewhere(
    world: World, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stream has opened before, and the store moves only forward: the region fails, and says why."""
    await work_everywhere(world)
    before = elsewhere(world)
    claim_restored(monkeypatch, "beijing")
    world.links["beijing"]._reopen()
    await run(world, 45)

    assert store.era == 0
    assert before
    assert {key: world.shards[key].epoch for key in before} == before
    unfinished = [shard for shard in world.shards.values() if shard.phase is not Phase.SUCCEEDED]
    assert {shard.region for shard in unfinished} == {"shanghai", "shenzhen"}
    assert {shard.phase for shard in unfinished} == {Phase.RUNNING}
    assert "BadAnswer (it says that the store was restored from a copy, after" in reason_of(world, "beijing")


async def test_one_region_of_three_is_not_enough_at_a_start(
    world: World, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The streams of the others open: they would know."""
    await work_everywhere(world)
    before = elsewhere(world)
    world.kill_gateway()
    claim_restored(monkeypatch, "beijing")
    await world.start_gateway()
    await run(world, 30)

    assert store.era == 0
    assert {key: world.shards[key].epoch for key in before} == before
    assert "from a copy, which 2 other regions do not say" in reason_of(world, "beijing")


async def test_an_era_is_begun_once(
    world: World, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a new era clusters count anew: who says it again is wrong, however many do."""
    await work_everywhere(world)
    world.kill_gateway()
    claim_restored(monkeypatch, "beijing", "shanghai")
    await world.start_gateway()
    await run(world, 60)

    assert store.era == 1
    kinds = [entry.kind for entry in await store.history("")]
    assert kinds.count(HistoryKind.STORE_RESTORED) == 1
    for name in ("beijing", "shanghai"):
        assert "from a copy, after" in reason_of(world, name)


async def test_a_report_waits_for_the_regions_that_may_still_answer(
    world: World, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first to speak would be the majority of those that have spoken."""
    await work_everywhere(world)
    world.kill_gateway()
    claim_restored(monkeypatch, "beijing")
    for name in ("shanghai", "shenzhen"):
        world.paths[name].delay_seconds = 0.4
    await world.start_gateway()
    await run(world, 6)

    assert store.era == 0


async def test_an_operator_can_say_that_the_store_was_restored(world: World, store: SqliteStore) -> None:
    """Where the regions cannot: a new era begins, once, and all that was under way runs again in it."""
    await work_everywhere(world)
    world.kill_gateway()
    await world.start_gateway(store_restored=True)
    assert world.controller is not None
    assert store.era == 1
    await run(world, 40)

    assert store.era == 1
    epochs = {shard.epoch for shard in world.shards.values() if shard.phase is Phase.RUNNING}
    assert {epoch >> 32 for epoch in epochs} == {1}


async def test_a_store_that_was_restored_from_a_backup_says_so_itself(
    world: World, store: SqliteStore
) -> None:
    """Where no region can tell: at each start, until no attempt that it does not know can hold a lease."""
    await work_everywhere(world)
    world.kill_gateway()
    entry = history_entry(HistoryKind.BACKUP_RESTORED, run="", at=world.now.wall)
    await store._write(lambda db: mark_restored(db, entry))
    await world.start_gateway()
    await run(world, 5)
    assert store.era == 1

    world.kill_gateway()
    await world.start_gateway()
    assert store.era == 2, "it died before the leases had ended"
    await run(world, 30)
    world.kill_gateway()
    await world.start_gateway()
    await run(world, 5)
    assert store.era == 2
    assert not await store.is_restored()
