"""Counts lost regions against the shards that ran there, and keeps possibly poisonous shards apart.

A task may end the cluster that runs it: kill it, or fill its disk. Which task did is not known. So a loss
counts against every shard of which a task ran there. A shard that has lost two regions may be poison: it is
on trial, alone among such shards in its region, until it has run longer than before its last loss. So the
next loss shows which shard is the cause. A shard that outlives its trial has one loss less. A poisonous shard
adds at most two losses to any other shard: one with two losses is kept apart from it.
"""

from collections.abc import Iterable, Sequence

from msgspec import structs

from gateway.core.failover_rules import may_be_poison, regions_lost_after
from gateway.core.instant import NEVER, Instant
from gateway.core.shard_states import Phase, Shard
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.tracked_shard import TrackedShard
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.settings import FailoverSettings


def count_kept_waiting(ws: WorkingSet, now: Instant, settings: FailoverSettings) -> int:
    """Returns the number of Pending shards that wait for a run-lease to end, or may be poison."""
    wait = settings.exclusive_wait_seconds
    return sum(
        tracked.shard.phase is Phase.PENDING
        and (not tracked.leases_ended(now, wait) or may_be_poison(tracked.shard, now.wall, settings))
        for tracked in ws.shards.values()
    )


def blame_shards(ws: WorkingSet, region: Region, now: Instant, settings: FailoverSettings) -> None:
    """Marks (`blamed`) the shards of which a task may run in `region`, when the region is lost.

    If the region turns out to be gone, its loss counts against them.
    """
    ran = [t for t in ws.placed_in(region.name, Phase.DISPATCHING, Phase.RUNNING) if _may_run(t, region)]
    apart = any(_on_trial(tracked, region.status_at) for tracked in ran)
    for tracked in ran:
        # A suspect that has outlived its time there is out of the question while one is there that has not.
        outlived = may_be_poison(tracked.shard, now.wall, settings) and tracked.apart_until == NEVER
        tracked.blamed = not (apart and outlived)
        for since in tracked.running_since.values():
            tracked.ran_seconds = max(tracked.ran_seconds, region.status_at - since)


def _may_run(tracked: TrackedShard, region: Region) -> bool:
    """Returns whether a task of the shard may be running in the region, and is not just queued there."""
    if tracked.shard.phase is Phase.DISPATCHING:
        return tracked.sent_at > NEVER
    # One on trial leaves the region, and would never be known to have started just before its end. It is the
    # likeliest cause, and at worst is blamed as if it had run.
    if tracked.running_since or _on_trial(tracked, region.status_at):
        return True
    # A beat comes after all events before it: without one the start of a task may not have been reported.
    return tracked.confirmed_at > region.beat_at


def count_loss(tracked: TrackedShard, now: Instant, settings: FailoverSettings) -> None:
    """Counts a region's loss against the shard if it is marked `blamed`, and removes the mark.

    The next transition of the shard stores the count.
    """
    if tracked.blamed:
        tracked.blamed = False
        _add_loss(tracked, now, settings)


def doubt_loss(tracked: TrackedShard) -> None:
    """Takes a region's loss that is not proven off the shard; it counts if the region comes back restarted.

    A region that answers under the same boot was cut off from this gateway, which is nobody's fault.
    """
    if tracked.blamed and tracked.shard.fence is not None:
        tracked.unproven_boots[tracked.shard.epoch] = tracked.shard.fence.boot
    tracked.blamed = False


def count_unproven_loss(
    tracked: TrackedShard, epoch: int, boot: str, now: Instant, settings: FailoverSettings
) -> None:
    """Counts the loss of the region that had the attempt of `epoch`, if it is back under another `boot`."""
    if tracked.unproven_boots.pop(epoch, boot) != boot:
        _add_loss(tracked, now, settings)


def _add_loss(tracked: TrackedShard, now: Instant, settings: FailoverSettings) -> None:
    lost = regions_lost_after(tracked.shard, now.wall, settings)
    tracked.shard = structs.replace(tracked.shard, regions_lost=lost, region_lost_at=now.wall)


