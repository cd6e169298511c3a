"""Processes the reports in the regions' inboxes: health, journals, events, answers, leases, listings."""

import asyncio
from collections.abc import Callable
from typing import assert_never

from loguru import logger
from msgspec import structs

from clusters.protocol import AttemptEnded, AttemptId, Beat, Hello, LeaseAsked, Renewal, TaskChanged
from gateway.core.instant import NEVER, Instant
from gateway.core.shard_states import Phase, key_of
from gateway.reconciler.attempt_events import (
    Reception,
    apply_attempt_end,
    apply_task_change,
    compare_attempts,
    confirm_attempt,
)
from gateway.reconciler.dispatch import apply_answers, may_hold_lease
from gateway.reconciler.health_updates import update_health
from gateway.reconciler.links.reports import (
    AttemptListing,
    BadAnswer,
    BatchResult,
    ProbeResult,
    Report,
    StreamEnded,
    StreamEvent,
)
from gateway.reconciler.orphans import drop_ended_unknowns, unlisted_attempts
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.restored_store import check_restored
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.regions.health import unknown_health
from gateway.settings import FailoverSettings, HealthSettings
from gateway.store.interface import Cursor, Store
from observability.metrics import Metrics

LOOKED_UP = 1_000
"""The maximum number of attempts of one listing that are looked up in the store."""
READS_AT_ONCE = 50
"""The number of these look-ups after which other tasks get a turn."""
UNKNOWN_MAXIMUM = 2_000
"""The maximum number of unknown attempts of one region that are being ended at once."""
BINDING_SECONDS = 1.0
"""The pause between two checks whether an operator has released a region's old journal."""


