"""Tests which reports about attempts are accepted, and when an attempt counts as over."""

from dataclasses import replace
from typing import Any, cast

import pytest
from msgspec import structs

from clusters.protocol import (
    ERA_BITS,
    LEASE_ENDED,
    AttemptEnded,
    AttemptEndKind,
    AttemptId,
    Fence,
    Hello,
    TaskChanged,
)
from gateway.core.history import HistoryKind, TaskDetail
from gateway.core.instant import NEVER
from gateway.core.run import FailedTry, TaskRow
from gateway.core.shard_states import LEAVES_ORPHAN, PLACED, TRANSITIONS, Event, Orphan, Phase
from gateway.reconciler.attempt_events import (
    Reception,
    apply_attempt_end,
    apply_task_change,
    compare_attempts,
)
from gateway.reconciler.dispatch import may_hold_lease
from gateway.reconciler.loading import load_shard
from gateway.reconciler.orphans import due_tombstones
from gateway.reconciler.placement_intents import next_epoch
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.tracked_shard import TrackedShard
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.settings import FailoverSettings
from gateway.store.interface import Store
from tests.gateway.reconciler.under_way import NOW, loaded_run, region, tracked, working_set
from waypost.workflow.task import Retry, SideEffects
from waypost.workflow.task_phase import TaskPhase

SETTINGS = FailoverSettings()
ENDS = {Event.COMPLETED, Event.FAILED}
"""The events by which a cluster reports that nothing of an attempt is left."""


def shard_in(
    phase: Phase, *, side_effects: SideEffects = SideEffects.IDEMPOTENT, **changes: Any
) -> TrackedShard:
    """Returns a shard in `phase` at epoch 3, with two tasks, confirmed a while ago."""
    shard = tracked(loaded_run(tasks=2, side_effects=side_effects), 0, phase=phase, epoch=3, **changes)
    shard.confirmed_at = NOW.monotonic - 90.0
    return shard


def regions(shard: TrackedShard) -> tuple[WorkingSet, Region, Region]:
    """Returns a working set, the shard's own region and another region."""
    here, elsewhere = region(), region("shanghai")
    return working_set(shard, regions=(here, elsewhere)), here, elsewhere


def attempt(epoch: int = 3) -> AttemptId:
    return AttemptId(run="run-1", shard=0, epoch=epoch)


def finished(task: str, *, epoch: int = 3) -> TaskChanged:
    event = TaskChanged(
        seq=7,
        attempt=attempt(epoch),
        task=task,
        phase=TaskPhase.SUCCEEDED,
        tries=1,
        started_at=NOW.wall - 1.0,
    )
    return structs.replace(event, ended_at=NOW.wall)


def listed(here: Region, *, awake: bool) -> Hello:
    assert here.status is not None
    return Hello(status=here.status, attempts=((attempt(), awake),))


def test_whatever_leaves_a_region_without_its_word_is_listed() -> None:
    """The attempt may run there, or a late create may start it: unlisted it would be lost sight of (I3)."""
    leaving = {
        event for (phase, event), after in TRANSITIONS.items() if phase in PLACED and after not in PLACED
    }

    assert leaving - ENDS == LEAVES_ORPHAN


def test_only_the_own_attempt_is_believed() -> None:
    """An older epoch, another region: each may finish its work, and none of it may count (I1)."""
    ws, here, elsewhere = regions(shard_in(Phase.RUNNING))

    assert apply_task_change(ws, here, finished("t0", epoch=2), NOW, FailoverSettings()) is Reception.STALE
    assert apply_task_change(ws, elsewhere, finished("t0"), NOW, FailoverSettings()) is Reception.STALE
    assert apply_task_change(ws, here, finished("t0"), NOW, FailoverSettings()) is Reception.ACCEPTED


@pytest.mark.parametrize("end", AttemptEndKind)
def test_the_end_of_another_attempt_ends_nothing(end: AttemptEndKind) -> None:
    """The attempt that was left behind ends some day too."""
    shard = shard_in(Phase.RUNNING)
    ws, here, elsewhere = regions(shard)

    for there, epoch in ((here, 2), (elsewhere, 3)):
        ended = AttemptEnded(seq=7, attempt=attempt(epoch), end=end)
        assert apply_attempt_end(ws, there, ended, NOW, SETTINGS) is Reception.STALE
    assert (shard.shard.phase, shard.dirty) == (Phase.RUNNING, False)


