"""Give waiting shards a place: read, ask policy where it is time to, plan, and write the intents into the working set."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import structs

from gateway.core.history import HistoryKind, UnplaceableDetail
from gateway.core.instant import Instant
from gateway.core.shard_states import Phase, Shard
from gateway.policy.interface import PolicyEngine
from gateway.reconciler.dispatch import Load, next_calls
from gateway.reconciler.intents import route
from gateway.reconciler.loading import load_work, read_again, take_up
from gateway.reconciler.reauthorize import permit, take_back
from gateway.reconciler.working_set import NEVER, Tracked, Work, WorkingSet
from gateway.regions.demand import demand_of
from gateway.regions.filters import NO_FREE_SLOT, takes_work
from gateway.regions.placement import Placement, Unplaceable, after_placement, place
from gateway.regions.region_condition import Taint
from gateway.regions.region_view import RegionView
from gateway.settings import Failover, Placing
from gateway.store.interface import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Aside:
    """A run whose shards let others pass: until one of `regions` takes something again, and in any case until `until`."""

    regions: frozenset[str]
    until: float


class Placer:
    """Takes shards in the store's order: highest priority first, then oldest run. Only what can be sent at once gets an intent."""

    def __init__(
        self,
        *,
        ws: WorkingSet,
        store: Store,
        policy: PolicyEngine,
        failover: Failover,
        placing: Placing,
        rng: random.Random,
    ) -> None:
        self._ws, self._store, self._policy = ws, store, policy
        self._failover, self._placing, self._rng = failover, placing, rng
        self._looked_at = NEVER
        self._aside: dict[str, Aside] = {}
        self._views: dict[str, RegionView] = {}
        self._calls: dict[str, Load] = {}
        self._works: dict[str, tuple[Work, bool]] = {}
        self._spreads: dict[str, Counter[str]] = {}

    def look(self) -> None:
        """Something may have changed: look for waiting shards at the next pass, not only when it is time again."""
        self._looked_at = NEVER

    async def place_pending(self, now: Instant, views: list[RegionView]) -> None:
        """Places what waits, up to a bound for one pass. Without a region that takes work nothing is read at all."""
        if now.monotonic - self._looked_at < self._placing.look_seconds:
            return
        self._views = {view.name: view for view in views}
        self._calls = next_calls(self._ws, now, self._failover)
        if not self._any_open(self._views):
            return
        self._looked_at = now.monotonic
        await self._obey()
        self._aside = {run: aside for run, aside in self._aside.items() if aside.until > now.monotonic}
        self._works, self._spreads = {}, {}
        limit = self._placing.batch + self._leased(now)
        waiting = await self._store.pending(
            now=now.wall, limit=limit, without=[run for run in self._aside if self._passed_over(run)]
        )
        for shard in waiting:
            if not self._any_open(self._views):
                break
            await self._place(shard, now)
        if len(waiting) == limit:
            self.look()

    async def _obey(self) -> None:
        """A cordon counts as soon as it is committed: whoever drains a region is told that it is empty, and stops it."""
        taints = await self._store.taints()
        for name, view in self._views.items():
            if Taint.CORDONED in taints.get(name, ()):
                self._views[name] = structs.replace(view, taints=view.taints | {Taint.CORDONED})

    def _any_open(self, names: Iterable[str]) -> bool:
        """Can any of these regions take something, and be told so at once?"""
        return any(name in self._calls and takes_work(self._views[name]) for name in names)

    def _passed_over(self, run_id: str) -> bool:
        aside = self._aside.get(run_id)
        return aside is not None and not self._any_open(aside.regions)

    def _leased(self, now: Instant) -> int:
        """Shards that will be read in vain: they wait for the lease of an earlier attempt to end."""
        wait = self._failover.exclusive_wait_seconds
        return sum(
            t.shard.phase is Phase.PENDING and not t.leases_over(now, wait) for t in self._ws.shards.values()
        )

    async def _place(self, shard: Shard, now: Instant) -> None:
        known = self._ws.shards.get(shard.key)
        if self._passed_over(shard.run) or (known is not None and known.dirty):
            return
        work, permitted = await self._permitted(shard.run, now)
        if not permitted:
            await self._put_aside(shard, work, "policy could not be asked", now)
            return
        if work.exclusive and now.monotonic - self._ws.restored_at < self._failover.exclusive_wait_seconds:
            await self._put_aside(
                shard, work, "an attempt of which the restored store knows nothing may hold a lease", now
            )
            return
        found = self._plan(work)
        if isinstance(found, Unplaceable):
            full = [name for name, reason in found.rejected.items() if reason == NO_FREE_SLOT]
            await self._put_aside(shard, work, str(found), now, regions=full, rejected=found.rejected)
        elif found.region in self._calls:
            await self._send_to(found, shard, work, now)
        elif not self._any_open(preferred := found.scores.keys() - found.rejected.keys()):
            self._aside[shard.run] = Aside(regions=frozenset(preferred), until=self._again_at(now))

    async def _send_to(self, found: Placement, shard: Shard, work: Work, now: Instant) -> None:
        """Writes the intent, where the shard still waits and the region's next call has room for it."""
        tracked = await self._waiting(shard, work, now)
        if tracked.shard.phase is not Phase.PENDING or not tracked.leases_over(
            now, self._failover.exclusive_wait_seconds
        ):
            return
        tracked.work = work
        region = self._ws.regions[found.region]
        await read_again(self._store, tracked, region.incarnation)
        if not self._calls[region.name].takes(tracked):
            del self._calls[region.name]
            return
        route(tracked, region, found, era=self._store.era, now=now, settings=self._failover)
        self._views[region.name] = after_placement(self._views[region.name])
        if work.run.id in self._spreads:
            self._spreads[work.run.id][region.name] += 1

    def _plan(self, work: Work) -> Placement | Unplaceable:
        spread = self._spread(work.run.id) if work.workflow.spec.placement.spread else None
        return place(
            demand_of(work.workflow, work.run.permitted, spread=spread),
            list(self._views.values()),
            choose=self._rng.choice,
            settings=self._placing,
        )

    def _spread(self, run_id: str) -> Counter[str]:
        """The run's shards by region, counted once a pass."""
        if run_id not in self._spreads:
            placed = (
                t.shard.region
                for t in self._ws.shards.values()
                if t.shard.run == run_id and t.shard.phase.placed
            )
            self._spreads[run_id] = Counter(name for name in placed if name is not None)
        return self._spreads[run_id]

    async def _waiting(self, shard: Shard, work: Work, now: Instant) -> Tracked:
        """The shard in the working set, as the store has it."""
        tracked = self._ws.shards.get(shard.key)
        if tracked is None or tracked.stored_rev != shard.rev:
            tracked = await take_up(self._store, shard, work, now, self._failover)
            self._ws.add(tracked)
        return tracked

    async def _permitted(self, run_id: str, now: Instant) -> tuple[Work, bool]:
        """The run under a decision that is fresh, read once a pass. False where policy could not be asked."""
        if run_id not in self._works:
            work = await load_work(self._store, run_id)
            fresh = await permit(
                work,
                store=self._store,
                policy=self._policy,
                now=now,
                fresh_seconds=self._failover.decision_fresh_seconds,
            )
            if fresh is not None and fresh is not work:
                take_back(self._ws, fresh, now)
            self._works[run_id] = (fresh or work, fresh is not None)
        return self._works[run_id]

    async def _put_aside(
        self,
        shard: Shard,
        work: Work,
        reason: str,
        now: Instant,
        *,
        regions: Iterable[str] = (),
        rejected: dict[str, str] | None = None,
    ) -> None:
        """Out of the way of those behind it, with all of its run: what keeps one of them keeps the others. Its history says so once."""
        self._aside[shard.run] = Aside(regions=frozenset(regions), until=self._again_at(now))
        if shard.reason != reason:
            tracked = await self._waiting(shard, work, now)
            if tracked.shard.phase is Phase.PENDING:
                tracked.shard = structs.replace(tracked.shard, reason=reason)
                tracked.note(
                    now, HistoryKind.UNPLACEABLE, UnplaceableDetail(reason=reason, rejected=rejected)
                )

    def _again_at(self, now: Instant) -> float:
        return now.monotonic + self._placing.defer_seconds * (0.8 + 0.4 * self._rng.random())
