"""Suspect the shards of a region that is lost, and move them when waiting costs more than moving (T5, T6, T7, T14)."""

from collections.abc import Sequence

from gateway.core.history import HistoryKind, OrphanDetail
from gateway.core.instant import Instant
from gateway.core.lost_attempts import leaving, may_leave, wait_seconds
from gateway.core.shard_states import Event, Phase
from gateway.reconciler.attempt_events import lose, reconfirm
from gateway.reconciler.working_set import NEVER, Region, Tracked, WorkingSet
from gateway.regions.blackout_guard import enough_answer
from gateway.regions.health import RegionHealth, count_answered_since
from gateway.settings import Failover


def suspect(ws: WorkingSet, region: Region, now: Instant) -> None:
    """T5: the region does not answer any more. What runs there may well go on running."""
    for tracked in list(ws.placed_in(region.name, Phase.DISPATCHING, Phase.RUNNING)):
        tracked.change(now, Event.REGION_LOST, reason=region.health.reason, suspect_since=now.wall)
        tracked.suspected_at, tracked.heard_until = now.monotonic, region.heard_at
        tracked.lost_at = now.monotonic if tracked.lost_at is None else tracked.lost_at


def welcome(ws: WorkingSet, region: Region, now: Instant, settings: Failover) -> None:
    """T6: it answers again: confirm each attempt anew, under the same epoch, if it is the journal that had it. Another one has lost it."""
    for tracked in list(ws.placed_in(region.name, Phase.SUSPECT)):
        if tracked.shard.incarnation == region.incarnation:
            reconfirm(tracked, region, now, settings)
        else:
            lose(tracked, now, "JournalReplaced", settings)


def abandon(ws: WorkingSet, healths: Sequence[RegionHealth], now: Instant, settings: Failover) -> None:
    """T7, while the gateway does not take itself to be cut off: the attempt becomes an orphan, and the shard waits for a place.

    Half of the regions must have answered a probe begun after the suspicion: proof that it is not our own road that is lost.
    """
    for tracked in [t for t in ws.shards.values() if t.shard.phase is Phase.SUSPECT]:
        answered = count_answered_since(healths, tracked.suspected_at)
        if not enough_answer(answered, len(healths)) or not _waited(tracked, now, settings):
            continue
        failovers = tracked.shard.failovers + 1
        tracked.change(
            now,
            leaving(tracked.shard.failovers, settings),
            reason="RegionLost",
            failovers=failovers,
            suspect_since=None,
        )


def disown(ws: WorkingSet, now: Instant) -> None:
    """The store was restored: no attempt that it takes for a shard's own is so any more. It is nobody's fault, and is not counted."""
    for tracked in [t for t in ws.shards.values() if t.shard.phase.placed]:
        tracked.change(now, Event.LOST, reason="StoreRestored")


def forget(ws: WorkingSet, region: Region, now: Instant, settings: Failover) -> None:
    """An operator says that the region is gone for good: nothing there is waited for any more, whatever the blackout guard thinks.

    Only leases are: people err, and an exclusive shard must never run twice at once. An attempt that lives after all is a stray.
    """
    for tracked in list(ws.placed_in(region.name, Phase.SUSPECT)):
        if not tracked.work.exclusive or _waited(tracked, now, settings):
            failovers = tracked.shard.failovers + 1
            event = leaving(tracked.shard.failovers, settings)
            tracked.change(now, event, reason="RegionForgotten", failovers=failovers, suspect_since=None)
    for tracked in ws.shards.values():
        for orphan in tracked.shard.orphans:
            if orphan.region == region.name and tracked.leases_over(now, settings.exclusive_wait_seconds):
                tracked.drop(orphan)
                tracked.note(now, HistoryKind.FORGOTTEN, OrphanDetail(region=region.name, epoch=orphan.epoch))


def _waited(tracked: Tracked, now: Instant, settings: Failover) -> bool:
    deadline = tracked.work.run.deadline_at
    wait = wait_seconds(
        tracked.work.spec.side_effects,
        ran_seconds=(tracked.heard_until - since for since in tracked.running_since.values()),
        deadline_in_seconds=None if deadline is None else max(0.0, deadline - now.wall),
        settings=settings,
    )
    return may_leave(
        tracked.work.spec.side_effects,
        now=now.monotonic,
        suspected_at=tracked.suspected_at,
        fenced_until=tracked.fenced_until,
        wait=wait,
    )


def give_up_unconfirmed(ws: WorkingSet, now: Instant, settings: Failover) -> None:
    """T14: past its fence no cluster takes the create any more; whether one took it before is for the tombstone to find out."""
    for tracked in [
        t
        for t in ws.shards.values()
        if t.shard.phase is Phase.DISPATCHING and t.fenced_until <= now.monotonic
    ]:
        if (
            tracked.sent_at == NEVER
        ):  # nobody was asked, as far as we know: that speaks against no region, and is no failover
            tracked.change(now, Event.UNCONFIRMED, reason="Unsent")
            continue
        failovers = tracked.shard.failovers + 1
        event = leaving(tracked.shard.failovers, settings)
        event = Event.UNCONFIRMED if event is Event.ABANDONED else event
        tracked.change(now, event, reason="Unconfirmed", failovers=failovers)


def expire(tracked: Tracked, now: Instant) -> None:
    """T12: the run's deadline has passed."""
    tracked.change(now, Event.EXPIRED, reason="DeadlineExceeded")


def cancel(tracked: Tracked, now: Instant) -> None:
    """T10: the wish is committed on the run; the attempt becomes an orphan to be reaped."""
    tracked.change(now, Event.CANCELLED)