def test_a_result_comes_with_or_after_those_it_needs() -> None:
    """What is recorded is one lineage, closed under needs: else the next attempt would miss inputs (I8)."""
    shard = shard_in(Phase.RUNNING)
    ws, here, _ = regions(shard)

    assert apply_task_change(ws, here, finished("t1"), NOW, FailoverSettings()) is Reception.STALE
    assert shard.rows == []
    assert apply_task_change(ws, here, finished("t0"), NOW, FailoverSettings()) is Reception.ACCEPTED
    assert apply_task_change(ws, here, finished("t1"), NOW, FailoverSettings()) is Reception.ACCEPTED
    assert [row.task for row in shard.rows] == ["t0", "t1"]


def test_a_result_is_taken_once() -> None:
    """After a conflict the events come again: what is recorded stays, with one entry in its history."""
    shard = shard_in(Phase.RUNNING)
    ws, here, _ = regions(shard)
    apply_task_change(ws, here, finished("t0"), NOW, FailoverSettings())

    assert apply_task_change(ws, here, finished("t0"), NOW, FailoverSettings()) is Reception.KNOWN
    assert len(shard.rows) == len(shard.history) == 1
    assert shard.tasks == {"t0": TaskPhase.SUCCEEDED}


@pytest.mark.parametrize(
    ("phase", "may"),
    [(Phase.DISPATCHING, True), (Phase.RUNNING, True), (Phase.SUSPECT, False), (Phase.PENDING, False)],
)
def test_a_suspect_shard_gets_no_lease(phase: Phase, may: bool) -> None:
    """Its wait is counted from the suspicion: a lease from later on would outlive it (I4)."""
    assert may_hold_lease(shard_in(phase, side_effects=SideEffects.EXCLUSIVE), attempt()) is may
    assert not may_hold_lease(shard_in(phase), attempt())
    assert not may_hold_lease(shard_in(phase, side_effects=SideEffects.EXCLUSIVE), attempt(2))


def test_an_orphan_is_ended_when_it_is_committed() -> None:
    """Until then the store takes the attempt for current: a gateway that starts now must find it alive."""
    shard = shard_in(Phase.PENDING, orphans=(Orphan(region="beijing", epoch=3),))
    ws, here, _ = regions(shard)

    shard.dirty = True
    assert due_tombstones(ws, here, NOW, SETTINGS) == ()
    shard.mark_committed()
    assert due_tombstones(ws, here, NOW, SETTINGS) == (attempt(),)


def test_a_lease_that_ended_counts_against_nobody() -> None:
    """No gateway was there to renew it: another attempt follows at once."""
    one = tracked(loaded_run(side_effects=SideEffects.EXCLUSIVE), 0, phase=Phase.RUNNING)
    ended = AttemptEnded(seq=7, attempt=one.shard.attempt, end=AttemptEndKind.LOST, reason=LEASE_ENDED)
    apply_attempt_end(working_set(one), region(), ended, NOW, SETTINGS)

    shard = one.shard
    assert (shard.phase, shard.reason, shard.attempts_lost, shard.not_before) == (
        Phase.PENDING,
        LEASE_ENDED,
        0,
        0.0,
    )


def test_an_attempt_that_sleeps_is_sent_again() -> None:
    """This boot has it and runs nothing of it, also if the shard's new fence is of this boot already (T6)."""
    shard = shard_in(Phase.DISPATCHING)
    shard.sent_at, shard.fenced_until = NOW.monotonic - 0.5, NOW.monotonic + 4.5
    ws, here, _ = regions(shard)

    compare_attempts(ws, here, listed(here, awake=False), began=NOW.monotonic, now=NOW, settings=SETTINGS)

    assert (shard.shard.phase, shard.sent_at) == (Phase.DISPATCHING, NEVER)
    assert shard.fenced_until == NOW.monotonic + SETTINGS.fence_seconds


@pytest.mark.parametrize(("boot", "phase"), [("boot-1", Phase.DISPATCHING), ("boot", Phase.RUNNING)])
def test_an_attempt_of_an_earlier_boot_is_sent_again(boot: str, phase: Phase) -> None:
    """Whatever the list says of it: what was confirmed was confirmed by a process that is gone (T6)."""
    shard = shard_in(Phase.RUNNING, fence=Fence(boot=boot, not_after=60.0))
    ws, here, _ = regions(shard)

    compare_attempts(ws, here, listed(here, awake=True), began=NOW.monotonic, now=NOW, settings=SETTINGS)

    assert shard.shard.phase is phase
    assert shard.shard.fence is not None
    assert shard.shard.fence.boot == "boot"


