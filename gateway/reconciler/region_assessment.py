"""Assesses the regions once a pass: which are lost or back, and whether the gateway itself is cut off.

`assess_regions` decides and changes nothing; `apply_assessment` moves the shards by what was decided.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from loguru import logger

from gateway.core.instant import Instant
from gateway.reconciler.failover import fail_over, give_up_unconfirmed, reclaim_suspects, suspect_shards
from gateway.reconciler.orphans import stop_cancelled
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.region_losses import acquit_outlived
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.regions.blackout_guard import after_blackout_check, is_cut_off
from gateway.regions.ejection_limit import within_ejection_limit
from gateway.regions.health import RegionHealth, condition_with_journal
from gateway.regions.health_over_time import after_tick
from gateway.regions.region_condition import RegionCondition
from gateway.settings import FailoverSettings, HealthSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionAssessment:
    """The result of `assess_regions`: which regions are lost or back, and each region's new health."""

    healths: Mapping[str, RegionHealth]
    """The next health of every region, by region name."""
    counted: tuple[RegionHealth, ...]
    """The healths of the regions that the blackout guard counts."""
    cut_off: bool
    """Whether the gateway considers itself, and not its regions, to be cut off."""
    lost: frozenset[str]
    """The names of regions that are Unreachable: their shards become Suspect (T5)."""
    back: frozenset[str]
    """The names of regions that answer with their own journal: their Suspect shards are sent again (T6)."""


def assess_regions(
    regions: Iterable[Region], now: Instant, settings: HealthSettings, *, tick: bool
) -> RegionAssessment:
    """Decides which regions are lost or back at `now`, and the new health of each; changes nothing.

    `tick`, True once a second, also ends ejections and slow starts that are over and evaluates latency.
    """
    regions = list(regions)
    healths = {
        region.name: after_tick(region.health, now.monotonic, settings) if tick else region.health
        for region in regions
    }
    counted = after_blackout_check([healths[region.name] for region in regions if region.counted], settings)
    healths |= {health.name: health for health in counted}
    closed = {region.name for region in regions if region.cordoned}
    open_healths = [health for health in counted if health.name not in closed]
    limited = within_ejection_limit(open_healths, now.monotonic, settings)
    healths |= {health.name: health for health in limited}
    counted = tuple(healths[health.name] for health in counted)
    reachable = {name for name, health in healths.items() if health.condition.reachable}
    return RegionAssessment(
        healths=healths,
        counted=counted,
        cut_off=is_cut_off(counted, now.monotonic, settings),
        lost=frozenset(
            name for name, health in healths.items() if health.condition is RegionCondition.UNREACHABLE
        ),
        back=frozenset(region.name for region in regions if region.name in reachable and region.admitted),
    )


def apply_assessment(
    ws: WorkingSet, assessment: RegionAssessment, now: Instant, settings: FailoverSettings
) -> None:
    """Gives the regions their new healths, and applies what follows for their shards.

    Shards in lost regions become Suspect, and move elsewhere once they have waited long enough. The Suspect
    attempts in regions that are back are sent again. Attempts that no cluster has confirmed before their
    fence are withdrawn. Cancelling shards end as Cancelled if only lost regions have orphans of theirs.
    """
    for region in ws.regions.values():
        region.health = assessment.healths[region.name]
        if region.name in assessment.lost:
            suspect_shards(ws, region, now, settings)
        elif region.name in assessment.back:
            reclaim_suspects(ws, region, now, settings)
    acquit_outlived(ws)
    fail_over(ws, assessment.counted, now, settings, cut_off=assessment.cut_off)
    give_up_unconfirmed(ws, now, settings)
    stop_cancelled(ws, assessment.lost, now, settings)


def log_conditions(regions: Iterable[Region]) -> None:
    """Logs each region whose condition, or its cause, has changed since it was last logged."""
    for region in regions:
        condition, reason = condition_with_journal(
            region.health, admitted=region.admitted, unknown_journal=region.unknown_journal
        )
        # Of "3 probes failed: Timeout" only what follows the count.
        cause = reason.rpartition("probes failed: ")[2]
        lost = condition is RegionCondition.UNREACHABLE
        if condition is not region.logged_condition or (lost and cause != region.logged_cause):
            region.logged_condition, region.logged_cause = condition, cause
            well = condition.ready and condition is not RegionCondition.DEGRADED
            logger.bind(region=region.name).log(
                "INFO" if well else "WARNING",
                "region {} is {}{}",
                region.name,
                condition,
                f": {reason}" if reason else "",
            )
