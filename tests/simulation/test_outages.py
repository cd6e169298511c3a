"""Tests in virtual time a store that fails, is restored, or holds unreadable rows."""

import sqlite3
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from loguru import logger

from gateway.core.errors import Unavailable
from gateway.core.shard_states import Phase, Shard
from gateway.regions.region_condition import Taint
from gateway.store.sqlite.store import SqliteStore
from tests.simulation.network import SimulatedLink
from tests.simulation.scenario import NOTE, cut, run, workflow
from tests.simulation.world import REGIONS, World
from waypost.sqlite_group_commit import Database
from waypost.workflow.task import SideEffects

opened = SimulatedLink._open


class FailingStore:
    """A real store whose methods in `names` fail."""

    def __init__(self, store: SqliteStore) -> None:
        self.store, self.names, self.failed = store, set[str](), list[str]()

    def __getattr__(self, name: str) -> Any:
        if name in self.names:

            async def fail(*_: object, **__: object) -> None:
                self.failed.append(name)
                raise Unavailable("the disk is full")

            return fail
        return getattr(self.store, name)


@pytest.fixture
async def store() -> AsyncIterator[FailingStore]:
    async with SqliteStore(Database(":memory:", inline=True)) as store:
        yield FailingStore(store)


READS = ["taints", "to_cancel", "overdue", "pending", "run", "tasks", "shards", "cursors"]
WRITES = ["record", "bind_incarnation", "remove_taint", "check_writable"]


@pytest.mark.parametrize("name", [*READS, *WRITES])
async def test_a_store_that_fails_in_the_middle_of_a_pass_is_an_outage_and_not_the_end(
    world: World, store: FailingStore, name: str
) -> None:
    """The gateway waits for it, loses nothing, and does what is pending when the store is back."""
    await world.submit(workflow(5.0, shards=6, side_effects=SideEffects.EXCLUSIVE))
    await run(world, 1)
    world.clusters["shenzhen"].crash(world.timeline.now)
    await store.add_taint("beijing", Taint.FORGOTTEN, entry=NOTE)
    await world.submit(workflow(1.0, shards=3))
    store.names = {name, "record"} if name == "check_writable" else {name}
    await run(world, 10)
    world.clusters["shenzhen"].crash(world.timeline.now)  # it may have come back by itself
    world.clusters["shenzhen"].lose_journal()
    world.clusters["shenzhen"].restart(world.timeline.now)
    await run(world, 10)

    store.names = set()
    await store.release_incarnation("shenzhen", entry=NOTE)
    await run(world, 60)
    assert world.done()
    assert {shard.phase for shard in world.shards.values()} == {Phase.SUCCEEDED}


async def test_exclusive_work_goes_on_while_the_store_takes_no_writes(
    world: World, store: FailingStore
) -> None:
    """Its leases are granted on a fresh read, which works: a full disk must not kill what has run for
    hours."""
    await world.submit(workflow(100.0, shards=3, side_effects=SideEffects.EXCLUSIVE))
    await run(world, 10)
    store.names = {"record", "check_writable"}
    await world.submit(workflow(1.0, shards=1))  # something to write
    await run(world, 40)
    assert "check_writable" in store.failed
    assert [start for start in world.starts if start.exclusive and start.ended is not None] == []


async def test_one_run_that_cannot_be_read_holds_up_no_other(world: World, store: FailingStore) -> None:
    """A document that this version does not read, pending or running: quarantined, its attempts ended, others
    go on."""
    await world.submit(workflow(1.0, shards=1))
    await world.submit(workflow(300.0, shards=2))
    await run(world, 3)
    await world.submit(workflow(1.0, shards=1))
    damage = "update run set workflow = ? where id in ('run-001', 'run-002')"
    await store.store._database.write(lambda db: db.execute(damage, (b'{"apiVersion":"waypost/v2"}',)))
    world.kill_gateway()
    await run(world, 1)
    await world.start_gateway()
    await world.submit(workflow(1.0, shards=1))
    await run(world, 60)
    phases = {key: shard.phase for key, shard in world.shards.items()}
    assert {phase for (name, _), phase in phases.items() if name in ("run-001", "run-002")} == {
        Phase.QUARANTINED
    }
    assert {phase for (name, _), phase in phases.items() if name in ("run-000", "run-003")} == {
        Phase.SUCCEEDED
    }
    assert world.done()


