"""`region_of_attempt`, which finds in a run's history where a shard's earlier attempt was placed."""

from typing import Final

from gateway.core.history import HistoryKind, PlacementDetail
from gateway.store.interface import Store

PAGE: Final = 1000


async def region_of_attempt(store: Store, run_id: str, shard: int, epoch: int) -> str | None:
    """Returns the region where the shard's attempt `epoch` was placed; None if there was no such attempt."""
    seq = 0
    while entries := await store.history(run_id, after=seq, limit=PAGE):
        for entry in entries:
            match entry.detail:
                case PlacementDetail(region=region, epoch=placed) if entry.kind is HistoryKind.PLACED:
                    if (entry.shard, placed) == (shard, epoch):
                        return region
        seq = entries[-1].seq
    return None
