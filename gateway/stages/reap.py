"""End attempts that are no longer their shard's own (T11): tombstone first, so that a late create is refused; then until they are gone."""

from clusters.spec import AttemptId, TombstoneAnswer
from gateway.core.instant import Instant
from gateway.core.phase import Event, Orphan, Phase
from gateway.settings import Failover
from gateway.stages.working_set import NEVER, Region, Tracked, WorkingSet


def to_reap(ws: WorkingSet, region: Region, now: Instant, settings: Failover) -> tuple[AttemptId, ...]:
    """Committed orphans and strays in `region` whose tombstone is due, again and again until they are gone. Marks them as sent."""
    due = now.monotonic - settings.resend_seconds
    found: list[AttemptId] = []
    for tracked in ws.shards.values():
        if tracked.dirty:
            continue
        for orphan in tracked.shard.orphans:
            if orphan.region == region.name and tracked.tombstoned_at.get(orphan, NEVER) <= due:
                tracked.tombstoned_at[orphan] = now.monotonic
                found.append(AttemptId(run=tracked.shard.run, shard=tracked.shard.index, epoch=orphan.epoch))
    for attempt, at in region.strays.items():
        if at <= due:
            region.strays[attempt] = now.monotonic
            found.append(attempt)
    return tuple(found)


def take_answer(ws: WorkingSet, region: Region, answer: TombstoneAnswer, now: Instant) -> None:
    """A confirmed tombstone takes the orphan off its shard's list."""
    if not answer.gone:
        return
    region.strays.pop(answer.attempt, None)
    tracked = ws.orphan(region.name, answer.attempt)
    if tracked is not None:
        orphan = Orphan(region=region.name, epoch=answer.attempt.epoch)
        tracked.drop(orphan)
        tracked.note(now, "Reaped", region=region.name, epoch=orphan.epoch)


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
