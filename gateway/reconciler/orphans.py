"""Ends orphans: attempts that are no longer their shard's current one and may still run.

A tombstone (the order to end an attempt or never to take it) is sent first, so that a create request that is
still under way is refused. It is sent again and again until the cluster confirms that nothing of the attempt
is left.
"""

from collections.abc import Set

from clusters.protocol import DEADLINE_EXCEEDED, AttemptId, Hello, TombstoneAnswer
from gateway.core.history import HistoryKind, OrphanDetail
from gateway.core.instant import NEVER, Instant
from gateway.core.shard_states import Event, Phase, attempt_id
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.region_losses import count_unproven_loss
from gateway.reconciler.working_set.tracked_shard import TrackedShard
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.settings import FailoverSettings

BATCH_TOMBSTONES = 1000
"""The maximum number of tombstones (orders to end an attempt) in one call."""


def unlisted_attempts(ws: WorkingSet, region: Region, hello: Hello) -> list[AttemptId]:
    """Returns a cluster's attempts that no shard has, neither as its current attempt nor as an orphan."""
    return [
        attempt
        for attempt, _ in hello.attempts
        if ws.find_current(region.name, attempt) is None and ws.find_orphan(region.name, attempt) is None
    ]


def drop_ended_unknowns(region: Region, held: Set[AttemptId]) -> None:
    """Removes from the region's unknown attempts (no shard has them) those that are not in `held`.

    `held` are the attempts that the region's cluster still has.
    """
    region.unknown_attempts = {
        attempt: sent_at for attempt, sent_at in region.unknown_attempts.items() if attempt in held
    }


def due_tombstones(
    ws: WorkingSet, region: Region, now: Instant, settings: FailoverSettings
) -> tuple[AttemptId, ...]:
    """Returns the attempts in `region` for which a tombstone is to be sent now, up to the batch limit.

    A tombstone is the order to a cluster to end an attempt or never to take it. The attempts are orphans of
    shards without uncommitted changes, and attempts that no shard has; none of them had its tombstone sent
    within `resend_seconds`. Those that have waited longest come first: one call may not carry all, and none
    must wait for ever.
    """
    due = now.monotonic - settings.resend_seconds
    found = [(sent_at, attempt) for attempt, sent_at in region.unknown_attempts.items() if sent_at <= due]
    for tracked in ws.shards.values():
        # Until the orphan is committed the store takes the attempt for the shard's current one: a gateway
        # that starts after us would have to find it alive.
        for orphan in () if tracked.dirty else tracked.shard.orphans:
            sent_at = tracked.tombstoned_at.get(orphan, NEVER)
            if orphan.region == region.name and sent_at <= due:
                found.append((sent_at, _attempt(tracked, orphan.epoch)))
    found.sort(key=lambda one: one[0])
    return tuple(attempt for _, attempt in found[:BATCH_TOMBSTONES])


def mark_tombstones_sent(
    ws: WorkingSet, region: Region, attempts: tuple[AttemptId, ...], now: Instant
) -> None:
    """Records that tombstones for `attempts` were sent now, so that they are not due again at once."""
    for attempt in attempts:
        if attempt in region.unknown_attempts:
            region.unknown_attempts[attempt] = now.monotonic
        tracked = ws.find_orphan(region.name, attempt)
        orphan = None if tracked is None else tracked.shard.find_orphan(region.name, attempt.epoch)
        if tracked is not None and orphan is not None:
            tracked.tombstoned_at[orphan] = now.monotonic


def apply_tombstone_answer(
    ws: WorkingSet,
    region: Region,
    answer: TombstoneAnswer,
    now: Instant,
    settings: FailoverSettings,
    *,
    boot: str,
) -> None:
    """Takes an orphan off its shard's list, if the answer of the cluster's `boot` says that nothing is left.

    If another journal than the orphan's answers, a waiting exclusive shard's leases must have ended too.
    """
    if not answer.gone:
        return
    region.unknown_attempts.pop(answer.attempt, None)
    tracked = ws.find_orphan(region.name, answer.attempt)
    orphan = None if tracked is None else tracked.shard.find_orphan(region.name, answer.attempt.epoch)
    if tracked is None or orphan is None:
        return
    # Another journal than the one that had the attempt knows nothing of it, so its word does not end a lease:
    # the old cluster may be alive. A shard that is placed again has waited that out already.
    same_journal = orphan.incarnation == region.incarnation
    if (
        same_journal
        or tracked.shard.phase.placed
        or tracked.leases_ended(now, settings.exclusive_wait_seconds)
    ):
        tracked.drop_orphan(orphan)
        count_unproven_loss(tracked, orphan.epoch, boot, now, settings)
        tracked.add_history(now, HistoryKind.REAPED, OrphanDetail(region=region.name, epoch=orphan.epoch))


def forget_orphans(ws: WorkingSet, region: Region, now: Instant, settings: FailoverSettings) -> None:
    """Takes the orphans in a region that an operator has forgotten off their shards' lists.

    An exclusive shard's orphans stay listed until their leases have ended: an operator may err, and the shard
    must not run twice at once.
    """
    for tracked in ws.shards.values():
        for orphan in tracked.shard.orphans:
            if orphan.region == region.name and tracked.leases_ended(now, settings.exclusive_wait_seconds):
                tracked.drop_orphan(orphan)
                tracked.add_history(
                    now, HistoryKind.FORGOTTEN, OrphanDetail(region=region.name, epoch=orphan.epoch)
                )


def stop_cancelled(ws: WorkingSet, lost: frozenset[str], now: Instant, settings: FailoverSettings) -> None:
    """Ends Cancelling shards once all their orphans, if any, are in `lost` regions.

    Those that a passed deadline has ended become Failed (T12), all others Cancelled (T10).
    An exclusive shard also waits until its orphans' leases have ended. Orphans in a lost region stay listed.
    A region that has not been heard since the gateway's start is not lost: it is soon heard, or Unreachable.
    """
    for tracked in ws.shards.values():
        shard = tracked.shard
        if shard.phase is Phase.CANCELLING and _has_stopped(tracked, lost, now, settings):
            expired = shard.reason == DEADLINE_EXCEEDED
            event = Event.EXPIRY_ENFORCED if expired else Event.STOPPED
            tracked.apply_event(now, event, reason=shard.reason)


def _has_stopped(
    tracked: TrackedShard, lost: frozenset[str], now: Instant, settings: FailoverSettings
) -> bool:
    if any(orphan.region not in lost for orphan in tracked.shard.orphans):
        return False
    # An exclusive one may still hold a lease where nobody can look, until the lease must have ended.
    return tracked.leases_ended(now, settings.exclusive_wait_seconds)


def _attempt(tracked: TrackedShard, epoch: int) -> AttemptId:
    return attempt_id(*tracked.shard.key, epoch)
