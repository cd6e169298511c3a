"""The reconciliation controller: each pass processes reports, places shards, commits, then calls regions.

`reconcile_once` awaits the store and the policy, never a region: one that hangs delays no other. Only the
submission and the retry of a run write shards besides.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

from loguru import logger

from clusters.protocol import Batch
from gateway.core.errors import Unavailable
from gateway.core.instant import NEVER, Instant
from gateway.policy.interface import PolicyEngine
from gateway.reconciler.commit import commit_changes, evict_idle, report_commit
from gateway.reconciler.dispatch import load_resumptions, mark_sent, next_batch
from gateway.reconciler.inbox import InboxProcessor
from gateway.reconciler.links.interface import Link
from gateway.reconciler.loading import load_active, reload_conflicts
from gateway.reconciler.orphans import due_tombstones, mark_tombstones_sent
from gateway.reconciler.placing import Placer
from gateway.reconciler.region_assessment import apply_assessment, assess_regions, log_conditions
from gateway.reconciler.store_scan import SCAN_SECONDS, scan_store
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.restored_store import begin_era, end_restore
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.regions.blackout_guard import enough_answer
from gateway.regions.health import unknown_health
from gateway.regions.region_view import RegionView
from gateway.settings import FailoverSettings, HealthSettings, PlacingSettings
from gateway.steady_clock import steady_time, wall_clock_step
from gateway.store.interface import Store
from observability.metrics import Metrics
from observability.spans.exporter import SpanRecorder

PAUSE_SECONDS = 0.005
"""The shortest pause between two passes, so that reports collect and other tasks can run."""
PASS_SECONDS = 0.1
"""The longest pause between two passes."""
TICK_SECONDS = 1.0
"""The pause between two ticks, at which the regions' health changes by time alone."""
CLOCK_SECONDS = 2.0
"""The difference between the wall clock and the gateway's clock above which it is logged."""
RECOVERY_SECONDS = 0.5
"""The pause between two attempts to write to a store that failed."""


