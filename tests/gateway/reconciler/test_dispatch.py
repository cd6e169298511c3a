"""What goes into one call to a region, and what waits for the next."""

from collections.abc import Sequence
from typing import Any

import pytest

from clusters.protocol import TaskResult
from gateway.core.resume import Resumption
from gateway.core.run import TaskRow
from gateway.core.shard_states import Phase
from gateway.reconciler import dispatch
from gateway.reconciler.dispatch import BATCH_CREATES, Load, batch, next_calls, prepare
from gateway.reconciler.intents import route
from gateway.reconciler.working_set import Tracked
from gateway.regions.placement import Placement
from gateway.settings import Failover
from gateway.store.sqlite.store import SqliteStore
from tests.gateway.reconciler.under_way import NOW, region, tracked, work, working_set
from waypost.sqlite_database import Database

SETTINGS = Failover()
MEBIBYTE = 1024 * 1024
HELD = Resumption(results=(TaskResult(task="t0", output="x" * MEBIBYTE),), tries={}, remade=())


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ([tracked(work(), n) for n in range(300)], 200),
        ([tracked(work(tasks=10_000), n) for n in range(30)], 20),
        ([tracked(work(f"run-{n}", size=MEBIBYTE), n) for n in range(30)], 16),
        ([tracked(work(size=MEBIBYTE), n) for n in range(30)], 30),
        ([tracked(work(), n, resumption=HELD) for n in range(30)], 15),
        ([tracked(work(tasks=10_000, size=20 * MEBIBYTE), n) for n in range(3)], 1),
    ],
    ids=["creates", "tasks", "documents", "one document", "results", "one in any case"],
)
def test_a_call_is_small_enough_for_its_timeout(given: Sequence[Tracked], taken: int) -> None:
    """200 creates of 10,000 tasks took a cluster 8 s: longer than the call may take, and than their fences."""
    load = Load()

    assert [load.takes(one) for one in given].count(True) == taken


def test_only_a_region_that_can_be_called_now_is_given_more() -> None:
    """Else an intent's fence runs while it waits for the call under way, or for those before it."""
    waiting = [tracked(work(), n, region="shanghai") for n in range(BATCH_CREATES + 1)]
    ws = working_set(
        *waiting, regions=(region("beijing", idle=False), region("shanghai"), region("shenzhen"))
    )

    assert {name: load.creates for name, load in next_calls(ws, NOW, SETTINGS).items()} == {"shenzhen": 0}


def test_what_is_placed_again_is_sent_at_once() -> None:
    """When its last attempt was sent says nothing of this one."""
    there = region()
    one = tracked(work(), 0, phase=Phase.PENDING, region=None)
    one.sent_at = NOW.monotonic - 0.1
    route(one, there, Placement(region="beijing", scores={}, rejected={}), era=0, now=NOW, settings=SETTINGS)
    one.committed()
    said = batch(working_set(one), there, NOW, SETTINGS)

    assert said is not None
    assert [create.attempt.epoch for create in said.creates] == [2]


class CountingStore(SqliteStore):
    """How often tasks were read."""

    reads = 0

    async def tasks(self, run_id: str, shard: int | None = None, **bounds: Any) -> Sequence[TaskRow]:
        self.reads += 1
        return await super().tasks(run_id, shard, **bounds)


async def test_no_more_is_read_than_one_call_can_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A region that is back has thousands of attempts to confirm anew: reading them all for each call would hold up the pass."""
    monkeypatch.setattr(dispatch, "BATCH_TASKS", 20)
    of = work()
    ws = working_set(*[tracked(of, n, resumption=None) for n in range(100)])
    async with CountingStore(Database(":memory:", inline=True)) as store:
        await prepare(ws, store, ws.regions["beijing"], NOW, SETTINGS)
        said = batch(ws, ws.regions["beijing"], NOW, SETTINGS)

        assert said is not None
        assert (len(said.creates), store.reads) == (20, 21)


def test_what_was_not_read_is_not_sent() -> None:
    """It would run again what is already done."""
    ws = working_set(tracked(work(), 0, resumption=None), tracked(work(), 1))

    assert batch(ws, ws.regions["beijing"], NOW, SETTINGS) is None
