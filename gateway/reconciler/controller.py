"""The controller: one pass looks at everything that came in, decides, commits, and only then speaks to the regions.

`reconcile_once` awaits the store and the policy, never a region: a region that hangs delays nobody. Nothing else writes a shard.
"""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from loguru import logger

from gateway.core.errors import Unavailable
from gateway.core.history import HistoryEntry, HistoryKind, RegionDetail
from gateway.core.instant import Instant
from gateway.core.shard_states import Phase, Shard
from gateway.policy.interface import PolicyEngine
from gateway.reconciler.commit import count, let_go, report
from gateway.reconciler.dispatch import batch, prepare
from gateway.reconciler.failover import abandon, cancel, expire, forget, give_up_unconfirmed, suspect, welcome
from gateway.reconciler.inbox import Receiver
from gateway.reconciler.links.removed_region import absent
from gateway.reconciler.loading import load_work, take_up
from gateway.reconciler.orphans import stop_cancelled
from gateway.reconciler.placing import Placer
from gateway.reconciler.working_set import NEVER, Link, Region, Tracked, Work, WorkingSet
from gateway.regions.blackout_guard import after_blackout_check, is_cut_off
from gateway.regions.health import unknown
from gateway.regions.health_over_time import after_tick
from gateway.regions.region_condition import RegionCondition, Taint
from gateway.regions.region_view import RegionView
from gateway.settings import Failover, HealthSettings, Placing
from gateway.store.interface import Cursor, Store
from observability.metrics import Metrics

PAUSE_SECONDS = 0.005
"""Lets what comes in together be decided together."""
TICK_SECONDS = 0.1
STORE_SECONDS = 0.5
"""Between two looks whether a store that failed is back."""
SCAN_LIMIT = 1000
"""Shards read at once for cancellation or deadline; the rest comes with the next pass."""


