"""Commit what a pass has decided, and only then let it count."""

from collections.abc import Iterable, Sequence

from gateway.core.history import HistoryEntry, HistoryKind, OrphanDetail, TransitionDetail
from gateway.core.shard_states import Phase
from gateway.reconciler.working_set import Tracked, WorkingSet
from gateway.store.interface import Store
from observability.metrics import Metrics

Key = tuple[str, int]

FAILOVERS = frozenset({HistoryKind.ABANDONED, HistoryKind.EXHAUSTED, HistoryKind.UNCONFIRMED})
"""A shard left a region that was lost to it."""


async def report(
    ws: WorkingSet, store: Store
) -> tuple[list[tuple[Tracked, tuple[HistoryEntry, ...]]], list[Key]]:
    """Writes every changed shard by compare-and-swap, and the cursors up to which events are taken in.

    Returns the shards that took, each with the history now stored, and the keys of those that somebody else has changed
    meanwhile: they are out of the working set, and the cursors of this pass are not committed, so their events come again.
    Raises `Unavailable` where nothing could be written: everything stays as it is, and the next pass writes it.
    """
    changed = [tracked for tracked in ws.shards.values() if tracked.dirty]
    cursors = {region.name: region.cursor for region in ws.regions.values() if region.cursor_dirty}
    if not changed and not cursors:
        return [], []
    writes = [tracked.write() for tracked in changed]
    took = await store.record(writes, cursors)
    if all(took):
        for name in cursors:
            ws.regions[name].cursor_dirty = False
    committed = []
    for tracked, write, done in zip(changed, writes, took, strict=True):
        if done:
            tracked.committed()
            committed.append((tracked, write.history))
        else:
            del ws.shards[tracked.shard.key]
    return committed, [tracked.shard.key for tracked, done in zip(changed, took, strict=True) if not done]


def count(history: Iterable[HistoryEntry], metrics: Metrics, *, since_lost: float | None) -> None:
    """Counts what was just committed of a shard. `since_lost`: seconds since its region was lost; None: it was not."""
    for entry in history:
        match entry.detail:
            case TransitionDetail(after=phase, region=region):
                if phase.terminal:
                    metrics.shards_ended.labels(phase).inc()
                if entry.kind in FAILOVERS:
                    metrics.failovers.labels(region or "").inc()
                elif entry.kind is HistoryKind.CONFIRMED and since_lost is not None:
                    metrics.recovery_seconds.observe(since_lost)
            case OrphanDetail(region=region) if entry.kind is HistoryKind.REAPED:
                metrics.tombstones.labels(region).inc()
            case _:
                pass


def let_go(ws: WorkingSet, committed: Sequence[tuple[Tracked, tuple[HistoryEntry, ...]]]) -> None:
    """Drops the shards that need no watching: those that are done with, and those that only wait for a place."""
    for tracked, _ in committed:
        shard = tracked.shard
        waits = shard.phase is Phase.PENDING and tracked.lost_at is None
        if (shard.phase.terminal or waits) and not shard.orphans:
            ws.shards.pop(shard.key, None)
