"""Give waiting shards a place: read, ask policy where it is time to, plan, and write the intents into the working set."""

import random
from collections import Counter

from msgspec import structs

from gateway.core.instant import Instant
from gateway.core.phase import Phase, Shard
from gateway.core.placement import RegionView, Unplaceable, admits, taken
from gateway.policy.interface import PolicyEngine
from gateway.settings import Failover, Placing
from gateway.stages.permit import permit
from gateway.stages.plan import plan
from gateway.stages.route import route
from gateway.stages.take_up import load_work, read_again, take_up
from gateway.stages.working_set import NEVER, Tracked, Work, WorkingSet
from gateway.store.interface import Store


class Placer:
    """Takes shards in the store's order: highest priority first, then oldest run."""

    def __init__(
        self, *, ws: WorkingSet, store: Store, policy: PolicyEngine, failover: Failover, placing: Placing, rng: random.Random
    ) -> None:
        self._ws, self._store, self._policy = ws, store, policy
        self._failover, self._placing, self._rng = failover, placing, rng
        self._looked_at = NEVER
        self._works: dict[str, Work | None] = {}

    def look(self) -> None:
        """Something may have changed: look for waiting shards at the next pass, not only when it is time again."""
        self._looked_at = NEVER

    async def place_pending(self, now: Instant, views: list[RegionView]) -> None:
        """Places what waits, up to a bound for one pass. Without a region that takes work nothing is read at all."""
        if now.monotonic - self._looked_at < self._placing.look_seconds or not any(admits(view) for view in views):
            return
        self._looked_at = now.monotonic
        by_name = {view.name: view for view in views}
        waiting = await self._store.pending(now=now.wall, limit=self._placing.batch)
        self._works = {}
        for shard in waiting:
            await self._place(shard, by_name, now)
        if len(waiting) == self._placing.batch:
            self.look()

    async def _place(self, shard: Shard, views: dict[str, RegionView], now: Instant) -> None:
        tracked = await self._waiting(shard, now)
        if tracked is None:
            return
        work = await self._permitted(shard.run, now)
        if work is None:
            self._defer(tracked, "policy could not be asked", now)
            return
        tracked.work = work
        spread = self._spread(work) if work.workflow.spec.placement.spread else None
        found = plan(
            work.workflow, work.run.permitted, list(views.values()), choose=self._rng.choice, settings=self._placing, spread=spread
        )
        if isinstance(found, Unplaceable):
            self._defer(tracked, str(found), now, rejected=found.rejected)
            return
        region = self._ws.regions[found.region]
        await read_again(self._store, tracked, region.incarnation)
        route(tracked, region, found, era=self._store.era, now=now, settings=self._failover)
        views[found.region] = taken(views[found.region])

    async def _waiting(self, shard: Shard, now: Instant) -> Tracked | None:
        """The shard in the working set; None where it has moved on, or where another attempt may still hold its lease."""
        tracked = self._ws.shards.get(shard.key)
        if tracked is not None and tracked.dirty:
            return None
        if tracked is None or tracked.stored_rev != shard.rev:
            work = await self._permitted(shard.run, now)
            if work is None:
                work = await load_work(self._store, shard.run)
            tracked = await take_up(self._store, shard, work, now, self._failover)
            self._ws.add(tracked)
        wait = self._failover.exclusive_wait_seconds
        if tracked.shard.phase is not Phase.PENDING or not tracked.leases_over(now, wait):
            return None
        if tracked.work.exclusive and now.monotonic - self._ws.restored_at < wait:
            return None  # an attempt may hold a lease of which a restored store knows nothing
        return tracked

    async def _permitted(self, run_id: str, now: Instant) -> Work | None:
        """The run under a decision that is fresh, read once a pass."""
        if run_id not in self._works:
            work = await load_work(self._store, run_id)
            fresh = self._failover.decision_fresh_seconds
            self._works[run_id] = await permit(work, store=self._store, policy=self._policy, now=now, fresh_seconds=fresh)
        return self._works[run_id]

    def _spread(self, work: Work) -> dict[str, int]:
        placed = (t.shard.region for t in self._ws.shards.values() if t.shard.run == work.run.id and t.shard.phase.placed)
        return Counter(name for name in placed if name is not None)

    def _defer(self, tracked: Tracked, reason: str, now: Instant, **detail: object) -> None:
        """Out of the way of those behind it. Its history says so once, not each time."""
        pause = self._placing.defer_seconds * (0.8 + 0.4 * self._rng.random())
        again = tracked.shard.reason == reason
        tracked.shard = structs.replace(tracked.shard, reason=reason, not_before=now.wall + pause)
        tracked.dirty = True
        if not again:
            tracked.note(now, "Unplaceable", reason=reason, **detail)
