"""Limits a tenant's share of each region and of each placing pass, so that no tenant fills them."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from gateway.core.instant import NEVER, Instant
from gateway.core.run import Run
from gateway.reconciler.working_set.tracked_shard import TrackedShard
from gateway.regions.filters import takes_work
from gateway.regions.region_view import RegionView

FREE_FACTOR: Final = 4
"""The multiple of the free slots that a tenant may hold in a region before it gets no more.

So one alone comes to four fifths of a region, two to four ninths each; some slots are always left for a
tenant that holds none.
"""
TASKS_MAXIMUM: Final = 100_000
"""The maximum number of tasks of one tenant's attempts in one region, for the cluster's memory and time."""

CONTENDED_SECONDS: Final = 2.0
"""The time for which passes are short after two tenants had shards to place."""
CONTENDED_PART: Final = 5
"""The divisor by which passes are shorter then, so that a new shard need not wait for a long one."""
ASKED_MAXIMUM: Final = 8
"""The maximum number of one tenant's runs about which policy is asked again in one pass."""
ASKED_BYTES: Final = 64 * 1024
"""The maximum bytes of these runs' documents, not counting the first."""


class PassShares:
    """Limits how many shards a placing pass reads, and how often it asks policy for each tenant.

    It remembers the tenant whose shard was looked at last: the next pass begins after that one.
    """

    def __init__(self) -> None:
        self.last_tenant = ""
        """The tenant whose shard was looked at last: the next pass begins with the tenant after it."""
        self._contended_until = NEVER
        self._seen_at: dict[str, float] = {}
        """The monotonic time at which a shard of each tenant was looked at last."""
        self._asked: Counter[str] = Counter()
        self._asked_bytes: Counter[str] = Counter()

    def begin(self, batch: int, now: Instant) -> int:
        """Begins a placing pass; returns the number of waiting shards to read for it, at most `batch`.

        If shards of two tenants came up in the last `CONTENDED_SECONDS`, it is only a fraction of `batch`,
        but more than the number of tenants that came up.
        """
        self._asked.clear()
        self._asked_bytes.clear()
        if now.monotonic >= self._contended_until:
            return batch
        before = now.monotonic - CONTENDED_SECONDS
        self._seen_at = {tenant: at for tenant, at in self._seen_at.items() if at > before}
        return min(batch, max(1, batch // CONTENDED_PART, len(self._seen_at) + 1))

    def observe(self, tenant: str, now: Instant) -> None:
        """Records that the placing pass has come to a shard of the tenant."""
        if self.last_tenant not in ("", tenant):
            self._contended_until = now.monotonic + CONTENDED_SECONDS
        self.last_tenant = tenant
        self._seen_at[tenant] = now.monotonic

    def may_ask(self, run: Run) -> bool:
        """Returns whether policy may be asked about the run in this placing pass; if so, counts the query.

        It may not if the tenant's queries of this pass would be too many, or their documents too large.
        """
        tenant, size = run.tenant, len(run.workflow)
        if self._asked[tenant] and (
            self._asked[tenant] >= ASKED_MAXIMUM or self._asked_bytes[tenant] + size > ASKED_BYTES
        ):
            return False
        self._asked[tenant] += 1
        self._asked_bytes[tenant] += size
        return True


class TenantShares:
    """The number of each tenant's attempts (orphans too) and tasks in each region, and the limits on them."""

    def __init__(self, shards: Iterable[TrackedShard]) -> None:
        self._attempts: Counter[tuple[str, str]] = Counter()
        self._tasks: Counter[tuple[str, str]] = Counter()
        for tracked in shards:
            if tracked.shard.phase.placed and tracked.shard.region is not None:
                self.add(tracked, tracked.shard.region)
            for orphan in tracked.shard.orphans:
                self.add(tracked, orphan.region)

    def add(self, tracked: TrackedShard, region: str) -> None:
        """Counts one more attempt, with its tasks, for the shard's tenant in `region`."""
        key = (tracked.run.stored.tenant, region)
        self._attempts[key] += 1
        self._tasks[key] += len(tracked.run.tasks)

    def without_room(self, regions: Iterable[RegionView]) -> list[str]:
        """Returns the tenants that have used up their share of every region that takes work."""
        open_regions = [region for region in regions if takes_work(region)]
        tenants = {tenant for tenant, _ in self._attempts}
        return [one for one in tenants if len(self.used_up(one, open_regions)) == len(open_regions)]

    def used_up(self, tenant: str, regions: Iterable[RegionView]) -> frozenset[str]:
        """Returns the regions in which the tenant has used up its share, and so gets no further place."""
        return frozenset(
            region.name
            for region in regions
            if region.free_slots > 0
            and (
                self._attempts[tenant, region.name] >= FREE_FACTOR * region.free_slots
                or self._tasks[tenant, region.name] >= TASKS_MAXIMUM
            )
        )