def test_epochs_of_a_newer_era_outrank_all_older_ones() -> None:
    """A restored store does not know how far they had come."""
    assert next_epoch(7, 0) == 8
    assert next_epoch(7, 1) == (1 << ERA_BITS) + 1
    assert next_epoch((1 << ERA_BITS) + 1, 1) == (1 << ERA_BITS) + 2


def retrying(tries: int) -> TaskChanged:
    event = structs.replace(
        finished("t0"), phase=TaskPhase.RETRYING, tries=tries, reason=f"exit code {tries}"
    )
    return structs.replace(event, next_try_at=NOW.wall + 60.0)


@pytest.mark.parametrize(("pause", "expected"), [(7.0, 7.0), (None, 3_607.0)])
def test_a_pause_counts_from_when_the_gateway_hears_of_it(pause: float | None, expected: float) -> None:
    """The cluster's clock may be an hour fast: "for 3,607 s more". Old clusters say no duration."""
    shard = shard_in(Phase.RUNNING)
    shard.run = replace(shard.run, tasks={"t0": structs.replace(shard.run.tasks["t0"], retry=Retry(limit=2))})
    ws, here, _ = regions(shard)
    event = structs.replace(retrying(1), next_try_at=NOW.wall + 3_607.0, pause_seconds=pause)
    assert apply_task_change(ws, here, event, NOW, SETTINGS) is Reception.ACCEPTED

    assert shard.rows[-1].next_try_at == NOW.wall + expected
    (detail,) = [entry.detail for entry in shard.history if isinstance(entry.detail, TaskDetail)]
    assert detail.next_try_at == NOW.wall + expected


async def test_a_new_owner_knows_which_tries_have_failed() -> None:
    """Their events come again where the cursor was not committed, and would be told twice."""
    shard = shard_in(Phase.RUNNING)
    failed = FailedTry(tries=2, ended_at=NOW.wall, reason="exit code 2")
    stored = TaskRow(
        run="run-1",
        shard=0,
        task="t0",
        phase=TaskPhase.RUNNING,
        epoch=3,
        region="beijing",
        incarnation="journal",
        tries=3,
        started_at=NOW.wall,
        last_failure=failed,
    )

    class StoredTasks:
        async def tasks(self, run_id: str, shard: int) -> list[TaskRow]:
            return [stored]

    loaded = await load_shard(cast("Store", StoredTasks()), shard.shard, shard.run, NOW, SETTINGS)
    ws, here, _ = regions(loaded)
    assert apply_task_change(ws, here, retrying(2), NOW, SETTINGS) is Reception.KNOWN


def test_each_failed_try_is_in_the_history_once() -> None:
    """With its reason and the time of the next; no process runs meanwhile. The events may come again."""
    shard = shard_in(Phase.RUNNING)
    task = structs.replace(shard.run.tasks["t0"], retry=Retry(limit=2))
    shard.run = replace(shard.run, tasks={"t0": task})
    ws, here, _ = regions(shard)
    running = structs.replace(finished("t0"), phase=TaskPhase.RUNNING, ended_at=None)

    def receive(event: TaskChanged) -> Reception:
        return apply_task_change(ws, here, event, NOW, SETTINGS)

    assert [receive(running), receive(retrying(1))] == [Reception.ACCEPTED] * 2
    assert (shard.running_since, shard.dirty) == ({}, True)
    assert receive(structs.replace(running, tries=2)) is Reception.ACCEPTED
    assert shard.rows[-1].last_failure == FailedTry(tries=1, ended_at=NOW.wall, reason="exit code 1")
    assert [receive(retrying(n)) for n in (1, 2, 2)] == [Reception.KNOWN, Reception.ACCEPTED, Reception.KNOWN]
    # More than its task may have: a cluster cannot grow the history for ever.
    assert receive(retrying(3)) is Reception.STALE
    assert {entry.kind for entry in shard.history} == {HistoryKind.TASK_RETRYING}
    details = [entry.detail for entry in shard.history if isinstance(entry.detail, TaskDetail)]
    assert [(one.tries, one.reason, one.next_try_at) for one in details] == [
        (n, f"exit code {n}", NOW.wall + 60.0) for n in (1, 2)
    ]
