"""Tests which shards are blamed for the end of their region when no start of theirs was heard before."""

import pytest
from msgspec import structs

from clusters.protocol import AttemptId, Fence, Hello, TaskChanged, TaskPhase
from gateway.core.shard_states import Phase
from gateway.reconciler.attempt_events import apply_task_change, compare_attempts
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.tracked_shard import TrackedShard
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.settings import FailoverSettings
from tests.gateway.reconciler.under_way import NOW, loaded_run, region, tracked, working_set

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
