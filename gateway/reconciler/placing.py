"""Places waiting shards: reads them, asks policy again if needed, chooses regions, writes intents."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import structs

from gateway.core.failover_rules import may_be_poison
from gateway.core.history import HistoryKind, UnplaceableDetail
from gateway.core.instant import NEVER, Instant
from gateway.core.run import Run
from gateway.core.shard_states import Event, Phase, Shard
from gateway.policy.interface import PolicyEngine
from gateway.reconciler.dispatch import BatchLoad, create_size, open_batches
from gateway.reconciler.loading import load_resumption, load_run, load_shard, rendered
from gateway.reconciler.placement_intents import write_intent
from gateway.reconciler.reauthorize import reauthorize, withdraw_forbidden
from gateway.reconciler.tenant_shares import PassShares, TenantShares
from gateway.reconciler.working_set.deferral import Deferrals
from gateway.reconciler.working_set.region_losses import Trials, count_kept_waiting, in_order_of_trial
from gateway.reconciler.working_set.stages import at_stage, early_ends
from gateway.reconciler.working_set.tracked_shard import LoadedRun, TrackedShard
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.regions.filters import NO_FREE_SLOT, NO_SHARE, takes_work
from gateway.regions.placement import Placement, Unplaceable, after_placement, place
from gateway.regions.placement_demand import Demand
from gateway.regions.region_condition import Taint
from gateway.regions.region_view import RegionView
from gateway.settings import FailoverSettings, PlacingSettings
from gateway.store.interface import Store
from waypost.workflow.stages import Stage, stage_of

READ_BYTES = 4 * 1024 * 1024
"""The maximum bytes of documents that are read at once in one pass; others are read one by one."""

CROWDED_MAXIMUM = 8
"""The number of a tenant's shards refused in one pass for its used-up share, after which it is skipped."""


