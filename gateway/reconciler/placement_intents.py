"""Writes intents: the region and epoch of a shard's next attempt, committed BEFORE any call."""

from clusters.protocol import ERA_BITS
from gateway.core.history import HistoryKind, PlacementDetail
from gateway.core.instant import NEVER, Instant
from gateway.core.shard_states import Event
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.region_losses import keep_apart
from gateway.reconciler.working_set.tracked_shard import TrackedShard
from gateway.regions.placement import Placement
from gateway.settings import FailoverSettings


def next_epoch(epoch: int, era: int) -> int:
    """Returns the epoch of a shard's next attempt after `epoch`, in the store's generation `era`.

    Epochs only grow, and those of an era outrank all of older eras.
    """
    return max(epoch + 1, (era << ERA_BITS) + 1)


def write_intent(
    tracked: TrackedShard,
    region: Region,
    placement: Placement,
    *,
    era: int,
    routing: int,
    now: Instant,
    settings: FailoverSettings,
) -> None:
    """Sets a shard's next epoch and chosen region in memory, and adds a history entry with the reasons.

    The next commit stores the shard and the entry. `era` is the store's generation, `routing` the number of
    the routing revision in force; `placement` has the scores and the reasons against the other regions.
    """
    epoch = next_epoch(tracked.shard.epoch, era)
    tracked.add_history(
        now,
        HistoryKind.PLACED,
        PlacementDetail(
            region=region.name,
            epoch=epoch,
            scores={name: round(score, 6) for name, score in placement.scores.items()},
            rejected=placement.rejected,
            decision_id=tracked.run.stored.decision_id,
            routing=routing,
            remade=() if tracked.resumption is None else tracked.resumption.remade,
        ),
    )
    tracked.apply_event(
        now,
        Event.INTENDED,
        epoch=epoch,
        region=region.name,
        incarnation=region.incarnation,
        routing=routing,
        fence=region.fence(now, settings.fence_seconds),
        placed_at=now.wall,
    )
    tracked.fenced_until = now.monotonic + settings.fence_seconds
    # When the attempt before was sent says nothing of this one, which is due at once.
    tracked.sent_at, tracked.intended_at, tracked.unheard_until = NEVER, now.monotonic, 0
    keep_apart(tracked, now, settings)
