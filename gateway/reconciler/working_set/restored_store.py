"""Detects that the store was restored from an older copy, and begins a new generation (era) of epochs.

A cluster refuses its event stream as `Restored` if the gateway once acknowledged more events than the store
now holds. One such report is not enough for a new era, which ends all attempts in all regions: more regions
must report it than have opened their streams. Two kinds of reports do not count, since a running gateway
moves its store only forward: that of a cluster whose stream has opened before, and one after a new era has
begun, for which each cluster counts acknowledged events from 0. A region where nothing was acknowledged since
the copy was made cannot notice. So if only few regions report it, an operator has to confirm it: `waypost
gateway --restored`. A store that `waypost restore` has put back says so itself, by a mark.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, assert_never

from loguru import logger

from gateway.core.history import HistoryEntry, HistoryKind, RegionEventDetail
from gateway.core.instant import NEVER, Instant
from gateway.core.shard_states import Event
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.regions.region_condition import RegionCondition
from gateway.settings import FailoverSettings
from gateway.store.interface import Store

RESTORING_SECONDS: Final = 10.0
"""The time after the start of a new era in which reports of a restored store may be outdated."""
HEARING_SECONDS: Final = 10.0
"""The longest time for which a report of a restored store waits for other regions' reports."""


class Verdict(StrEnum):
    """Whether the store was restored from an older copy: undecided, restored, or refuted."""

    UNDECIDED = "Undecided"
    """Regions that may answer soon have not reported yet whether their streams open."""
    RESTORED = "Restored"
    REFUTED = "Refuted"


def verdict_of(ws: WorkingSet, now: Instant) -> Verdict:
    """Decides whether the store was restored from a copy: if more regions report it than opened streams.

    It is undecided, for at most `HEARING_SECONDS`, while regions that may answer have done neither.
    """
    counted = [region for region in ws.regions.values() if region.counted]
    say_so = [region for region in counted if region.says_restored and not region.stream_opened]
    if ws.era_began or not say_so:
        return Verdict.REFUTED
    opened = [region for region in counted if region.stream_opened]
    silent = len(counted) - len(say_so) - len(opened)
    lost = sum(
        region.health.condition is RegionCondition.UNREACHABLE
        for region in counted
        if region not in say_so and not region.stream_opened
    )
    since = min(region.restored_since for region in say_so)
    if silent > lost and now.monotonic - since < HEARING_SECONDS:
        return Verdict.UNDECIDED
    return Verdict.RESTORED if len(say_so) > len(opened) else Verdict.REFUTED


async def check_restored(ws: WorkingSet, store: Store, now: Instant) -> None:
    """Begins a new era (generation of epochs) if the regions' reports prove that the store was restored.

    If the reports are refuted instead, the regions that sent them count as failing, for a false report.
    """
    reporting = [region for region in ws.regions.values() if region.says_restored]
    if not reporting:
        return
    if now.monotonic - ws.era_began_at < RESTORING_SECONDS:
        for region in reporting:
            region.says_restored = False
        return
    for region in reporting:
        if region.restored_since == NEVER:
            region.restored_since = now.monotonic
            # It may be so: then attempts of which the store knows nothing may hold leases. Once for a region.
            ws.restored_at = now.monotonic
    match verdict_of(ws, now):
        case Verdict.UNDECIDED:
            pass
        case Verdict.RESTORED:
            names = [region.name for region in reporting]
            logger.error(
                "the store is behind what {} have acknowledged:"
                " it was restored from a copy, and begins a new era",
                ", ".join(names),
            )
            await begin_era(ws, store, now, region=names[0])
        case Verdict.REFUTED:
            _refute(ws, reporting, now)
        case other:
            assert_never(other)


def _refute(ws: WorkingSet, reporting: Sequence[Region], now: Instant) -> None:
    opened = sum(region.stream_opened for region in ws.regions.values() if region not in reporting)
    for region in reporting:
        why = (
            "after its own stream has opened, or a new era begun"
            if region.stream_opened or ws.era_began
            else f"which {opened} other regions do not say"
        )
        region.says_restored = False
        region.bad_answer = f"it says that the store was restored from a copy, {why}"
        region.bad_answer_at = now.monotonic


async def begin_era(ws: WorkingSet, store: Store, now: Instant, *, region: str) -> None:
    """Begins a new era (generation) of a store restored from a copy; ends all current attempts as lost.

    Attempts that the store shows as under way may be over, or followed by others that it does not know.
    `region` is the one whose report has shown it; empty where an operator or the store itself has said so.
    """
    detail = RegionEventDetail(region=region)
    await store.raise_era(
        entry=HistoryEntry(run="", kind=HistoryKind.STORE_RESTORED, at=now.wall, detail=detail)
    )
    ws.restored_at = ws.era_began_at = now.monotonic
    for each in ws.regions.values():
        each.says_restored = False
    lose_all_attempts(ws, now)


async def end_restore(ws: WorkingSet, store: Store, now: Instant, failover: FailoverSettings) -> bool:
    """Forgets that the store was restored, once no attempt that it does not know can hold a lease any more.

    To be called after a commit, which has recorded that all attempts are lost. Returns False where it is too
    early: a gateway that is started again until then begins one more era, and waits again.
    """
    if now.monotonic - ws.restored_at < failover.exclusive_wait_seconds:
        return False
    await store.end_restore()
    return True


def lose_all_attempts(ws: WorkingSet, now: Instant) -> None:
    """Ends every current attempt as lost, since the store was restored from a copy.

    Newer attempts that the store does not know may run, so none of those that it knows is trusted. No region
    and no document is to blame: the loss is not counted.
    """
    for tracked in [t for t in ws.shards.values() if t.shard.phase.placed]:
        tracked.apply_event(now, Event.LOST, reason="StoreRestored")
