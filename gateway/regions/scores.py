"""Which of the regions that fit is better: the score, and the preferences that come before any score."""

from typing import TypeAlias

from gateway.regions.region_condition import RegionCondition
from gateway.regions.region_view import Demand, RegionView

Tier: TypeAlias = tuple[bool, bool, float]


def score(region: RegionView, *, floor_seconds: float) -> float:
    """Expected seconds until served, lower is better: peak EWMA times the work ahead over the region's share (Finagle's `PeakEwma`).

    The work ahead is the attempts there, and once more the tasks that wait for a processor: an attempt that only waits counts double.
    `floor_seconds`: round trips below it count as equal, so that between neighbours load decides, not noise.
    """
    return (
        max(region.peak_ewma_seconds, floor_seconds) * (region.inflight + region.queued + 1) / region.weight
    )


def tier(demand: Demand, region: RegionView) -> Tier:
    """What outranks every score, lower is better: avoided only if nothing else is left, slow only if nothing faster is, then spreading.

    Spreading counts shards against the region's share: one that has just come back is not filled up to the others at once.
    """
    shards = 0.0 if demand.spread is None else (demand.spread.get(region.name, 0) + 1) / region.weight
    return (region.name in demand.avoid, region.condition is RegionCondition.DEGRADED, shards)


def outranked(demand: Demand, region: RegionView, best: Tier) -> str | None:
    """Why `region`, which fits, is passed over for those in tier `best`; None where it is one of them."""
    avoided, degraded, shards = tier(demand, region)
    if avoided > best[0]:
        return "avoided, and another region fits"
    if (avoided, degraded) > best[:2]:
        return "degraded, and another region fits"
    return "holds more shards of this run" if (avoided, degraded, shards) > best else None
