"""Tests in virtual time replaced journals, reopened streams and regions that are gone."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from loguru import logger

from clusters.protocol import (
    AttemptEnded,
    AttemptEndKind,
    AttemptId,
    ClusterStatus,
    Hello,
    TaskChanged,
)
from gateway.core.instant import NEVER
from gateway.core.shard_states import Phase
from gateway.reconciler.links.region_link import RegionLink
from gateway.regions.region_condition import Taint
from gateway.settings import HealthSettings
from gateway.store.interface import Cursor
from gateway.store.sqlite.store import SqliteStore
from tests.simulation.journal import Journal
from tests.simulation.scenario import NOTE, cut, run, workflow
from tests.simulation.world import World
from waypost.workflow.task import SideEffects
from waypost.workflow.task_phase import TaskPhase


async def test_reports_of_a_journal_that_is_not_admitted_are_ignored(
    world: World, store: SqliteStore
) -> None:
    """Its events do not move the cursor of the bound journal and are not acknowledged; its answers end no
    orphan."""
    await world.submit(workflow(200.0, shards=6, side_effects=SideEffects.EXCLUSIVE))
    await run(world, 8)
    await store.cancel("run-000", at=world.now.wall, entry=NOTE)
    mine = {shard.key for shard in world.shards.values() if shard.region == "beijing"}
    before = (await store.cursors())["beijing"]
    unknown = Journal(incarnation="unknown", seq=500)
    other = AttemptId(run="somebody-elses", shard=0, epoch=1)
    unknown.events = [
        TaskChanged(seq=n, attempt=other, task="t", phase=TaskPhase.RUNNING, tries=1, started_at=0.0)
        for n in range(1, 501)
    ]
    cluster = world.clusters["beijing"]
    cluster.crash(world.timeline.now)
    cluster.journal = unknown
    cluster.restart(world.timeline.now)
    await run(world, 3)
    assert (await store.cursors())["beijing"] == before
    assert len(unknown.events) == 500
    assert all(world.shards[key].orphans for key in mine)


async def test_a_conflict_after_a_replaced_journal_reads_the_new_journal_from_its_start(
    world: World, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not from the old journal's cursor: the new one's first events would be taken for known ones."""
    for _ in range(12):
        await world.submit(workflow(0.2, shards=6))
    await run(world, 10)
    cluster = world.clusters["beijing"]
    cluster.crash(world.timeline.now)
    await run(world, 1)
    cluster.lose_journal()
    cluster.restart(world.timeline.now)
    await store.release_incarnation("beijing", entry=NOTE)
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


@pytest.mark.parametrize("third", [False, True])
async def test_nothing_of_a_new_journal_counts_as_acknowledged(
    world: World, store: SqliteStore, third: bool
) -> None:
    """By the old one's position, events would be acknowledged that no commit has stored.

    `third`: what another gateway has admitted is not what answered this one last.
    """
    assert world.controller is not None
    region, cluster = world.controller._ws.regions["beijing"], world.clusters["beijing"]
    await world.submit(workflow(0.2, shards=6))
    await run(world, 10)
    assert region.acknowledged > 0
    for _ in range(1 + third):
        cluster.crash(world.timeline.now)
        cluster.lose_journal()
        cluster.restart(world.timeline.now)
        while third and not region.unknown_journal:
            await run(world, 0.1)
    await store.release_incarnation("beijing", entry=NOTE)
    if third:
        await store.bind_incarnation("beijing", cluster.journal.incarnation)
        region.binding_checked_at = NEVER
    while region.incarnation != cluster.journal.incarnation:
        await run(world, 0.1)
    assert (region.unknown_journal != "") is third
    assert (region.cursor, region.acknowledged) == (Cursor(incarnation=cluster.journal.incarnation), 0)


async def test_shards_that_ended_while_their_region_was_lost_leave_the_working_set(world: World) -> None:
    """Otherwise every outage would leave something in memory for ever."""
    for _ in range(5):
        await world.submit(workflow(100.0, shards=4))
    await run(world, 2)
    for cluster in world.clusters.values():
        for identity, attempt in cluster.journal.attempts.items():
            attempt.ended = True
            cluster._stop(attempt, world.timeline.now)
            cluster.journal.report_end(identity, AttemptEndKind.LOST)
    await run(world, 0.5)
    for name in world.runs:
        await world.store.cancel(name, at=world.now.wall, entry=NOTE)
    await run(world, 30)
    assert world.done()
    assert world.controller is not None
    assert world.controller._ws.shards == {}


