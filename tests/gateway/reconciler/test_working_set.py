"""Tests the working set, the controller's memory: its counts, and what the log shows of it."""

from gateway.core.shard_states import Orphan, Phase
from gateway.regions.region_condition import Taint
from tests.gateway.reconciler.under_way import NOW, loaded_run, region, tracked, working_set


def test_an_orphan_is_in_flight_too() -> None:
    """It may run there still: a region that is drained is empty only without it."""
    of, orphan = loaded_run(), Orphan(region="beijing", epoch=1)
    ws = working_set(
        tracked(of, 0, phase=Phase.RUNNING, region="shanghai", epoch=2, orphans=(orphan,)),
        tracked(of, 1, phase=Phase.PENDING, region=None),
        tracked(of, 2, phase=Phase.RUNNING),
    )

    assert ws.count_inflight() == {"beijing": 2, "shanghai": 1}


def test_a_write_counts_only_when_it_took() -> None:
    """After an outage the same write is made again, at the same revision."""
    shard = tracked(loaded_run(), 0, phase=Phase.RUNNING)

    assert shard.write().shard.rev == shard.write().shard.rev == 1
    assert (shard.shard.rev, shard.stored_rev) == (0, 0)
    shard.mark_committed()
    assert (shard.shard.rev, shard.stored_rev) == (1, 1)


def test_a_shard_shows_its_live_state() -> None:
    """All that a log at night needs: where it is, what it waits for, and whether the store knows."""
    orphan = Orphan(region="shanghai", epoch=2)
    shard = tracked(loaded_run(), 0, phase=Phase.SUSPECT, epoch=3, reason="Timeout", orphans=(orphan,))
    shard.suspected_at, shard.dirty = NOW.monotonic, True
    shard.running_since["t0"] = NOW.monotonic

    assert repr(shard) == (
        "<TrackedShard run-1/0 Suspect epoch 3 in beijing, rev 0 dirty, fenced until 1005.0,"
        " suspected at 1000.0, running t0, orphan 2 in shanghai, Timeout>"
    )


def test_a_region_shows_its_live_state() -> None:
    """Its health, its journal, and what is under way."""
    there = region(can_send=False)
    there.unknown_journal, there.taints = "other", frozenset({Taint.CORDONED})

    assert repr(there) == (
        "<Region beijing Unknown, journal journal not admitted, boot boot, cursor 0 (acknowledged 0),"
        " batches under way, cordon, another journal answers: other>"
    )