class Controller:
    """Owns the working set. `rng` gives the dice, so that a seeded run repeats itself."""

    def __init__(
        self,
        *,
        store: Store,
        policy: PolicyEngine,
        links: Sequence[Link],
        weights: Mapping[str, float],
        health: HealthSettings,
        failover: Failover,
        placing: Placing,
        metrics: Metrics,
        rng: random.Random,
    ) -> None:
        self._store, self._metrics, self._rng = store, metrics, rng
        self._health, self._failover = health, failover
        regions = {
            link.name: Region(
                name=link.name, link=link, health=unknown(link.name), weight=weights.get(link.name, 1.0)
            )
            for link in links
        }
        self._ws = WorkingSet(regions=regions)
        self._placer = Placer(
            ws=self._ws, store=store, policy=policy, failover=failover, placing=placing, rng=rng
        )
        self._receiver = Receiver(
            ws=self._ws,
            store=store,
            health=health,
            failover=failover,
            metrics=metrics,
            dice=rng.random,
            look=self._placer.look,
        )
        self._evaluated_at = self._scanned_at = self._tried_at = NEVER
        self._stuck = self._cut_off = False
        self._told: dict[str, RegionCondition] = dict.fromkeys(regions, RegionCondition.UNKNOWN)

    @property
    def cut_off(self) -> bool:
        """The gateway takes itself to be cut off: nothing is placed or moved."""
        return self._cut_off

    @property
    def stuck(self) -> bool:
        """The store does not take writes: nothing is decided."""
        return self._stuck

    async def start(self, now: Instant) -> None:
        """Takes up what the store says is under way: before the first pass, and after each outage of the store."""
        cursors = await self._store.cursors()
        working = await self._store.active()
        self._ws.shards.clear()
        self._add_absent(working, now)
        for region in self._ws.regions.values():
            region.cursor, region.cursor_dirty = cursors.get(region.name, Cursor()), False
            region.link.reopen(region.cursor)
        works: dict[str, Work] = {}
        for shard in working:
            await self._track(shard, now, works)

    def _add_absent(self, working: Sequence[Shard], now: Instant) -> None:
        """Regions that were taken out of the settings with work in them: it has to be moved, and ended where it was."""
        named = {shard.region for shard in working if shard.region is not None}
        named |= {orphan.region for shard in working for orphan in shard.orphans}
        for name in sorted(named - self._ws.regions.keys()):
            logger.warning(
                "region {}: not among the settings any more, but shards name it: they are moved", name
            )
            self._ws.regions[name] = absent(name, now)

    async def reconcile_once(self, now: Instant) -> None:
        """One pass. A store that fails in the middle of it is an outage: nothing of the pass happened that is not committed."""
        try:
            if self._stuck and not await self._recovered(now):
                return
            await self._receiver.take_reports(now)
            self._judge_regions(now)
            await self._scan(now)
            await self._commit(now)
            if not self._cut_off:
                await self._placer.place_pending(now, self.views(now))
                await self._commit(now)
            await self._speak(now)
        except Unavailable as error:
            if not self._stuck:
                logger.error("the store does not answer or take writes: {}", error.__cause__ or error)
            self._stuck = True
        self._count(now)

    async def _recovered(self, now: Instant) -> bool:
        """Does the store take writes again? Then all of it is taken up anew, as at a start. Until then leases and probes go on."""
        await self._receiver.keep_leases(now)
        await self._speak(now)
        if now.monotonic - self._tried_at < STORE_SECONDS:
            return False
        self._tried_at = now.monotonic
        await self._store.check_writable()
        await self.start(now)
        self._stuck = False
        logger.info("the store takes writes again")
        return True

    async def run(self, wake: asyncio.Event) -> None:
        """The loop: a pass when something came in, at least every `TICK_SECONDS`, with a pause between two for everybody else."""
        await self.start(_instant())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(wake))
            while True:
                wake.clear()
                await self.reconcile_once(_instant())
                await asyncio.sleep(PAUSE_SECONDS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK_SECONDS):
                        await wake.wait()

    async def _listen(self, wake: asyncio.Event) -> None:
        with self._store.subscribe(None) as changed:
            while True:
                await changed.wait()
                changed.clear()
                self._placer.look()
                wake.set()

    def views(self, now: Instant) -> list[RegionView]:
        """Every region as placement sees it."""
        self._ws.count_inflight()
        return [region.view(now, self._health) for region in self._ws.regions.values()]

    # What time has done

    def _judge_regions(self, now: Instant) -> None:
        due = now.monotonic - self._evaluated_at >= 1.0
        if due:
            self._evaluated_at = now.monotonic
        for region in self._ws.regions.values():
            if due:
                region.health = after_tick(region.health, now.monotonic, self._health)
            if region.health.condition is RegionCondition.UNREACHABLE:
                suspect(self._ws, region, now)
            elif region.health.condition.reachable and region.admitted:
                welcome(self._ws, region, now, self._failover)
        counted = [
            region
            for region in self._ws.regions.values()
            if Taint.FORGOTTEN not in region.taints and not region.absent
        ]
        healths = after_blackout_check([region.health for region in counted], self._health)
        for region, health in zip(counted, healths, strict=True):
            region.health = health
        self._tell_of_cut(is_cut_off(healths, now.monotonic, self._health))
        if not self._cut_off:
            abandon(self._ws, healths, now, self._failover)
        give_up_unconfirmed(self._ws, now, self._failover)
        self._tell_of_regions()
        lost = frozenset(
            region.name for region in self._ws.regions.values() if not region.health.condition.reachable
        )
        stop_cancelled(self._ws, lost, now, self._failover)

    def _tell_of_cut(self, cut: bool) -> None:
        if cut and not self._cut_off:
            logger.error(
                "most regions are lost at once: this gateway takes itself to be cut off, moves nothing and queues what comes"
            )
        elif self._cut_off and not cut:
            logger.info("this gateway is no longer cut off")
        self._cut_off = cut

    def _tell_of_regions(self) -> None:
        """One line for each change: what whoever is woken looks for first."""
        for name, region in self._ws.regions.items():
            condition = region.health.condition
            if self._told.get(name) is not condition:
                self._told[name] = condition
                level = "INFO" if condition.ready and condition is not RegionCondition.DEGRADED else "WARNING"
                logger.log(
                    level,
                    "region {} is {}{}",
                    name,
                    condition,
                    f": {region.health.reason}" if region.health.reason else "",
                )

    async def _scan(self, now: Instant) -> None:
        """What people have committed, and runs past their deadline. Twice a second: all of it comes from the store."""
        if now.monotonic - self._scanned_at < 0.5:
            return
        self._scanned_at = now.monotonic
        await self._obey(now)
        works: dict[str, Work] = {}
        for shard in await self._store.to_cancel(limit=SCAN_LIMIT):
            tracked = await self._track(shard, now, works)
            if not tracked.shard.phase.terminal and tracked.shard.phase is not Phase.CANCELLING:
                cancel(tracked, now)
        for shard in await self._store.overdue(now=now.wall, limit=SCAN_LIMIT):
            tracked = await self._track(shard, now, works)
            if not tracked.shard.phase.terminal:
                expire(tracked, now)

    async def _obey(self, now: Instant) -> None:
        """What operators have said of regions. One that answers again is forgotten no more."""
        taints = await self._store.taints()
        for region in self._ws.regions.values():
            region.taints = taints.get(region.name, frozenset())
            if Taint.FORGOTTEN in region.taints and not region.health.condition.reachable:
                forget(self._ws, region, now, self._failover)
            elif Taint.FORGOTTEN in region.taints:
                note = HistoryEntry(
                    run="",
                    kind=HistoryKind.REGION_RETURNED,
                    at=now.wall,
                    detail=RegionDetail(region=region.name),
                )
                await self._store.remove_taint(region.name, Taint.FORGOTTEN, entry=note)

    async def _track(self, shard: Shard, now: Instant, works: dict[str, Work]) -> Tracked:
        """The shard in the working set: as it is there, if that is not older than what was read. `works`: runs read just now."""
        tracked = self._ws.shards.get(shard.key)
        if tracked is None or (tracked.stored_rev < shard.rev and not tracked.dirty):
            if shard.run not in works:
                works[shard.run] = await load_work(self._store, shard.run)
            tracked = await take_up(self._store, shard, works[shard.run], now, self._failover)
            self._ws.add(tracked)
        return tracked

    # What is to be kept, and said

    async def _commit(self, now: Instant) -> None:
        committed, conflicts = await report(self._ws, self._store)
        for tracked, history in committed:
            since_lost = None if tracked.lost_at is None else now.monotonic - tracked.lost_at
            count(history, self._metrics, since_lost=since_lost)
            if tracked.shard.phase is Phase.RUNNING:
                tracked.lost_at = None
        let_go(self._ws, committed)
        if conflicts:
            await self._read_conflicts(conflicts, now)

    async def _read_conflicts(self, conflicts: Sequence[tuple[str, int]], now: Instant) -> None:
        """Somebody else moved these: take them as they are now, and hear again what was not committed."""
        works: dict[str, Work] = {}
        for run, index in conflicts:
            shard = await self._store.shard(run, index)
            if shard is not None and (shard.phase.placed or shard.orphans or shard.phase is Phase.CANCELLING):
                await self._track(shard, now, works)
        cursors = await self._store.cursors()
        for region in self._ws.regions.values():
            if region.cursor_dirty:
                region.cursor, region.cursor_dirty = (
                    cursors.get(region.name, Cursor(incarnation=region.incarnation)),
                    False,
                )
                region.compared_at = NEVER  # what a list had decided may be lost with the write
                region.link.reopen(region.cursor)

    async def _speak(self, now: Instant) -> None:
        for region in self._ws.regions.values():
            if region.health.next_probe_at <= now.monotonic:
                region.link.probe()
            if not region.health.condition.reachable or not region.admitted:
                continue
            if now.monotonic - region.compared_at >= self._failover.compare_seconds:
                region.compared_at = now.monotonic
                region.link.compare()
            if region.link.idle:
                await prepare(self._ws, self._store, region, now, self._failover)
                message = batch(self._ws, region, now, self._failover)
                if message is not None:
                    region.link.send(message)
                    if message.creates:
                        self._metrics.dispatch_batch.observe(len(message.creates))

    def _count(self, now: Instant) -> None:
        for view in self.views(now):
            self._metrics.observe_region(view.name, view)
        self._metrics.cut_off.set(self._cut_off)


def _instant() -> Instant:
    return Instant(time.monotonic(), time.time())
