"""Take in what the regions' inboxes hold: the health of the roads, events and answers, and what each cluster says that it holds."""

from collections.abc import Callable

from loguru import logger

from clusters.protocol import AttemptEnded, AttemptId, Beat, Hello, LeaseAsked, Renewal, TaskChanged
from gateway.core.history import HistoryEntry, HistoryKind, RegionDetail
from gateway.core.instant import Instant
from gateway.core.shard_states import Phase
from gateway.reconciler.attempt_events import (
    Reception,
    attempt_ended,
    compare,
    confirm,
    forgotten,
    task_changed,
)
from gateway.reconciler.dispatch import answered, grantable
from gateway.reconciler.failover import disown
from gateway.reconciler.health_updates import update_health
from gateway.reconciler.links.reports import Applied, Compared, Heard, Report, StreamEnded
from gateway.reconciler.working_set import NEVER, Region, WorkingSet
from gateway.settings import Failover, HealthSettings
from gateway.store.interface import Cursor, Store
from observability.metrics import Metrics

RESTORING_SECONDS = 10.0
"""So long after a new era began, what is said of the old one is old news."""
BIND_SECONDS = 1.0
"""Between two looks whether an operator has let a region's old journal go."""


class Receiver:
    """`look` is called when something may have changed for shards that wait; `dice` gives 0..1."""

    def __init__(
        self,
        *,
        ws: WorkingSet,
        store: Store,
        health: HealthSettings,
        failover: Failover,
        metrics: Metrics,
        dice: Callable[[], float],
        look: Callable[[], None],
    ) -> None:
        self._ws, self._store, self._metrics = ws, store, metrics
        self._health, self._failover = health, failover
        self._dice, self._look = dice, look

    async def take_reports(self, now: Instant) -> None:
        """Drains every inbox: first what the reports tell of the roads, then what they tell of attempts. Raises `Unavailable`."""
        for region in self._ws.regions.values():
            reports = self._observed(region)
            await self._admit(region, now)
            if any(isinstance(item, StreamEnded) and item.reason == "Restored" for item in reports):
                await self._restore(region, now)
            if region.admitted:
                for item in reports:
                    await self._take(region, item, now)

    async def keep_leases(self, now: Instant) -> None:
        """While the store takes no writes: roads are watched, and work that must not run twice goes on. What else comes is heard again."""
        for region in self._ws.regions.values():
            for item in self._observed(region):
                if isinstance(item, Heard) and isinstance(item.event, LeaseAsked) and region.admitted:
                    await self._grant(region, item.event, now)

    def _observed(self, region: Region) -> list[Report]:
        reports = region.link.drain()
        for item in reports:
            update_health(region, item, settings=self._health, dice=self._dice)
        return reports

    async def _restore(self, region: Region, now: Instant) -> None:
        """A cluster was told that more is committed than the store has: it is an older copy of itself, and begins a new era.

        Whatever is under way by its rows may long be over, or have been followed by attempts that nobody here knows.
        """
        if now.monotonic - self._ws.restored_at < RESTORING_SECONDS:
            return  # the other regions say so too
        logger.error(
            "region {}: the store is behind what it has acknowledged: it was restored from a copy, and begins a new era",
            region.name,
        )
        await self._store.raise_era(
            entry=HistoryEntry(
                run="",
                kind=HistoryKind.STORE_RESTORED,
                at=now.wall,
                detail=RegionDetail(region=region.name),
            )
        )
        self._ws.restored_at = now.monotonic
        disown(self._ws, now)

    async def _admit(self, region: Region, now: Instant) -> None:
        """Binds the region's name to the first journal that answers under it; another one waits until an operator lets the old one go."""
        found = region.stranger or (region.status.incarnation if region.status is not None else "")
        if (
            not found
            or (region.incarnation and not region.stranger)
            or now.monotonic - region.bound_at < BIND_SECONDS
        ):
            return
        region.bound_at = now.monotonic
        bound = await self._store.bind_incarnation(region.name, found)
        if bound == found:
            if region.incarnation or region.cursor.incarnation != bound:
                region.cursor = Cursor(incarnation=bound)
            if region.incarnation:
                region.link.reopen(region.cursor)
            region.stranger = ""
        elif not region.incarnation:
            region.status, region.stranger = None, found
            logger.error(
                "region {}: another journal answers under this name; it takes no work until it is admitted",
                region.name,
            )
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
                region.cursor, region.cursor_dirty = (
                    Cursor(incarnation=region.incarnation, seq=event.seq),
                    True,
                )
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
        stored = await self._store.shard(asked.attempt.run, asked.attempt.shard)
        if (
            stored is None
            or stored.region != region.name
            or stored.attempt != asked.attempt
            or stored.phase is Phase.SUSPECT
        ):
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
            if attempt not in region.strays and not await self._is_accounted(region, attempt):
                region.strays[attempt] = NEVER
                logger.warning("region {}: ends {}, which no shard lists", region.name, attempt)

    async def _is_accounted(self, region: Region, attempt: AttemptId) -> bool:
        """It is its shard's own, or was its last one, whose end is taken in and only not yet acknowledged."""
        shard = await self._store.shard(attempt.run, attempt.shard)
        if shard is None or shard.attempt != attempt:
            return False
        return shard.phase.terminal or (shard.region == region.name and shard.phase.placed)
