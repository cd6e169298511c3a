"""A store that fails, is restored, or holds what cannot be read; regions that change under the gateway. In virtual time."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest

from clusters.spec import AttemptEnded, AttemptEndKind, AttemptId, ClusterStatus, Hello, SideEffects, TaskChanged, TaskPhase
from gateway.core.errors import Unavailable
from gateway.core.phase import Phase, Shard
from gateway.core.region import Order
from gateway.core.run import AuditEntry
from gateway.link import RegionLink
from gateway.settings import Health
from gateway.store.interface import Cursor
from gateway.store.sqlite import SqliteStore
from tests.simulation.cluster import Journal
from tests.simulation.network import SimulatedLink
from tests.simulation.test_operators import cut, run, workflow
from tests.simulation.world import REGIONS, World
from waypost.durable import Database

opened = SimulatedLink._open
NOTE = AuditEntry(run="", kind="Said", at=0.0, actor="sre")


class Outage:
    """A store whose calls `names` fail."""

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
async def store() -> AsyncIterator[Outage]:
    async with SqliteStore(Database(":memory:", inline=True)) as store:
        yield Outage(store)


@pytest.fixture
async def world(store: Outage) -> World:
    world = World(store, 1, trouble=1e-9)
    for road in world.roads.values():
        road.delay_seconds = 0.02
    await world.start_gateway()
    await run(world, 5)
    return world


READS = ["orders", "cancelled", "overdue", "pending", "run", "tasks", "shards", "cursors"]
WRITES = ["record", "admit_incarnation", "withdraw_order", "check"]


@pytest.mark.parametrize("name", [*READS, *WRITES])
async def test_a_store_that_fails_in_the_middle_of_a_pass_is_an_outage_no_end(world: World, store: Outage, name: str) -> None:
    """The gateway waits for it, loses nothing, and does what was asked of it when the store is back."""
    await world.submit(workflow(5.0, shards=6, side_effects=SideEffects.EXCLUSIVE))
    await run(world, 1)
    world.clusters["shenzhen"].crash(world.timeline.now)
    await store.give_order("beijing", Order.FORGET, audit=NOTE)
    await world.submit(workflow(1.0, shards=3))
    store.names = {name, "record"} if name == "check" else {name}
    await run(world, 10)
    world.clusters["shenzhen"].lose_journal()
    world.clusters["shenzhen"].restart(world.timeline.now)
    await run(world, 10)

    store.names = set()
    await store.release_incarnation("shenzhen", audit=NOTE)
    await run(world, 60)
    assert world.done()
    assert {shard.phase for shard in world.shards.values()} == {Phase.SUCCEEDED}


async def test_exclusive_work_goes_on_while_the_store_takes_no_writes(world: World, store: Outage) -> None:
    """Its leases are granted on a fresh read, which does work: a full disk must not kill what has run for hours."""
    await world.submit(workflow(100.0, shards=3, side_effects=SideEffects.EXCLUSIVE))
    await run(world, 10)
    store.names = {"record", "check"}
    await world.submit(workflow(1.0, shards=1))  # something to write
    await run(world, 40)
    assert "check" in store.failed
    assert [start for start in world.starts if start.exclusive and start.ended is not None] == []


async def test_one_run_that_cannot_be_read_holds_up_nobody(world: World, store: Outage) -> None:
    """A document that this version does not take, waiting or running: quarantined, its attempts ended, the others go on."""
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
    assert {phase for (name, _), phase in phases.items() if name in ("run-001", "run-002")} == {Phase.QUARANTINED}
    assert {phase for (name, _), phase in phases.items() if name in ("run-000", "run-003")} == {Phase.SUCCEEDED}
    assert world.done()


async def restore(world: World, store: Outage, copy: sqlite3.Connection, rows: dict[tuple[str, int], Shard]) -> None:
    """A gateway starts on the copy; until it knows that it is one, it cannot account for what runs."""
    world.kill_gateway()
    copy.backup(store.store._database._db)
    world.shards, world.results, world.given_up = rows, {}, set(REGIONS)
    await world.start_gateway()


async def copied(world: World, store: Outage) -> tuple[sqlite3.Connection, dict[tuple[str, int], Shard]]:
    copy = sqlite3.connect(":memory:")
    store.store._database._db.backup(copy)
    return copy, {shard.key: shard for name in world.runs for shard in await store.shards(name)}


async def test_a_restored_store_begins_a_new_era(world: World, store: Outage) -> None:
    """What it takes for running is disowned and run again under epochs that outrank all that were given since the copy was made."""
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
    assert {shard.phase for (name, _), shard in world.shards.items() if name == "run-000"} == {Phase.SUCCEEDED}
    assert [entry.kind for entry in await store.audit("")].count("StoreRestored") == 1


async def test_exclusive_work_waits_for_leases_that_a_restored_store_does_not_know(world: World, store: Outage) -> None:
    """The copy was made before the shard was placed, and its region is out of reach: an attempt may hold a lease for 15 s more."""
    for name in REGIONS:
        await store.give_order(name, Order.CORDON, audit=NOTE)
    await run(world, 1)
    await world.submit(workflow(300.0, shards=1, side_effects=SideEffects.EXCLUSIVE))
    await world.submit(workflow(1.0, shards=9))
    copy, rows = await copied(world, store)
    for name in REGIONS:
        await store.withdraw_order(name, Order.CORDON, audit=NOTE)
    await run(world, 10)
    where = world.shards[("run-000", 0)].region
    assert where is not None

    cut(world, where)
    await restore(world, store, copy, rows)
    for name in REGIONS:
        await store.withdraw_order(name, Order.CORDON, audit=NOTE)
    await run(world, 40)  # the world itself sees to it that no two exclusive tries run at once
    assert world.shards[("run-000", 0)].phase is Phase.RUNNING
    assert world.shards[("run-000", 0)].region != where


async def test_a_region_whose_stream_does_not_open_takes_no_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its probes pass; but it may be that the store is behind what it has acknowledged, and only the stream tells."""
    world.kill_gateway()
    monkeypatch.setattr(SimulatedLink, "_open", lambda link, stream, began: None if link.name == "beijing" else opened(link, stream, began))
    await world.start_gateway()
    await run(world, 5)
    await world.submit(workflow(1.0, shards=12))
    await run(world, 5)
    assert world.done()
    assert "beijing" not in {start.region for start in world.starts}


