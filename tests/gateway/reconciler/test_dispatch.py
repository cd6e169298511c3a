"""Tests what goes into one call to a region, and what waits for the next call."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from clusters.protocol import TaskResult
from gateway.core.instant import Instant
from gateway.core.resume import Resumption
from gateway.core.run import TaskRow
from gateway.core.shard_states import Phase
from gateway.reconciler import dispatch
from gateway.reconciler.dispatch import (
    BATCH_CREATES,
    BatchLoad,
    create_size,
    load_resumptions,
    next_batch,
    open_batches,
)
from gateway.reconciler.placement_intents import write_intent
from gateway.reconciler.working_set.tracked_shard import TrackedShard
from gateway.regions.placement import Placement
from gateway.settings import FailoverSettings
from gateway.store.interface import Cursor
from gateway.store.sqlite.store import SqliteStore
from tests.gateway.reconciler.under_way import NOW, loaded_run, region, tracked, working_set
from waypost.sqlite_group_commit import Database

SETTINGS = FailoverSettings()
MEBIBYTE = 1024 * 1024
HELD = Resumption(results=(TaskResult(task="t0", output="x" * MEBIBYTE),), tries={}, remade=())


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (lambda: [tracked(loaded_run(), n) for n in range(300)], 200),
        (lambda: [tracked(loaded_run(tenant=f"t{n}", tasks=10_000), n) for n in range(30)], 20),
        (lambda: [tracked(loaded_run(f"run-{n}", tenant=f"t{n}", size=MEBIBYTE), n) for n in range(30)], 16),
        (lambda: [tracked(loaded_run(size=MEBIBYTE), n) for n in range(30)], 30),
        (lambda: [tracked(loaded_run(tenant=f"t{n}"), n, resumption=HELD) for n in range(30)], 15),
        (lambda: [tracked(loaded_run(tasks=10_000, size=20 * MEBIBYTE), n) for n in range(3)], 1),
    ],
    ids=["creates", "tasks", "documents", "one document", "results", "one in any case"],
)
def test_a_call_is_small_enough_for_its_timeout(
    given: Callable[[], Sequence[TrackedShard]], taken: int
) -> None:
    """200 creates of 10,000 tasks took a cluster 8 s: longer than the call's timeout and their fences."""
    load = BatchLoad()
    for one in given():
        load.add(create_size(one))

    assert load.creates == taken


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (lambda: [tracked(loaded_run(tasks=9_500), n) for n in range(30)], 2),
        (lambda: [tracked(loaded_run(f"run-{n}", size=MEBIBYTE), n) for n in range(30)], 4),
        (lambda: [tracked(loaded_run(), n, resumption=HELD) for n in range(30)], 3),
    ],
    ids=["tasks", "documents", "results"],
)
def test_what_is_large_leaves_room_for_other_tenants(
    given: Callable[[], Sequence[TrackedShard]], taken: int
) -> None:
    """A thousand shards of 9,500 tasks come in many calls, and small ones behind them in each of these."""
    load = BatchLoad()
    small = [tracked(loaded_run(f"small-{n}", tenant="quiet"), n) for n in range(50)]
    large = given()
    added = [load.add(create_size(one)) for one in (*large, *small)]

    assert (sum(added[: len(large)]), sum(added[len(large) :])) == (taken, 50)


def test_only_a_region_that_can_be_called_now_is_given_more() -> None:
    """Else an intent's fence runs while it waits for the call under way, or for those before it."""
    waiting = [tracked(loaded_run(), n, region="shanghai") for n in range(BATCH_CREATES + 1)]
    ws = working_set(
        *waiting, regions=(region("beijing", can_send=False), region("shanghai"), region("shenzhen"))
    )

    assert {name: load.creates for name, load in open_batches(ws, NOW, SETTINGS).items()} == {"shenzhen": 0}


def test_what_is_placed_again_is_sent_at_once() -> None:
    """When its last attempt was sent says nothing of this one."""
    there = region()
    one = tracked(loaded_run(), 0, phase=Phase.PENDING, region=None)
    one.sent_at = NOW.monotonic - 0.1
    placement = Placement(region="beijing", scores={}, rejected={})
    write_intent(one, there, placement, era=0, routing=7, now=NOW, settings=SETTINGS)
    one.mark_committed()
    sent = next_batch(working_set(one), there, NOW, SETTINGS)

    assert sent is not None
    assert [create.attempt.epoch for create in sent.creates] == [2]
    assert one.shard.routing == 7


class CountingStore(SqliteStore):
    """A store that counts how often tasks were read."""

    reads = 0

    async def tasks(self, run_id: str, shard: int | None = None, **bounds: Any) -> Sequence[TaskRow]:
        self.reads += 1
        return await super().tasks(run_id, shard, **bounds)


async def test_no_more_is_read_than_one_call_can_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A region that is back has thousands of attempts to confirm: reading all for each call takes long."""
    monkeypatch.setattr(dispatch, "BATCH_TASKS", 20)
    of = loaded_run()
    ws = working_set(*[tracked(of, n, resumption=None) for n in range(100)])
    async with CountingStore(Database(":memory:", inline=True)) as store:
        await load_resumptions(ws, store, ws.regions["beijing"], NOW, SETTINGS)
        sent = next_batch(ws, ws.regions["beijing"], NOW, SETTINGS)

        assert sent is not None
        assert (len(sent.creates), store.reads) == (20, 20)


def test_what_was_not_read_is_not_sent() -> None:
    """It would run again what is already done."""
    ws = working_set(tracked(loaded_run(), 0, resumption=None), tracked(loaded_run(), 1))
    sent = next_batch(ws, ws.regions["beijing"], NOW, SETTINGS)

    assert sent is not None
    assert [create.attempt.shard for create in sent.creates] == [1]


def test_the_deadline_goes_along_as_an_uptime_of_the_cluster() -> None:
    """The cluster keeps it while no gateway is there; nobody's wall clock counts."""
    late, free = tracked(loaded_run("run-1"), 0), tracked(loaded_run("run-2"), 0)
    stored = structs.replace(late.run.stored, deadline_at=NOW.wall + 60.0)
    late.run = replace(late.run, stored=stored)
    heard_before = Instant(NOW.monotonic + 2.0, NOW.wall + 2.0)
    batch = next_batch(working_set(late, free), region(), heard_before, FailoverSettings())

    assert batch is not None
    assert [create.expires_at for create in batch.creates] == [9.0 + 60.0, None]


@pytest.mark.parametrize(("committed", "seconds", "sent"), [(31, 0.5, 0), (32, 0.0, 32), (1, 1.0, 1)])
def test_many_committed_events_are_acknowledged_at_once(committed: int, seconds: float, sent: int) -> None:
    """Until then a cluster holds back the tasks of those who have many reports under way."""
    place = region()
    place.cursor, place.acknowledged_at = Cursor(incarnation="journal", seq=committed), NOW.monotonic
    later = Instant(NOW.monotonic + seconds, NOW.wall + seconds)
    batch = next_batch(working_set(regions=(place,)), place, later, SETTINGS)

    assert (0 if batch is None else batch.acknowledged) == sent