async def test_shards_leave_a_region_that_was_removed_from_the_settings(world: World) -> None:
    """It is gone for good, and nothing watches it any more, yet shards name it."""
    await world.submit(workflow(5.0, shards=6))
    await run(world, 2)
    cut(world, "beijing")
    world.kill_gateway()
    world.configured = ("shanghai", "shenzhen")
    await world.start_gateway()
    assert world.controller is not None
    assert [view.condition for view in world.controller.views(world.now) if view.name == "beijing"] == [
        "Unreachable"
    ]
    await run(world, 60)
    assert {shard.phase for shard in world.shards.values()} == {Phase.SUCCEEDED}
    assert not world.done()  # what may still run there stays listed as an orphan ...

    world.given_up.add("beijing")
    await world.store.add_taint("beijing", Taint.FORGOTTEN, entry=NOTE)
    await run(world, 5)
    assert world.done()  # ... until an operator forgets the region


async def test_an_end_that_is_not_acknowledged_yet_is_no_unknown_attempt(world: World) -> None:
    """A Hello lists attempts whose end is recorded and not yet acknowledged: they get no tombstone, and no
    log line."""
    for _ in range(20):
        await world.submit(workflow(0.3, shards=3))
        for link in world.links.values():
            link.list_attempts()
        await run(world, 0.2)
    await run(world, 10)
    assert world.done()
    assert all(not cluster.journal.tombstones for cluster in world.clusters.values())


class Repeating:
    """A fake cluster that sends nine events on each stream."""

    async def watch(self, cursor: int, _: str) -> AsyncIterator[Hello | AttemptEnded]:
        status = ClusterStatus(region="a", incarnation="j", boot="b", uptime=1.0, slots=1, held=0, seq=9)
        yield Hello(status=status, attempts=())
        for seq in range(cursor + 1, 10):
            yield AttemptEnded(
                seq=seq, attempt=AttemptId(run="r", shard=seq, epoch=1), end=AttemptEndKind.SUCCEEDED
            )
        await asyncio.Event().wait()


async def test_a_stream_that_is_opened_again_has_no_gap() -> None:
    """Events of the stream before must not stay in the inbox: taken first, they make those from the cursor on
    look known."""
    changed = asyncio.Event()
    async with RegionLink("a", Repeating(), settings=HealthSettings(), wake=changed.set) as link:  # type: ignore[arg-type]

        async def heard() -> None:
            while len(link._inbox) < 5:
                changed.clear()
                await changed.wait()

        link.reopen_stream(Cursor(incarnation="j", seq=5))
        await heard()
        link._inbox.extend(link.drain()[-2:])  # a pass has taken the first of them when two more came
        link.reopen_stream(Cursor(incarnation="j", seq=5))
        await heard()
        events = [report.event for report in link.drain()]  # type: ignore[union-attr]
    assert [event.seq for event in events if isinstance(event, AttemptEnded)] == [6, 7, 8, 9]


@pytest.fixture
def lines() -> Iterator[list[str]]:
    found: list[str] = []
    sink = logger.add(found.append, format="{message}", level="INFO")
    yield found
    logger.remove(sink)


async def test_another_journal_is_named_until_it_is_admitted(
    world: World, store: SqliteStore, lines: list[str]
) -> None:
    """In the log, once, and as the region's reason; a replaced region's reason is not the old one's."""
    cluster = world.clusters["beijing"]
    cluster.crash(world.timeline.now)
    cluster.journal = Journal(incarnation="other")
    cluster.restart(world.timeline.now)
    await run(world, 10)
    said = "another journal answers under this name: other"
    assert reason_of_beijing(world) == ("Unreachable", said)
    assert [line for line in lines if "another journal" in line] == [
        f"region beijing is Unreachable: {said}\n"
    ]

    # A gateway that is started now has never heard of the journal that is bound.
    world.kill_gateway()
    lines.clear()
    await world.start_gateway()
    await run(world, 10)
    first = "region beijing: another journal answers under this name; it takes no work until it is admitted\n"
    assert lines.count(first) == 1

    await store.release_incarnation("beijing", entry=NOTE)
    seen = set()
    end = world.timeline.now + 30
    while reason_of_beijing(world)[0] != "Healthy":
        seen.add(reason_of_beijing(world)[1])
        assert world.timeline.now < end, seen
        await world.tick()
    # Nothing is left of the probes that had failed, nor a slow start: the new one has not failed.
    assert seen <= {said, "its new journal was admitted", "its event stream has not opened yet"}
    assert "its new journal was admitted" in seen | {line.strip() for line in lines}


def reason_of_beijing(world: World) -> tuple[str, str]:
    assert world.controller is not None
    (view,) = [view for view in world.controller.views(world.now) if view.name == "beijing"]
    return view.condition, view.reason
