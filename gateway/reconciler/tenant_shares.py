"""How much of each region a tenant holds, and may hold: no tenant fills a region for all others."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from gateway.reconciler.working_set.tracked_shard import TrackedShard
from gateway.regions.filters import takes_work
from gateway.regions.region_view import RegionView

FREE_FACTOR: Final = 4
"""A tenant takes a slot while it holds fewer than so many times those that are free.

So one alone comes to four fifths of a region, two to four ninths each; some slots are always left for a
tenant that holds none.
"""
TASKS_MAXIMUM: Final = 100_000
"""Tasks of one tenant's attempts in one region, at most: each costs the cluster memory and time."""


class TenantShares:
    """Counts the attempts and tasks that each tenant holds in each region, to bound what one may hold.

    Orphans count too.
    """

    def __init__(self, shards: Iterable[TrackedShard]) -> None:
        self._attempts: Counter[tuple[str, str]] = Counter()
        self._tasks: Counter[tuple[str, str]] = Counter()
        for tracked in shards:
            if tracked.shard.phase.placed and tracked.shard.region is not None:
                self.add(tracked, tracked.shard.region)
            for orphan in tracked.shard.orphans:
                self.add(tracked, orphan.region)

    def add(self, tracked: TrackedShard, region: str) -> None:
        """Counts an attempt in."""
        key = (tracked.run.stored.tenant, region)
        self._attempts[key] += 1
        self._tasks[key] += len(tracked.run.tasks)

    def without_room(self, regions: Iterable[RegionView]) -> list[str]:
        """The tenants that hold all that they may hold in every region that takes work."""
        open_regions = [region for region in regions if takes_work(region)]
        tenants = {tenant for tenant, _ in self._attempts}
        return [one for one in tenants if len(self.used_up(one, open_regions)) == len(open_regions)]

    def used_up(self, tenant: str, regions: Iterable[RegionView]) -> frozenset[str]:
        """The regions in which the tenant holds all that it may hold: no attempt of it is placed there."""
        return frozenset(
            region.name
            for region in regions
            if region.free_slots > 0
            and (
                self._attempts[tenant, region.name] >= FREE_FACTOR * region.free_slots
                or self._tasks[tenant, region.name] >= TASKS_MAXIMUM
            )
        )