async def test_a_journal_that_is_not_admitted_is_not_believed(world: World, store: Outage) -> None:
    """Its events do not move the cursor of the journal that is bound, nor are they acknowledged to it; its word ends no orphan."""
    await world.submit(workflow(200.0, shards=6, side_effects=SideEffects.EXCLUSIVE))
    await run(world, 8)
    await store.cancel("run-000", at=world.now.wall, audit=NOTE)
    mine = {shard.key for shard in world.shards.values() if shard.region == "beijing"}
    before = (await store.cursors())["beijing"]
    stranger = Journal(incarnation="stranger", seq=500)
    other = AttemptId(run="somebody-elses", shard=0, epoch=1)
    stranger.events = [TaskChanged(seq=n, attempt=other, task="t", phase=TaskPhase.RUNNING, tries=1, started_at=0.0) for n in range(1, 501)]
    cluster = world.clusters["beijing"]
    cluster.crash(world.timeline.now)
    cluster.journal = stranger
    cluster.restart(world.timeline.now)
    await run(world, 3)
    assert (await store.cursors())["beijing"] == before
    assert len(stranger.events) == 500
    assert all(world.shards[key].orphans for key in mine)


async def test_after_a_replaced_journal_a_conflict_goes_back_to_its_own_beginning(
    world: World, store: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to where the old journal was: its first events would be taken for known ones."""
    for _ in range(12):
        await world.submit(workflow(0.2, shards=6))
    await run(world, 10)
    cluster = world.clusters["beijing"]
    cluster.crash(world.timeline.now)
    await run(world, 1)
    cluster.lose_journal()
    cluster.restart(world.timeline.now)
    await store.release_incarnation("beijing", audit=NOTE)
    await run(world, 90)
    conflicts: list[int] = []
    record = store.record

    async def conflicting(writes: Any, cursors: Any) -> Any:
        if "beijing" in cursors and not conflicts:
            conflicts.append(1)
            return [False] * len(writes)
        return await record(writes, cursors)

    monkeypatch.setattr(store, "record", conflicting, raising=False)
    for _ in range(4):
        await world.submit(workflow(2.0, shards=6))
    await run(world, 40)
    assert conflicts
    assert world.done()
    assert {shard.attempts_lost for shard in world.shards.values()} == {0}


async def test_what_ended_while_its_region_was_lost_is_let_go(world: World) -> None:
    """Else every outage leaves something in memory for ever."""
    for _ in range(5):
        await world.submit(workflow(100.0, shards=4))
    await run(world, 2)
    for cluster in world.clusters.values():
        for identity, attempt in cluster.journal.attempts.items():
            attempt.ended = True
            cluster._stop(attempt, world.timeline.now)
            cluster._emit_end(identity, AttemptEndKind.LOST)
    await run(world, 0.5)
    for name in world.runs:
        await world.store.cancel(name, at=world.now.wall, audit=NOTE)
    await run(world, 30)
    assert world.done()
    assert world.controller is not None
    assert world.controller._ws.shards == {}


async def test_a_region_that_was_taken_out_of_the_settings_is_left(world: World) -> None:
    """It burned down, and somebody has cleaned up: nobody watches it any more, yet its shards name it."""
    await world.submit(workflow(5.0, shards=6))
    await run(world, 2)
    cut(world, "beijing")
    world.kill_gateway()
    world.settings = ("shanghai", "shenzhen")
    await world.start_gateway()
    assert world.controller is not None
    assert [view.condition for view in world.controller.views(world.now) if view.name == "beijing"] == ["Unreachable"]
    await run(world, 60)
    assert {shard.phase for shard in world.shards.values()} == {Phase.SUCCEEDED}
    assert not world.done()  # what may still run there stays listed ...

    world.given_up.add("beijing")
    await world.store.give_order("beijing", Order.FORGET, audit=NOTE)
    await run(world, 5)
    assert world.done()  # ... until somebody says that nothing does


async def test_what_was_acknowledged_late_is_nobodys_stray(world: World) -> None:
    """A Hello lists attempts whose end is taken in and not yet acknowledged: no tombstone for them, and no alarm."""
    for _ in range(20):
        await world.submit(workflow(0.3, shards=3))
        for link in world.links.values():
            link.compare()
        await run(world, 0.2)
    await run(world, 10)
    assert world.done()
    assert all(not cluster.journal.tombstones for cluster in world.clusters.values())


class Repeating:
    """A cluster with nine events."""

    async def watch(self, cursor: int, _: str) -> AsyncIterator[Hello | AttemptEnded]:
        status = ClusterStatus(region="a", incarnation="j", boot="b", uptime=1.0, slots=1, held=0, seq=9)
        yield Hello(status=status, attempts=())
        for seq in range(cursor + 1, 10):
            yield AttemptEnded(seq=seq, attempt=AttemptId(run="r", shard=seq, epoch=1), end=AttemptEndKind.SUCCEEDED)
        await asyncio.Event().wait()


async def test_a_stream_that_is_opened_again_has_no_gap() -> None:
    """What waits in the inbox is of the stream before: taken first, it would make the events from the cursor on look like known ones."""
    changed = asyncio.Event()
    async with RegionLink("a", Repeating(), settings=Health(), wake=changed.set) as link:  # type: ignore[arg-type]

        async def heard() -> None:
            while len(link._inbox) < 5:
                changed.clear()
                await changed.wait()

        link.reopen(Cursor(incarnation="j", seq=5))
        await heard()
        link._inbox.extend(link.drain()[-2:])  # a pass has taken the first of them when two more came
        link.reopen(Cursor(incarnation="j", seq=5))
        await heard()
        events = [report.event for report in link.drain()]  # type: ignore[union-attr]
    assert [event.seq for event in events if isinstance(event, AttemptEnded)] == [6, 7, 8, 9]
