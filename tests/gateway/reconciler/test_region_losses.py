"""Tests which shards are blamed for the end of their region when no start of theirs was heard before."""

import pytest
from msgspec import structs

from clusters.protocol import AttemptId, Fence, Hello, TaskChanged
from gateway.core.instant import NEVER, Instant
from gateway.core.shard_states import Phase
from gateway.reconciler.attempt_events import apply_task_change, compare_attempts
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.region_losses import Trials, acquit_outlived, begin_trial, keep_apart
from gateway.reconciler.working_set.tracked_shard import TrackedShard
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.settings import FailoverSettings
from tests.gateway.reconciler.under_way import NOW, loaded_run, region, tracked, working_set
from waypost.workflow.task_phase import TaskPhase

SETTINGS = FailoverSettings()
ATTEMPT = AttemptId(run="run-1", shard=0, epoch=3)


def queued(losses: int) -> TrackedShard:
    """Returns a shard that waits in its cluster, as far as is heard, and has lost so many regions before."""
    shard = tracked(loaded_run(), 0, phase=Phase.RUNNING, epoch=3, fence=Fence(boot="boot-1", not_after=60.0))
    shard.confirmed_at = NOW.monotonic - 90.0
    shard.shard = structs.replace(shard.shard, regions_lost=losses, region_lost_at=NOW.wall)
    return shard


def after_restart(shard: TrackedShard) -> tuple[WorkingSet, Region]:
    """Returns the working set and the shard's region, which was restarted when its journal was at event 7."""
    here = region()
    assert here.status is not None
    here.status, here.beat_at = structs.replace(here.status, seq=7), NOW.monotonic - 1.0
    ws, hello = working_set(shard, regions=(here,)), Hello(status=here.status, attempts=((ATTEMPT, False),))
    compare_attempts(ws, here, hello, began=NOW.monotonic, now=NOW, settings=SETTINGS)
    return ws, here


def started(seq: int) -> TaskChanged:
    return TaskChanged(
        seq=seq, attempt=ATTEMPT, task="t0", phase=TaskPhase.RUNNING, tries=1, started_at=NOW.wall - 1.0
    )


@pytest.mark.parametrize(("losses", "phase"), [(0, Phase.DISPATCHING), (1, Phase.PENDING)])
def test_a_start_that_is_heard_after_its_region_died_counts(losses: int, phase: Phase) -> None:
    """What ends its cluster at once is in the journal before, and told only after the restart."""
    shard = queued(losses)
    ws, here = after_restart(shard)
    assert (shard.shard.phase, shard.shard.regions_lost) == (Phase.DISPATCHING, losses)
    apply_task_change(ws, here, started(seq=7), NOW, SETTINGS)

    assert (shard.shard.phase, shard.shard.regions_lost) == (phase, losses + 1)
    assert shard.dirty


def test_a_start_after_the_restart_counts_against_nobody() -> None:
    shard = queued(losses=1)
    ws, here = after_restart(shard)
    apply_task_change(ws, here, started(seq=8), NOW, SETTINGS)

    assert (shard.shard.phase, shard.shard.regions_lost) == (Phase.DISPATCHING, 1)


def test_a_shard_on_trial_is_blamed_whether_its_start_was_heard_or_not() -> None:
    """It leaves at once, so its start would never be heard."""
    shard = queued(losses=4)
    shard.apart_until = NOW.monotonic + 10.0
    after_restart(shard)

    assert (shard.shard.phase, shard.shard.regions_lost) == (Phase.QUARANTINED, 5)


def later(seconds: float) -> Instant:
    return Instant(NOW.monotonic + seconds, NOW.wall + seconds)


def queued_on_trial(*, tenant: str = "t", index: int = 0) -> TrackedShard:
    """Returns a suspect that was placed just now; the region has no processor for it yet."""
    shard = tracked(loaded_run(tenant=tenant), index, phase=Phase.RUNNING, regions_lost=3)
    shard.shard = structs.replace(shard.shard, region_lost_at=NOW.wall)
    shard.confirmed_at = NOW.monotonic
    keep_apart(shard, NOW, SETTINGS)
    return shard


@pytest.mark.parametrize(("start_seconds", "acquitted_seconds"), [(None, None), (1.0, 11.0), (60.0, 70.0)])
def test_only_what_has_run_for_a_trial_is_acquitted(
    start_seconds: float | None, acquitted_seconds: float | None
) -> None:
    """That its region lives while it waits for a processor there says nothing of it."""
    here, shard = region(), queued_on_trial()
    ws, found = working_set(shard, regions=(here,)), None
    for second in range(100):
        if second == start_seconds:
            begin_trial(shard, later(second), SETTINGS)
        here.status_at = later(second).monotonic
        acquit_outlived(ws)
        if shard.shard.regions_lost < 3 and found is None:
            found = second

    assert found == acquitted_seconds
    assert shard.shard.regions_lost == (3 if start_seconds is None else 2)


def test_the_time_of_a_trial_begins_with_the_first_start_alone() -> None:
    shard = queued_on_trial()
    for second in (5.0, 9.0):
        begin_trial(shard, later(second), SETTINGS)
    assert shard.apart_until == NOW.monotonic + 15.0

    for shard.trial_began in (True, False):  # acquitted, never suspected
        shard.apart_until = NEVER
        begin_trial(shard, later(20.0), SETTINGS)
        assert shard.apart_until == NEVER


def test_what_waits_for_long_keeps_out_those_of_its_tenant_alone() -> None:
    """Else a tenant that keeps suspects of its own in every queue would keep those of all others waiting."""
    shard = queued_on_trial(tenant="noisy")
    assert Trials([shard], later(9.0).monotonic).closed_to("quiet") == {"beijing"}

    waiting = Trials([shard], later(11.0).monotonic)
    assert (waiting.closed_to("noisy"), waiting.closed_to("quiet")) == (frozenset({"beijing"}), frozenset())
    begin_trial(shard, later(12.0), SETTINGS)
    assert Trials([shard], later(13.0).monotonic).closed_to("quiet") == {"beijing"}


def test_a_suspect_that_only_waits_goes_on_where_its_region_was_restarted() -> None:
    """It is not blamed. Had it started and ended the region at once, the journal would say so, too late if it
    had left: then it is blamed."""
    shard = queued(losses=4)
    shard.apart_until = NOW.monotonic - 1.0
    ws, here = after_restart(shard)
    assert (shard.shard.phase, shard.shard.regions_lost) == (Phase.DISPATCHING, 4)

    apply_task_change(ws, here, started(seq=7), NOW, SETTINGS)
    assert (shard.shard.phase, shard.shard.regions_lost) == (Phase.QUARANTINED, 5)


def test_the_start_of_a_task_begins_the_trial() -> None:
    shard = queued_on_trial()
    shard.shard = structs.replace(shard.shard, epoch=3)
    apply_task_change(working_set(shard), region(), started(seq=9), later(30.0), SETTINGS)

    assert (shard.trial_began, shard.apart_until) == (True, NOW.monotonic + 40.0)
