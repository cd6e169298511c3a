"""Applies the cancellations and taints that callers and operators have committed, and passed deadlines."""

from gateway.core.history import HistoryEntry, HistoryKind, RegionDetail
from gateway.core.instant import Instant
from gateway.core.shard_states import Event, Phase
from gateway.reconciler.failover import give_up_region
from gateway.reconciler.loading import track_shard
from gateway.reconciler.orphans import forget_orphans
from gateway.reconciler.working_set.tracked_shard import LoadedRun
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.regions.region_condition import Taint
from gateway.settings import FailoverSettings
from gateway.store.interface import Store

SCAN_SECONDS = 0.5
"""The pause between two scans."""
SCAN_LIMIT = 200
"""The most shards read at once for cancellation or deadline; the others come with the next scan."""


async def scan_store(ws: WorkingSet, store: Store, now: Instant, settings: FailoverSettings) -> None:
    """Applies the stored taints, cancellations and passed deadlines to the working set.

    Raises `Unavailable` where the store cannot answer.
    """
    await _apply_taints(ws, store, now, settings)
    runs: dict[str, LoadedRun] = {}
    for shard in await store.to_cancel(limit=SCAN_LIMIT):
        tracked = await track_shard(ws, store, shard, now, settings, runs=runs)
        # In the working set the shard may be further than in the store already.
        if not tracked.shard.phase.terminal and tracked.shard.phase is not Phase.CANCELLING:
            # T10: the attempt becomes an orphan, which is ended.
            tracked.apply_event(now, Event.CANCELLED)
    for shard in await store.overdue(now=now.wall, limit=SCAN_LIMIT):
        tracked = await track_shard(ws, store, shard, now, settings, runs=runs)
        # T12, but what was cancelled ends as Cancelled, however long that takes.
        if not tracked.shard.phase.terminal and tracked.shard.phase is not Phase.CANCELLING:
            tracked.apply_event(now, Event.EXPIRED, reason="DeadlineExceeded")


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
                detail=RegionDetail(region=region.name),
            )
            await store.remove_taint(region.name, Taint.FORGOTTEN, entry=entry)
        else:
            give_up_region(ws, region, now, settings)
            forget_orphans(ws, region, now, settings)