async def restore(
    world: World, store: FailingStore, copy: sqlite3.Connection, rows: dict[tuple[str, int], Shard]
) -> None:
    """Starts a gateway on an old copy of its store."""
    world.kill_gateway()
    copy.backup(store.store._database._db)
    world.cursors = {
        (name, cursor.incarnation): cursor.seq for name, cursor in (await store.cursors()).items()
    }
    world.shards, world.results, world.given_up = rows, {}, set(REGIONS)
    await world.start_gateway()


async def copied(
    world: World, store: FailingStore
) -> tuple[sqlite3.Connection, dict[tuple[str, int], Shard]]:
    copy = sqlite3.connect(":memory:")
    store.store._database._db.backup(copy)
    return copy, {shard.key: shard for name in world.runs for shard in await store.shards(name)}


async def test_a_restored_store_begins_a_new_era(world: World, store: FailingStore) -> None:
    """What it takes for running is given up, and runs again under epochs that outrank all those given after
    the copy."""
    await world.submit(workflow(4.0, shards=6))
    await world.submit(workflow(300.0, shards=3))
    await run(world, 2)
    copy, rows = await copied(world, store)
    await run(world, 15)

    await restore(world, store, copy, rows)
    await run(world, 5)
    assert store.era == 1
    assert {shard.epoch >> 32 for shard in world.shards.values()} == {1}
    await run(world, 30)
    assert {shard.phase for (name, _), shard in world.shards.items() if name == "run-000"} == {
        Phase.SUCCEEDED
    }
    assert [entry.kind for entry in await store.history("")].count("StoreRestored") == 1


async def test_exclusive_work_waits_for_leases_that_a_restored_store_does_not_know(
    world: World, store: FailingStore
) -> None:
    """The copy is older than the placement, and the region is unreachable: an attempt may hold a lease for 15
    s more."""
    for name in REGIONS:
        await store.add_taint(name, Taint.CORDONED, entry=NOTE)
    await run(world, 1)
    await world.submit(workflow(300.0, shards=1, side_effects=SideEffects.EXCLUSIVE))
    await world.submit(workflow(1.0, shards=9))
    copy, rows = await copied(world, store)
    for name in REGIONS:
        await store.remove_taint(name, Taint.CORDONED, entry=NOTE)
    await run(world, 10)
    where = world.shards[("run-000", 0)].region
    assert where is not None

    cut(world, where)
    await restore(world, store, copy, rows)
    for name in REGIONS:
        await store.remove_taint(name, Taint.CORDONED, entry=NOTE)
    await run(world, 40)  # the world itself checks that no two exclusive attempts run at once
    assert world.shards[("run-000", 0)].phase is Phase.RUNNING
    assert world.shards[("run-000", 0)].region != where


async def test_a_region_whose_stream_does_not_open_takes_no_work(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its probes pass; but the store may be behind what it has acknowledged, and only the stream shows
    that."""
    world.kill_gateway()
    monkeypatch.setattr(
        SimulatedLink,
        "_open",
        lambda link, stream, began: None if link.name == "beijing" else opened(link, stream, began),
    )
    await world.start_gateway()
    await run(world, 5)
    await world.submit(workflow(1.0, shards=12))
    await run(world, 5)
    assert world.done()
    assert "beijing" not in {start.region for start in world.starts}


@pytest.mark.parametrize("step", [3600.0, -3600.0])
async def test_a_step_of_the_wall_clock_is_logged_once(
    world: World, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    """It says what that means for deadlines and for the times that are shown; again if set back."""
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}", level="WARNING")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + step)
    await run(world, 3)
    monkeypatch.setattr(time, "time", now)
    await run(world, 3)
    logger.remove(sink)

    assert [line.partition(":")[0] for line in lines] == [
        f"the wall clock was set by {seconds:+.1f} s" for seconds in (step, -step)
    ]
    assert "deadlines go on as before" in lines[0]
    assert "until the gateway is started again" in lines[0]