class InboxProcessor:
    """Takes the reports from the inboxes of all regions, and applies them to shards and regions in memory.

    `request_placement` is called after a batch's answers and an attempt's end: waiting shards may find a
    place then. `dice` gives a random number in 0..1, for jitter.
    """

    def __init__(
        self,
        *,
        ws: WorkingSet,
        store: Store,
        health: HealthSettings,
        failover: FailoverSettings,
        metrics: Metrics,
        dice: Callable[[], float],
        request_placement: Callable[[], None],
    ) -> None:
        self._ws, self._store, self._metrics = ws, store, metrics
        self._health, self._failover = health, failover
        self._dice, self._request_placement = dice, request_placement

    async def process(self, now: Instant) -> None:
        """Applies all reports, region by region: first to the region's health, then to its shards.

        Raises `Unavailable` where the store cannot answer.
        """
        for region in self._ws.regions.values():
            reports = self._drain(region)
            await self._bind_journal(region, now)
            # A journal that is not admitted knows nothing of the region's attempts.
            if region.admitted:
                for report in reports:
                    await self._apply(region, report, now)
        await check_restored(self._ws, self._store, now)

    async def process_without_store(self, now: Instant) -> None:
        """Applies the reports that need no store (health, run-leases), while the store takes no writes.

        Work that must not run twice goes on by its leases. All other events come again once the streams are
        opened from the committed cursors.
        """
        for region in self._ws.regions.values():
            for report in self._drain(region):
                if (
                    isinstance(report, StreamEvent)
                    and isinstance(report.event, LeaseAsked)
                    and region.admitted
                ):
                    await self._renew_lease(region, report.event, now)

    def _drain(self, region: Region) -> list[Report]:
        reports = region.link.drain()
        for report in reports:
            update_health(region, report, settings=self._health, dice=self._dice)
        return reports

    async def _bind_journal(self, region: Region, now: Instant) -> None:
        """Binds the region's name to the cluster journal that first answers under it.

        Another journal waits until an operator releases the bound one.
        """
        found = region.unknown_journal or ("" if region.status is None else region.status.incarnation)
        if not found or (region.incarnation and not region.unknown_journal):
            return
        if now.monotonic - region.binding_checked_at < BINDING_SECONDS:
            return
        region.binding_checked_at = now.monotonic
        bound = await self._store.bind_incarnation(region.name, found)
        if bound == found:
            if region.incarnation or region.cursor.incarnation != bound:
                region.cursor, region.acknowledged = Cursor(incarnation=bound), 0
            if region.incarnation:
                # The stream that is open continues from the old journal's cursor.
                region.reopen_stream(now)
                # It was this journal whose answers counted as failures: nothing is known of its health yet.
                region.health = structs.replace(
                    unknown_health(region.name), since=now.monotonic, reason="its new journal was admitted"
                )
            region.unknown_journal = ""
        elif not region.incarnation:
            # The first answer since our start came from another journal: its status is not the region's.
            region.status, region.unknown_journal = None, found
            logger.bind(region=region.name).error(
                "region {}: another journal answers under this name; it takes no work until it is admitted",
                region.name,
            )
        elif bound != region.incarnation:
            # Another gateway has admitted a third journal: the cursor and the open stream are the old one's.
            region.cursor, region.acknowledged = Cursor(incarnation=bound), 0
            region.reopen_stream(now)
        region.incarnation = bound

    async def _apply(self, region: Region, report: Report, now: Instant) -> None:
        match report:
            case StreamEvent():
                await self._apply_event(region, report, now)
            case BatchResult():
                # Without answers nothing is known of the batch: it is sent again.
                if report.answers is not None:
                    apply_answers(self._ws, region, report.answers, now, self._failover)
                    self._request_placement()
            case AttemptListing():
                await self._compare(region, report.hello, report.began, now)
            case ProbeResult() | StreamEnded() | BadAnswer():
                pass
            case _:
                assert_never(report)

    async def _apply_event(self, region: Region, report: StreamEvent, now: Instant) -> None:
        match report.event:
            case TaskChanged() | AttemptEnded() as event:
                self._apply_journalled(region, event, now)
            case LeaseAsked() as event:
                await self._renew_lease(region, event, now)
            case Hello() as hello:
                await self._compare(region, hello, report.began, now)
            case Beat():
                region.beat_at = report.at
            case _:
                assert_never(report.event)

    def _apply_journalled(self, region: Region, event: TaskChanged | AttemptEnded, now: Instant) -> None:
        # A stream that is opened again repeats what was not acknowledged.
        if event.seq <= region.cursor.seq:
            return
        region.cursor = Cursor(incarnation=region.incarnation, seq=event.seq)
        region.cursor_dirty = True
        if isinstance(event, TaskChanged):
            reception = apply_task_change(self._ws, region, event, now, self._failover)
        else:
            reception = apply_attempt_end(self._ws, region, event, now, self._failover)
            self._request_placement()
        if reception is Reception.STALE:
            self._metrics.stale_reports.labels(region.name).inc()

    async def _renew_lease(self, region: Region, asked: LeaseAsked, now: Instant) -> None:
        """Renews, with the next batch, the run-lease of an attempt that is current and not Suspect.

        Both the working set and the store must say so; otherwise the request is refused.
        """
        tracked = self._ws.find_current(region.name, asked.attempt)
        if tracked is None or not may_hold_lease(tracked, asked.attempt):
            self._metrics.lease_renewals.labels(region.name, "Refused").inc()
            return
        # Read again, since the working set may be behind a write of another gateway: two attempts that hold a
        # lease at once would run twice.
        stored = await self._store.shard(*key_of(asked.attempt))
        if (
            stored is None
            or stored.region != region.name
            or stored.attempt != asked.attempt
            or stored.phase is Phase.SUSPECT
        ):
            self._metrics.lease_renewals.labels(region.name, "Refused").inc()
            return
        # Only an attempt that runs asks for a lease.
        confirm_attempt(tracked, now)
        region.renewals[asked.attempt] = Renewal(attempt=asked.attempt, ask=asked.ask)
        self._metrics.lease_renewals.labels(region.name, "Renewed").inc()

    async def _compare(self, region: Region, hello: Hello, began: float, now: Instant) -> None:
        """Compares the list of a cluster's attempts with the shards; marks unknown attempts to be ended.

        `hello` is the list, and was asked for at `began`, in monotonic seconds.
        """
        if hello.status.incarnation != region.incarnation:
            return
        region.compared_at = now.monotonic
        compare_attempts(self._ws, region, hello, began=began, now=now, settings=self._failover)
        unlisted = unlisted_attempts(self._ws, region, hello)
        drop_ended_unknowns(region, {attempt for attempt, _ in hello.attempts})
        unknown = [attempt for attempt in unlisted if attempt not in region.unknown_attempts]
        # The others are looked up at the next listings: one region's list must not hold up all regions, nor
        # must its unknown attempts, which each pass goes through, when it never confirms the end of any.
        room = min(LOOKED_UP, UNKNOWN_MAXIMUM - len(region.unknown_attempts))
        found = list[AttemptId]()
        for number, attempt in enumerate(unknown[: max(0, room)], start=1):
            if not await self._is_stored(region, attempt):
                found.append(attempt)
            if number % READS_AT_ONCE == 0:
                await asyncio.sleep(0)
        region.unknown_attempts |= dict.fromkeys(found, NEVER)
        if found:
            logger.bind(region=region.name).warning(
                "region {}: ends {} attempts that no shard lists, the first is {}",
                region.name,
                len(found),
                found[0],
            )

    async def _is_stored(self, region: Region, attempt: AttemptId) -> bool:
        """Returns whether the store has the attempt as its shard's current one, or a finished shard's last.

        In the second case the cluster still lists the attempt, since its end is not acknowledged yet.
        """
        shard = await self._store.shard(*key_of(attempt))
        if shard is None or shard.attempt != attempt:
            return False
        return shard.phase.terminal or (shard.region == region.name and shard.phase.placed)
