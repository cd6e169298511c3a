"""Commit what a pass has decided, and only then let it count."""

from collections.abc import Sequence

from gateway.core.run import AuditEntry
from gateway.core.shard_states import Phase
from gateway.reconciler.working_set import Tracked, WorkingSet
from gateway.store.interface import Store

Key = tuple[str, int]


async def report(
    ws: WorkingSet, store: Store
) -> tuple[list[tuple[Tracked, tuple[AuditEntry, ...]]], list[Key]]:
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
            committed.append((tracked, write.audit))
        else:
            del ws.shards[tracked.shard.key]
    return committed, [tracked.shard.key for tracked, done in zip(changed, took, strict=True) if not done]


def let_go(ws: WorkingSet, committed: Sequence[tuple[Tracked, tuple[AuditEntry, ...]]]) -> None:
    """Drops the shards that need no watching: those that are done with, and those that only wait for a place."""
    for tracked, _ in committed:
        shard = tracked.shard
        waits = shard.phase is Phase.PENDING and tracked.lost_at is None
        if (shard.phase.terminal or waits) and not shard.orphans:
            ws.shards.pop(shard.key, None)
