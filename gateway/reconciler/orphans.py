"""End attempts that are no longer their shard's own (T11): tombstone first, so that a late create is refused; then until they are gone."""

from typing import Any

from clusters.protocol import AttemptId, TombstoneAnswer
from gateway.core.history import HistoryKind, OrphanDetail
from gateway.core.instant import Instant
from gateway.core.shard_states import Event, Phase
from gateway.reconciler.working_set import NEVER, Region, Tracked, WorkingSet
from gateway.settings import Failover

BATCH_TOMBSTONES = 1000
"""In one call: a region that comes back after a long time has many orphans."""


def to_reap(ws: WorkingSet, region: Region, now: Instant, settings: Failover) -> tuple[AttemptId, ...]:
    """Committed orphans and strays in `region` whose tombstone is due, again and again until they are gone. Marks them as sent.

    Those that have waited longest come first, so that none waits for ever where one call cannot carry them all.
    """
    due = now.monotonic - settings.resend_seconds
    found: list[tuple[float, AttemptId, dict[Any, float], Any]] = [
        (at, a, region.strays, a) for a, at in region.strays.items() if at <= due
    ]
    for tracked in ws.shards.values():
        for orphan in () if tracked.dirty else tracked.shard.orphans:
            at = tracked.tombstoned_at.get(orphan, NEVER)
            if orphan.region == region.name and at <= due:
                attempt = AttemptId(run=tracked.shard.run, shard=tracked.shard.index, epoch=orphan.epoch)
                found.append((at, attempt, tracked.tombstoned_at, orphan))
    found.sort(key=lambda one: one[0])
    for _, _, sent_at, key in found[:BATCH_TOMBSTONES]:
        sent_at[key] = now.monotonic
    return tuple(attempt for _, attempt, _, _ in found[:BATCH_TOMBSTONES])


def take_answer(
    ws: WorkingSet, region: Region, answer: TombstoneAnswer, now: Instant, settings: Failover
) -> None:
    """A confirmed tombstone takes the orphan off its shard's list.

    Another journal than the one that had the attempt knows nothing of it: its word does not end a lease. A shard that is placed
    again has waited that out.
    """
    if not answer.gone:
        return
    region.strays.pop(answer.attempt, None)
    tracked = ws.orphan(region.name, answer.attempt)
    orphan = None if tracked is None else tracked.shard.orphan(region.name, answer.attempt.epoch)
    if tracked is None or orphan is None:
        return
    known = orphan.incarnation == region.incarnation
    if known or tracked.shard.phase.placed or tracked.leases_over(now, settings.exclusive_wait_seconds):
        tracked.drop(orphan)
        tracked.note(now, HistoryKind.REAPED, OrphanDetail(region=region.name, epoch=orphan.epoch))


def stop_cancelled(ws: WorkingSet, lost: frozenset[str], now: Instant, settings: Failover) -> None:
    """T10: a Cancelling shard is Cancelled once nothing of it runs where we can see.

    What sits in a region out of reach stays listed as an orphan; an exclusive one is waited for until its lease must have ended.
    """
    for tracked in ws.shards.values():
        if tracked.shard.phase is Phase.CANCELLING and _stopped(tracked, lost, now, settings):
            tracked.change(now, Event.STOPPED)


def _stopped(tracked: Tracked, lost: frozenset[str], now: Instant, settings: Failover) -> bool:
    if any(orphan.region not in lost for orphan in tracked.shard.orphans):
        return False
    return tracked.leases_over(now, settings.exclusive_wait_seconds)
