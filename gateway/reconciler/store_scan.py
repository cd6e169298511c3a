"""Applies cancellations, taints, routing and passed deadlines from the store to the working set."""

from clusters.protocol import DEADLINE_EXCEEDED
from gateway.core.history import HistoryEntry, HistoryKind, RegionEventDetail
from gateway.core.instant import Instant
from gateway.core.shard_states import Event, Phase
from gateway.reconciler.failover import give_up_region
from gateway.reconciler.loading import track_shard
from gateway.reconciler.orphans import forget_orphans
from gateway.reconciler.working_set.tracked_shard import LoadedRun, TrackedShard
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.regions.region_condition import RegionCondition, Taint
from gateway.regions.routing import UNROUTED
from gateway.settings import FailoverSettings
from gateway.store.interface import Store

SCAN_SECONDS = 0.5
"""The pause between two scans of the store."""
SCAN_LIMIT = 200
"""The maximum number of shards read at once for cancellation or deadline; others come in the next pass."""

REPORT_SECONDS = 0.5
"""The longest time that a report from a healthy region is assumed to be under way.

It may tell that an attempt ended before its deadline.
"""
SILENT_SECONDS = 10.0
"""The longest wait for the reports of a silent region; usually it is Unreachable before that."""


async def scan_store(ws: WorkingSet, store: Store, now: Instant, settings: FailoverSettings) -> bool:
    """Applies taints, routing, cancellations and passed deadlines from the store to the working set.

    Returns whether there may be more, for the next pass. Raises `Unavailable` where the store cannot answer.
    """
    await _apply_taints(ws, store, now, settings)
    await _apply_routing(ws, store)
    runs: dict[str, LoadedRun] = {}
    cancelled = expired = 0
    for shard in await store.to_cancel(limit=SCAN_LIMIT):
        tracked = await track_shard(ws, store, shard, now, settings, runs=runs)
        # In the working set the shard may be further than in the store already.
        if not tracked.shard.phase.terminal and tracked.shard.phase is not Phase.CANCELLING:
            # T10: the attempt becomes an orphan, which is ended.
            tracked.apply_event(now, Event.CANCELLED)
            cancelled += 1
    for shard in await store.overdue(now=now.wall, limit=SCAN_LIMIT):
        tracked = await track_shard(ws, store, shard, now, settings, runs=runs)
        # T12: the attempt becomes an orphan, which is ended before the shard is Failed. What was cancelled
        # ends as Cancelled, however long that takes.
        if tracked.shard.phase.terminal or tracked.shard.phase is Phase.CANCELLING:
            continue
        if _may_have_ended_in_time(ws, tracked, now):
            continue
        tracked.apply_event(now, Event.EXPIRED, reason=DEADLINE_EXCEEDED)
        expired += 1
    # Those that stayed as they were come again with the next scan: they would come with each pass.
    return SCAN_LIMIT in (cancelled, expired)


def _may_have_ended_in_time(ws: WorkingSet, tracked: TrackedShard, now: Instant) -> bool:
    """Returns whether a cluster may still report that a shard ended before its deadline, now passed.

    False once the cluster has sent all of its events up to the deadline, or has been silent for too long
    since. The events of a time in which no gateway listened come late.
    """
    region, deadline_at = ws.regions.get(tracked.shard.region or ""), tracked.run.deadline_at
    if not tracked.shard.phase.placed or region is None or deadline_at is None:
        return False
    if region.health.condition is RegionCondition.UNREACHABLE:
        return False
    passed_at = now.monotonic - (now.wall - deadline_at)
    waited_seconds = now.monotonic - max(passed_at, region.reopened_at)
    return waited_seconds < SILENT_SECONDS and not region.has_reported(passed_at + REPORT_SECONDS)


async def _apply_taints(ws: WorkingSet, store: Store, now: Instant, settings: FailoverSettings) -> None:
    taints = await store.taints()
    for region in ws.regions.values():
        region.taints = taints.get(region.name, frozenset())
        if Taint.FORGOTTEN not in region.taints:
            continue
        if region.health.condition.reachable:
            # It answers again after all: its shards there are waited for as in any other region.
            entry = HistoryEntry(
                run="",
                kind=HistoryKind.REGION_RETURNED,
                at=now.wall,
                detail=RegionEventDetail(region=region.name),
            )
            await store.remove_taint(region.name, Taint.FORGOTTEN, entry=entry)
        else:
            give_up_region(ws, region, now, settings)
            forget_orphans(ws, region, now, settings)


async def _apply_routing(ws: WorkingSet, store: Store) -> None:
    active = (await store.routing()).active
    ws.routing = 0 if active is None else active.number
    for region in ws.regions.values():
        found = None if active is None else active.regions.get(region.name)
        region.routing = UNROUTED if found is None else found
