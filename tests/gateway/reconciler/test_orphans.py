"""Tests the ending of orphans: attempts that are no longer their shard's current one."""

from clusters.protocol import AttemptId, TombstoneAnswer
from gateway.core.instant import Instant
from gateway.core.shard_states import Orphan, Phase
from gateway.reconciler.orphans import (
    BATCH_TOMBSTONES,
    apply_tombstone_answer,
    due_tombstones,
    mark_tombstones_sent,
)
from gateway.settings import FailoverSettings
from tests.gateway.reconciler.under_way import NOW, loaded_run, region, tracked, working_set

SETTINGS = FailoverSettings()


def test_many_orphans_are_ended_in_turn() -> None:
    """One call carries a bounded number; orphans that are slow to end must not keep the others waiting."""
    of, count = loaded_run(), BATCH_TOMBSTONES + 500
    orphan = Orphan(region="beijing", epoch=1)
    there = region()
    there.unknown_attempts[AttemptId(run="nobody's", shard=0, epoch=1)] = float("-inf")
    ws = working_set(
        *[tracked(of, n, phase=Phase.FAILED, region=None, orphans=(orphan,)) for n in range(count)],
        regions=(there,),
    )

    calls = []
    for turn in range(2):
        now = Instant(NOW.monotonic + 1.1 * turn, NOW.wall)
        calls.append(due_tombstones(ws, there, now, SETTINGS))
        mark_tombstones_sent(ws, there, calls[-1], now)

    assert [len(call) for call in calls] == [BATCH_TOMBSTONES, BATCH_TOMBSTONES]
    assert len({*calls[0], *calls[1]}) == count + 1


def test_another_journal_may_end_what_may_overlap() -> None:
    """Only a lease has to be waited for: for an idempotent shard the new journal's answer is enough."""
    ws = working_set(
        tracked(
            loaded_run(),
            0,
            phase=Phase.PENDING,
            region=None,
            orphans=(Orphan(region="beijing", epoch=1, incarnation="old"),),
        )
    )
    answer = TombstoneAnswer(attempt=AttemptId(run="run-1", shard=0, epoch=1), gone=True)

    apply_tombstone_answer(ws, ws.regions["beijing"], answer, NOW, SETTINGS, boot="boot")

    assert ws.shards["run-1", 0].shard.orphans == ()
