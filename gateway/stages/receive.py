"""Take in what the regions' inboxes hold: the health of the roads, events and answers, and what each cluster says that it holds."""

from collections.abc import Callable

from loguru import logger

from clusters.spec import AttemptEnded, AttemptId, Beat, Hello, LeaseAsked, Renewal, TaskChanged
from gateway.core.instant import Instant
from gateway.core.phase import Phase
from gateway.core.reports import Applied, Compared, Heard, Report
from gateway.settings import Failover, Health
from gateway.stages.dispatch import answered, grantable
from gateway.stages.probe import observe
from gateway.stages.watch import Reception, attempt_ended, compare, confirm, forgotten, task_changed
from gateway.stages.working_set import NEVER, Region, WorkingSet
from gateway.store.interface import Cursor, Store
from observability.metrics import Metrics

BIND_SECONDS = 1.0
"""Between two looks whether an operator has let a region's old journal go."""


class Receiver:
    """`look` is called when something may have changed for shards that wait; `dice` gives 0..1."""

    def __init__(
        self,
        *,
        ws: WorkingSet,
        store: Store,
        health: Health,
        failover: Failover,
        metrics: Metrics,
        dice: Callable[[], float],
        look: Callable[[], None],
    ) -> None:
        self._ws, self._store, self._metrics = ws, store, metrics
        self._health, self._failover = health, failover
        self._dice, self._look = dice, look

    async def take_reports(self, now: Instant) -> None:
        """Drains every inbox: first what the reports tell of the roads, then what they tell of attempts."""
        for region in self._ws.regions.values():
            reports = region.link.drain()
            for item in reports:
                observe(region, item, rules=self._health, dice=self._dice)
            await self._admit(region, now)
            if region.admitted:
                for item in reports:
                    await self._take(region, item, now)

    async def _admit(self, region: Region, now: Instant) -> None:
        """Binds the region's name to the first journal that answers under it; another one waits until an operator lets the old one go."""
        found = region.stranger or (region.status.incarnation if region.status is not None else "")
        if not found or (region.incarnation and not region.stranger) or now.monotonic - region.bound_at < BIND_SECONDS:
            return
        region.bound_at = now.monotonic
        bound = await self._store.admit_incarnation(region.name, found)
        if bound == found:
            if region.incarnation or region.cursor.incarnation != bound:
                region.cursor = Cursor(incarnation=bound)
            if region.incarnation:
                region.link.reopen(region.cursor)
            region.stranger = ""
        elif not region.incarnation:
            region.status, region.stranger = None, found
            logger.error("region {}: another journal answers under this name; it takes no work until it is admitted", region.name)
        region.incarnation = bound

    async def _take(self, region: Region, item: Report, now: Instant) -> None:
        match item:
            case Heard():
                await self._hear(region, item, now)
            case Applied() if item.answers is not None:
                answered(self._ws, region, item.answers, now, self._failover)
                self._look()
            case Compared():
                await self._compare(region, item.hello, item.began, now)
            case _:
                pass

    async def _hear(self, region: Region, heard: Heard, now: Instant) -> None:
        match heard.event:
            case TaskChanged() | AttemptEnded() as event:
                if event.seq <= region.cursor.seq:
                    return
                region.cursor, region.cursor_dirty = Cursor(incarnation=region.incarnation, seq=event.seq), True
                if isinstance(event, TaskChanged):
                    reception = task_changed(self._ws, region, event, now)
                else:
                    reception = attempt_ended(self._ws, region, event, now, self._failover)
                    self._look()
                if reception is Reception.STALE:
                    self._metrics.stale_reports.labels(region.name).inc()
            case LeaseAsked() as event:
                await self._grant(region, event, now)
            case Hello() as hello:
                await self._compare(region, hello, heard.began, now)
            case Beat():
                pass

    async def _grant(self, region: Region, asked: LeaseAsked, now: Instant) -> None:
        """A run-lease, on a fresh read: the working set may be behind another gateway's write."""
        tracked = self._ws.current(region.name, asked.attempt)
        if tracked is None or not grantable(tracked, asked.attempt):
            return
        stored = next((s for s in await self._store.shards(asked.attempt.run) if s.index == asked.attempt.shard), None)
        if stored is None or stored.region != region.name or stored.attempt != asked.attempt or stored.phase is Phase.SUSPECT:
            return
        confirm(tracked, now)
        region.renewals[asked.attempt] = Renewal(attempt=asked.attempt, ask=asked.ask)

    async def _compare(self, region: Region, hello: Hello, began: float, now: Instant) -> None:
        if hello.status.incarnation != region.incarnation:
            return
        region.compared_at = now.monotonic
        unaccounted = compare(self._ws, region, hello, began=began, now=now, settings=self._failover)
        forgotten([attempt for attempt, _ in hello.attempts], region)
        for attempt in unaccounted:
            if attempt not in region.strays and not await self._is_current(region, attempt):
                region.strays[attempt] = NEVER
                logger.warning("region {}: attempt {} is nobody's and is ended", region.name, attempt)

    async def _is_current(self, region: Region, attempt: AttemptId) -> bool:
        for shard in await self._store.shards(attempt.run):
            if shard.index == attempt.shard and shard.attempt == attempt and shard.region == region.name and shard.phase.placed:
                return True
        return False