class Controller:
    """Reconciles the shards in memory with the store and the regions, in one pass after the other.

    `rng` makes every random choice, so that a test with a fixed seed repeats itself. `store_restored`: an
    operator says that the store is an older copy of itself.
    """

    def __init__(
        self,
        *,
        store: Store,
        policy: PolicyEngine,
        links: Sequence[Link],
        weights: Mapping[str, float],
        engines: Mapping[str, str],
        health: HealthSettings,
        failover: FailoverSettings,
        placing: PlacingSettings,
        metrics: Metrics,
        spans: SpanRecorder | None = None,
        rng: random.Random,
        store_restored: bool = False,
    ) -> None:
        self._store, self._metrics, self._spans = store, metrics, spans
        self._health, self._failover = health, failover
        self._ws = WorkingSet(
            regions={
                link.name: Region(
                    name=link.name,
                    link=link,
                    health=unknown_health(link.name),
                    weight=weights.get(link.name, 1.0),
                    engine=engines.get(link.name, ""),
                )
                for link in links
            }
        )
        self._placer = Placer(
            ws=self._ws, store=store, policy=policy, failover=failover, placing=placing, rng=rng
        )
        self._inbox = InboxProcessor(
            ws=self._ws,
            store=store,
            health=health,
            failover=failover,
            metrics=metrics,
            dice=rng.random,
            request_placement=self._placer.request,
        )
        self._inflight, self._logged_step = Counter[str](), wall_clock_step()
        self._ticked_at = self._scanned_at = self._recovery_tried_at = NEVER
        self._outage, self._cut_off = "", False
        self._enough_answer, self._store_restored = True, store_restored

    @property
    def cut_off(self) -> bool:
        """Returns whether the gateway takes itself to be cut off from its regions.

        While it is cut off, it moves no shard that may be running; it places new work where a region answers.
        """
        return self._cut_off

    @property
    def outage(self) -> str:
        """Returns why the store takes no writes, and so nothing is committed; empty where it takes them."""
        return self._outage

    def views(self, now: Instant) -> list[RegionView]:
        """Returns each region's condition, latency, load and taints at `now`, for placement and API.

        The attempts in flight in a region are as the last pass has counted them: a caller's request does not
        look at thousands of shards.
        """
        return [
            region.view(now, self._health, inflight=self._inflight[name])
            for name, region in self._ws.regions.items()
        ]

    def set_gauges(self, now: Instant) -> None:
        """Sets, at each scrape, the gauges of the regions, of being cut off and of the store's failure."""
        for view in self.views(now):
            self._metrics.observe_region(view.name, view)
            self._metrics.event_lag.labels(view.name).set(self._ws.regions[view.name].event_lag)
        self._metrics.cut_off.set(self._cut_off)
        self._metrics.failover_frozen.set(self._cut_off or not self._enough_answer)
        self._metrics.store_writable.set(not self._outage)

    async def run(self, wake: asyncio.Event) -> None:
        """Makes passes until cancelled: soon after `wake` is set, and every `PASS_SECONDS` in any case."""
        try:
            await self.start(Instant(time.monotonic(), steady_time()))
        except Unavailable as error:
            # The API is up by now: it says what is wrong, and this half goes on when the store is back.
            self._note_outage(error)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wake_on_commits(wake))
            while True:
                wake.clear()
                await self.reconcile_once(Instant(time.monotonic(), steady_time()))
                await asyncio.sleep(PAUSE_SECONDS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(PASS_SECONDS):
                        await wake.wait()

    async def _wake_on_commits(self, wake: asyncio.Event) -> None:
        with self._store.subscribe(None) as changed:
            while True:
                await changed.wait()
                changed.clear()
                self._placer.request()
                wake.set()

    def _log_wall_clock(self) -> None:
        step = wall_clock_step()
        if abs(step - self._logged_step) > CLOCK_SECONDS:
            logger.warning(
                "the wall clock was set by {:+.1f} s: deadlines go on as before,"
                " and times are shown as if it had not been, until the gateway is started again",
                step - self._logged_step,
            )
            self._logged_step = step

    async def start(self, now: Instant) -> None:
        """Loads the shards that are under way from the store; to be called before the first pass."""
        await load_active(self._ws, self._store, now, self._failover)
        self._store_restored = self._store_restored or await self._store.is_restored()
        if self._store_restored:
            await begin_era(self._ws, self._store, now, region="")

    async def reconcile_once(self, now: Instant) -> None:
        """Makes one pass: processes reports, updates regions, places shards, commits, then calls regions.

        If the store fails in it, the changes that were not committed are dropped when the store is back.
        """
        try:
            if self._outage and not await self._recover(now):
                return
            await self._inbox.process(now)
            self._update_regions(now)
            if now.monotonic - self._scanned_at >= SCAN_SECONDS:
                more = await scan_store(self._ws, self._store, now, self._failover)
                self._scanned_at = NEVER if more else now.monotonic
            await self._commit(now)
            if self._store_restored:
                self._store_restored = not await end_restore(self._ws, self._store, now, self._failover)
            if self._placer.is_due(now):
                # Only now: a conflict may have taken back what placing builds on. Also while cut off: what
                # waits runs nowhere else, and placing takes only regions that answer.
                self._inflight = self._ws.count_inflight()
                await self._placer.place_pending(now, self.views(now))
                await self._commit(now)
            await self._call_regions(now)
        except Unavailable as error:
            self._note_outage(error)
        self._inflight = self._ws.count_inflight()

    def _note_outage(self, error: Unavailable) -> None:
        if not self._outage:
            logger.error("the store does not answer or take writes: {}", error.__cause__ or error)
        self._outage = str(error.__cause__ or error)

    async def _recover(self, now: Instant) -> bool:
        """Checks whether the store that failed takes writes again; if so, loads everything and returns True.

        Returns False where it is too soon for another check, and raises `Unavailable` where the store still
        fails. Meanwhile the regions are probed, and work that must not run twice keeps its leases.
        """
        await self._inbox.process_without_store(now)
        await self._call_regions(now)
        if now.monotonic - self._recovery_tried_at < RECOVERY_SECONDS:
            return False
        self._recovery_tried_at = now.monotonic
        await self._store.check_writable()
        await self.start(now)
        self._outage = ""
        logger.info("the store takes writes again")
        return True

    def _update_regions(self, now: Instant) -> None:
        tick = now.monotonic - self._ticked_at >= TICK_SECONDS
        if tick:
            self._ticked_at = now.monotonic
            self._log_wall_clock()
        assessment = assess_regions(self._ws.regions.values(), now, self._health, tick=tick)
        self._log_cut_off(assessment.cut_off)
        self._cut_off = assessment.cut_off
        reachable = [health for health in assessment.counted if health.condition.reachable]
        self._enough_answer = enough_answer(len(reachable), len(assessment.counted))
        apply_assessment(self._ws, assessment, now, self._failover)
        log_conditions(self._ws.regions.values())

    def _log_cut_off(self, cut_off: bool) -> None:
        if cut_off and not self._cut_off:
            logger.error(
                "most regions are lost at once: this gateway takes itself to be cut off, and moves nothing;"
                " new work goes to regions that answer"
            )
        elif self._cut_off and not cut_off:
            logger.info("this gateway is no longer cut off")

    async def _commit(self, now: Instant) -> None:
        result = await commit_changes(self._ws, self._store)
        if not result.committed and not result.conflicts:
            return
        report_commit(result.committed, self._metrics, self._spans, now, routing=self._ws.routing)
        evict_idle(self._ws, result.committed)
        if result.conflicts:
            await reload_conflicts(self._ws, self._store, result.conflicts, now, self._failover)

    async def _call_regions(self, now: Instant) -> None:
        """Starts the due calls to regions: probes, lists of attempts, batches of creates and kills."""
        for region in self._ws.regions.values():
            if region.health.next_probe_at <= now.monotonic:
                region.link.probe()
            if not region.admitted:
                continue
            if not region.health.condition.reachable:
                self._end_orphans_early(region, now)
                continue
            if now.monotonic - region.compared_at >= self._failover.compare_seconds:
                region.compared_at = now.monotonic
                region.link.list_attempts()
            if region.link.can_send:
                await self._send_batch(region, now)

    def _end_orphans_early(self, region: Region, now: Instant) -> None:
        """Sends tombstones (orders to end orphans) to a region that begins to answer again.

        The region does not count as reachable yet. An orphan that makes it fall silent again and again would
        keep it from that for ever.
        """
        if region.health.successes and region.link.can_send:
            tombstones = due_tombstones(self._ws, region, now, self._failover)
            if tombstones:
                region.link.send(Batch(incarnation=region.incarnation, tombstones=tombstones))
                mark_tombstones_sent(self._ws, region, tombstones, now)

    async def _send_batch(self, region: Region, now: Instant) -> None:
        await load_resumptions(self._ws, self._store, region, now, self._failover)
        batch = next_batch(self._ws, region, now, self._failover)
        if batch is None:
            return
        region.link.send(batch)
        mark_sent(self._ws, region, batch, now)
        if batch.creates:
            self._metrics.dispatch_batch.observe(len(batch.creates))
