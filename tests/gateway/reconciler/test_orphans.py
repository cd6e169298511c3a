"""Ending attempts that are no longer their shard's own."""

from clusters.protocol import AttemptId, TombstoneAnswer
from gateway.core.instant import Instant
from gateway.core.shard_states import Orphan, Phase
from gateway.reconciler.orphans import BATCH_TOMBSTONES, take_answer, to_reap
from gateway.settings import Failover
from tests.gateway.reconciler.under_way import NOW, region, tracked, work, working_set

SETTINGS = Failover()


def test_many_orphans_are_ended_in_turn() -> None:
    """One call carries a bounded number; those that are slow to end must not keep the others from their turn."""
    of, count = work(), BATCH_TOMBSTONES + 500
    orphan = Orphan(region="beijing", epoch=1)
    there = region()
    there.strays[AttemptId(run="nobody's", shard=0, epoch=1)] = float("-inf")
    ws = working_set(
        *[tracked(of, n, phase=Phase.FAILED, region=None, orphans=(orphan,)) for n in range(count)],
        regions=(there,),
    )

    calls = [to_reap(ws, there, Instant(NOW.monotonic + 1.1 * turn, NOW.wall), SETTINGS) for turn in range(2)]

    assert [len(call) for call in calls] == [BATCH_TOMBSTONES, BATCH_TOMBSTONES]
    assert len({*calls[0], *calls[1]}) == count + 1


def test_another_journal_may_end_what_may_overlap() -> None:
    """Only a lease has to be waited for: an idempotent shard's orphan goes with the first word of the journal that is there now."""
    ws = working_set(
        tracked(
            work(),
            0,
            phase=Phase.PENDING,
            region=None,
            orphans=(Orphan(region="beijing", epoch=1, incarnation="old"),),
        )
    )
    answer = TombstoneAnswer(attempt=AttemptId(run="run-1", shard=0, epoch=1), gone=True)

    take_answer(ws, ws.regions["beijing"], answer, NOW, SETTINGS)

    assert ws.shards["run-1", 0].shard.orphans == ()