class Placer:
    """Places waiting shards in the store's order: tenants in turn, then highest priority, then oldest run.

    Only a shard whose create request can be sent at once gets an intent. The others stay as the store has
    them: nothing is written for a shard that goes on waiting for the same reason.
    """

    def __init__(
        self,
        *,
        ws: WorkingSet,
        store: Store,
        policy: PolicyEngine,
        failover: FailoverSettings,
        placing: PlacingSettings,
        rng: random.Random,
    ) -> None:
        self._ws, self._store, self._policy = ws, store, policy
        self._failover, self._placing, self._rng = failover, placing, rng
        self._placed_at = NEVER
        self._deferred = Deferrals(settings=placing, rng=rng)
        self._pass_shares, self._trials = PassShares(), 0
        # The rest is of one pass.
        self._shares, self._crowded = TenantShares(()), Counter[str]()
        self._views: dict[str, RegionView] = {}
        self._batches: dict[str, BatchLoad] = {}
        self._runs: dict[str, tuple[LoadedRun, bool] | None] = {}
        self._read: Mapping[str, Run] = {}
        self._spreads: dict[str, Counter[str]] = {}
        self._demands: dict[tuple[str, Stage], Demand] = {}
        self._on_trial = Trials()

    def request(self) -> None:
        """Makes the next pass place waiting shards, without the usual pause, since something has changed."""
        self._placed_at = NEVER

    def is_due(self, now: Instant) -> bool:
        """Returns whether the pause since waiting shards were last placed is over."""
        return now.monotonic - self._placed_at >= self._placing.look_seconds

    async def place_pending(self, now: Instant, views: Iterable[RegionView]) -> None:
        """Places the waiting shards that one pass reads. Raises `Unavailable` if the store cannot answer."""
        self._views = {view.name: view for view in views}
        self._batches = open_batches(self._ws, now, self._failover)
        # Reading thousands of shards that no region takes would hold up every pass of an outage.
        if not self._any_takes_work(self._views):
            return
        self._placed_at = now.monotonic
        await self._apply_cordons()
        self._deferred.drop_past(now)
        self._runs, self._spreads, self._demands = {}, {}, {}
        self._shares, self._crowded = TenantShares(self._ws.shards.values()), Counter()
        self._on_trial = Trials(self._ws.shards.values(), now.monotonic)
        limit = self._pass_shares.begin(self._placing.batch, now)
        limit += count_kept_waiting(self._ws, now, self._failover)
        waiting = await self._store.pending(
            now=now.wall,
            limit=limit,
            without=self._deferred.runs(self._any_takes_work),
            without_tenants=self._shares.without_room(self._views.values()),
            after=self._pass_shares.last_tenant,
        )
        # At once: each reading by itself takes a turn of the event loop.
        self._read = await self._store.some_runs(
            tuple(dict.fromkeys(shard.run for shard in waiting)), maximum_bytes=READ_BYTES
        )
        for run in early_ends(waiting, self._ws, now, self._failover):
            self._deferred.defer_briefly(run, now)
        for shard in in_order_of_trial(waiting, now, self._failover, newest_first=self._trials % 2 == 0):
            if not self._any_takes_work(self._views):
                break
            await self._place(shard, now)
        if len(waiting) == limit:
            self.request()

    async def _apply_cordons(self) -> None:
        # A cordon counts as soon as it is committed: an operator who is shown an empty region stops it, and
        # must not stop an attempt that was placed there on an older read.
        taints = await self._store.taints()
        for name, view in self._views.items():
            if Taint.CORDONED in taints.get(name, ()):
                self._views[name] = structs.replace(view, taints=view.taints | {Taint.CORDONED})

    def _any_takes_work(self, names: Iterable[str]) -> bool:
        """Returns whether any of these regions takes work and can be sent a batch, with room, now."""
        return any(name in self._batches and takes_work(self._views[name]) for name in names)

    def _may_be_poison(self, shard: Shard, now: Instant) -> bool:
        return may_be_poison(shard, now.wall, self._failover)

    async def _place(self, shard: Shard, now: Instant) -> None:
        known = self._ws.shards.get(shard.key)
        # A shard before this one may have deferred the run. A dirty shard has changed since it was read.
        deferred = self._deferred.includes(shard.run, self._any_takes_work)
        if deferred or (known is not None and known.dirty):
            return
        if (found := await self._reauthorized(shard.run, now)) is not None:
            await self._place_under(shard, *found, now)

    async def _place_under(self, shard: Shard, run: LoadedRun, fresh: bool, now: Instant) -> None:
        """Places a shard if the run's policy decision is `fresh` and a region fits; else lets it wait."""
        self._pass_shares.observe(run.stored.tenant, now)
        if self._crowded[run.stored.tenant] >= CROWDED_MAXIMUM:
            return
        if not fresh:
            await self._defer(shard, run, "policy could not be asked", now)
            return
        if run.exclusive and now.monotonic - self._ws.restored_at < self._failover.exclusive_wait_seconds:
            reason = "an attempt of which the restored store knows nothing may hold a lease"
            await self._defer(shard, run, reason, now)
            return
        may_be_poison = self._may_be_poison(shard, now)
        apart_from = self._on_trial.closed_to(run.stored.tenant) if may_be_poison else ()
        found = self._choose_region(run, stage_of(shard.index), apart_from)
        if isinstance(found, Unplaceable) and NO_SHARE in found.rejected.values():
            # It is looked at again soon, and others of its tenant meanwhile, a few at each pass.
            self._crowded[run.stored.tenant] += 1
            await self._defer(shard, run, str(found), now, rejected=found.rejected)
            self._deferred.defer_briefly(shard.run, now)
        elif may_be_poison and isinstance(found, Unplaceable):
            # This keeps none of the run's other shards.
            await self._record_reason(shard, run, str(found), now, rejected=found.rejected)
        elif isinstance(found, Unplaceable):
            # A full region may take work again at any moment: then the run need not wait for its time.
            full = [name for name, reason in found.rejected.items() if reason == NO_FREE_SLOT]
            await self._defer(shard, run, str(found), now, regions=full, rejected=found.rejected)
        elif found.region in self._batches:
            await self._intend(shard, run, found, now)
        else:
            # The chosen region cannot be called now, so the shard is looked at again in the next pass. If
            # none of the regions that the run prefers takes work, the run lets others pass: for a second or
            # so, which is no news for its history.
            preferred = frozenset(found.scores.keys() - found.rejected.keys())
            if not self._any_takes_work(preferred):
                self._deferred.defer(shard.run, now, regions=preferred)

    async def _intend(self, shard: Shard, run: LoadedRun, found: Placement, now: Instant) -> None:
        """Writes the intent for the chosen region, if the shard still waits and fits into the next batch."""
        if run.stored.tenant in self._batches[found.region].closed:
            return
        tracked = await self._tracked(shard, run, now)
        if tracked.shard.phase is not Phase.PENDING or not tracked.leases_ended(
            now, self._failover.exclusive_wait_seconds
        ):
            return
        tracked.run = await at_stage(run, shard, self._store)
        region = self._ws.regions[found.region]
        await load_resumption(self._store, tracked, region)
        batch = self._batches[region.name]
        if not batch.add(create_size(tracked)):
            # An intent more could be sent only after this batch, and its fence would run meanwhile.
            if batch.full:
                del self._batches[region.name]
            return
        era, routing = self._store.era, self._ws.routing
        write_intent(tracked, region, found, era=era, routing=routing, now=now, settings=self._failover)
        if tracked.unfit:
            tracked.apply_event(now, Event.FAILED, reason=tracked.unfit)
            return
        self._views[region.name] = after_placement(self._views[region.name])
        self._shares.add(tracked, region.name)
        if self._may_be_poison(shard, now):
            self._on_trial.add(region.name)
            self._trials += 1
        if shard.run in self._spreads:
            self._spreads[shard.run][region.name] += 1

    def _choose_region(
        self, run: LoadedRun, stage: Stage, apart_from: Iterable[str]
    ) -> Placement | Unplaceable:
        spread = self._spread(run.stored.id) if run.workflow.spec.placement.spread else None
        used_up = self._shares.used_up(run.stored.tenant, self._views.values())
        return place(
            structs.replace(
                self._demand(run, stage), spread=spread, used_up=used_up, apart_from=frozenset(apart_from)
            ),
            list(self._views.values()),
            choose=self._rng.choice,
            settings=self._placing,
        )

    def _demand(self, run: LoadedRun, stage: Stage) -> Demand:
        """Returns what a shard of the run, with all its tasks, demands of a region; computed once a pass."""
        if (key := (run.stored.id, stage)) not in self._demands:
            self._demands[key] = run.demand(stage)
        return self._demands[key]

    def _spread(self, run_id: str) -> Counter[str]:
        """Returns the number of the run's placed shards by region, counted once a pass."""
        if run_id not in self._spreads:
            self._spreads[run_id] = self._ws.count_placed(run_id)
        return self._spreads[run_id]

    async def _tracked(self, shard: Shard, run: LoadedRun, now: Instant) -> TrackedShard:
        """Returns the shard in the working set; loads it if it is absent, or older than the store's."""
        tracked = self._ws.shards.get(shard.key)
        if tracked is None or tracked.stored_rev != shard.rev:
            tracked = await load_shard(self._store, shard, run, now, self._failover)
            self._ws.add(tracked)
        return tracked

    async def _reauthorized(self, run_id: str, now: Instant) -> tuple[LoadedRun, bool] | None:
        """Returns a run, and whether its policy decision is fresh; asks policy again if it is not.

        False if policy did not answer. Returns None if this pass may not ask policy any more.
        """
        if run_id not in self._runs:
            stored = self._read.get(run_id)
            run = await (
                load_run(self._ws, self._store, run_id) if stored is None else rendered(self._ws, stored)
            )
            self._runs[run_id] = (run, True)
            if now.wall - run.stored.decided_at >= self._failover.decision_fresh_seconds:
                self._runs[run_id] = await self._ask_again(run, now)
        return self._runs[run_id]

    async def _ask_again(self, run: LoadedRun, now: Instant) -> tuple[LoadedRun, bool] | None:
        if not self._pass_shares.may_ask(run.stored):
            return None
        fresh = await reauthorize(run, store=self._store, policy=self._policy, now=now)
        if fresh is None:
            return run, False
        withdraw_forbidden(self._ws, fresh, now)
        return fresh, True

    async def _defer(
        self,
        shard: Shard,
        run: LoadedRun,
        reason: str,
        now: Instant,
        *,
        regions: Iterable[str] = (),
        rejected: dict[str, str] | None = None,
    ) -> None:
        """Defers the shard's run, so that other runs are placed first, and records the reason."""
        # The whole run, since what keeps one of its shards keeps them all.
        self._deferred.defer(shard.run, now, regions=regions)
        await self._record_reason(shard, run, reason, now, rejected=rejected)

    async def _record_reason(
        self, shard: Shard, run: LoadedRun, reason: str, now: Instant, *, rejected: dict[str, str] | None
    ) -> None:
        """Writes the reason why a shard waits into the shard's history, if it is a new one."""
        # The history says so once for each reason: a million shards that wait must not write at every look.
        if shard.reason != reason:
            tracked = await self._tracked(shard, run, now)
            if tracked.shard.phase is Phase.PENDING:
                tracked.shard = structs.replace(tracked.shard, reason=reason)
                detail = UnplaceableDetail(reason=reason, rejected=rejected)
                tracked.add_history(now, HistoryKind.UNPLACEABLE, detail)