def keep_apart(tracked: TrackedShard, now: Instant, settings: FailoverSettings) -> None:
    """Puts a possibly poisonous shard on trial: its new region gets no other such shard for a time.

    Does nothing for any other shard.
    """
    tracked.apart_until, tracked.trial_began = NEVER, False
    if may_be_poison(tracked.shard, now.wall, settings):
        tracked.apart_until = now.monotonic + _trial_seconds(tracked, settings)


def begin_trial(tracked: TrackedShard, now: Instant, settings: FailoverSettings) -> None:
    """Starts the clock of the shard's trial, if it is on trial: the first of its tasks has just started."""
    if tracked.apart_until > NEVER and not tracked.trial_began:
        tracked.apart_until, tracked.trial_began = now.monotonic + _trial_seconds(tracked, settings), True


def _trial_seconds(tracked: TrackedShard, settings: FailoverSettings) -> float:
    return max(settings.apart_seconds, 1.5 * tracked.ran_seconds)


def acquit_outlived(ws: WorkingSet) -> None:
    """Subtracts one region loss from each possibly poisonous shard that has outlived its trial.

    The trial is over then, so that the region may get other possibly poisonous shards. A shard of which no
    task has started is not acquitted: it has only waited for a processor.
    """
    for tracked in ws.shards.values():
        region = ws.regions.get(tracked.shard.region or "")
        # As far as the region was heard: it may have fallen silent since, and is not lost yet.
        heard_at = NEVER if region is None else region.status_at
        outlived = tracked.trial_began and NEVER < tracked.apart_until <= heard_at
        if outlived and tracked.shard.phase is Phase.RUNNING:
            tracked.apart_until = NEVER
            lost = max(0, tracked.shard.regions_lost - 1)
            tracked.shard = structs.replace(tracked.shard, regions_lost=lost)
            tracked.dirty = True


def _on_trial(tracked: TrackedShard, at: float) -> bool:
    """Returns whether a shard is on trial at `at`: a task has started, or the time to start is not over."""
    return tracked.apart_until > NEVER and (tracked.trial_began or tracked.apart_until > at)


def in_order_of_trial(
    waiting: Sequence[Shard], now: Instant, settings: FailoverSettings, *, newest_first: bool
) -> list[Shard]:
    """Returns the waiting shards with the possibly poisonous ones sorted by losses, most losses first.

    All others keep their positions. Among equals the newest come first if `newest_first`: they are likelier
    to be poison, since all went well before them. A caller must pass False at times, or a tenant that
    submits ever more poison would keep the oldest waiting.
    """
    suspects = [shard for shard in waiting if may_be_poison(shard, now.wall, settings)]
    if newest_first:
        suspects.reverse()
    ordered = iter(sorted(suspects, key=lambda shard: -shard.regions_lost))
    return [next(ordered) if may_be_poison(shard, now.wall, settings) else shard for shard in waiting]


class Trials:
    """The trials under way: in which regions a possibly poisonous shard is on trial, so that no other comes.

    A shard that has waited for a processor for as long as a trial takes keeps out only those of its own
    tenant: how long it waits depends on what else its tenant runs, and no tenant may keep another waiting by
    that.
    """

    def __init__(self, shards: Iterable[TrackedShard] = (), at: float = NEVER) -> None:
        self._regions = set[str]()
        self._queued = set[tuple[str, str]]()
        for tracked in shards:
            region = tracked.shard.region
            if tracked.apart_until == NEVER or not tracked.shard.phase.placed or region is None:
                continue
            if _on_trial(tracked, at):
                self._regions.add(region)
            else:
                self._queued.add((region, tracked.run.stored.tenant))

    def add(self, region: str) -> None:
        """Adds a region in which a shard's trial begins now."""
        self._regions.add(region)

    def closed_to(self, tenant: str) -> frozenset[str]:
        """Returns the regions that get no possibly poisonous shard of `tenant` now."""
        return frozenset({*self._regions, *(region for region, of in self._queued if of == tenant)})
