"""Write down where a shard will go, BEFORE anyone is called: the intent (T2)."""

from clusters.protocol import ERA_BITS
from gateway.core.history import HistoryKind, PlacementDetail
from gateway.core.instant import Instant
from gateway.core.shard_states import Event
from gateway.reconciler.working_set import NEVER, Region, Tracked
from gateway.regions.placement import Placement
from gateway.settings import Failover


def next_epoch(epoch: int, era: int) -> int:
    """Epochs only grow, and every epoch of a newer era outranks those of the older."""
    return max(epoch + 1, (era << ERA_BITS) + 1)


def route(
    tracked: Tracked, region: Region, placement: Placement, *, era: int, now: Instant, settings: Failover
) -> None:
    """Gives the shard its next epoch in `region`, with the scores that chose it in its history."""
    epoch = next_epoch(tracked.shard.epoch, era)
    tracked.note(
        now,
        HistoryKind.PLACED,
        PlacementDetail(
            region=region.name,
            epoch=epoch,
            scores={name: round(score, 6) for name, score in placement.scores.items()},
            rejected=placement.rejected,
            decision_id=tracked.work.run.decision_id,
            remade=() if tracked.resumption is None else tracked.resumption.remade,
        ),
    )
    tracked.change(
        now,
        Event.INTENDED,
        epoch=epoch,
        region=region.name,
        incarnation=region.incarnation,
        fence=region.fence(now, settings.fence_seconds),
    )
    tracked.fenced_until = now.monotonic + settings.fence_seconds
    tracked.sent_at = NEVER
    region.inflight += 1
