"""Ranks the regions that can take an attempt: first by preferences (tiers), then by score."""

from typing import TypeAlias

from gateway.regions.placement_demand import Demand
from gateway.regions.region_condition import RegionCondition
from gateway.regions.region_view import RegionView

Tier: TypeAlias = tuple[bool, bool, float]
"""A region's rank by preferences: (avoided, Degraded, shards of the run for its share); lower is better."""


def score(region: RegionView, *, floor_seconds: float) -> float:
    """Returns the score of a region: the expected seconds until an attempt is served; lower is better.

    Peak EWMA times the work ahead, as in Finagle's `PeakEwma` balancer, over the region's weight. The work
    ahead is the attempts there, and once more the tasks that wait for a processor: an attempt that only waits
    counts double. Round trips below `floor_seconds` count as equal, so that between regions that are near
    load decides and not noise.
    """
    latency_seconds = max(region.peak_ewma_seconds, floor_seconds)
    return latency_seconds * (region.inflight + region.queued + 1) / region.weight


def tier(demand: Demand, region: RegionView) -> Tier:
    """Returns a region's rank before scores: whether avoided, whether Degraded, the run's shards there.

    Ranks are compared in this order; lower is better. The shards there, divided by the region's weight, count
    only for a run that is to be spread.
    """
    # shards are counted against the weight: a region in slow start is not filled up to the others at once
    shards = 0.0 if demand.spread is None else (demand.spread.get(region.name, 0) + 1) / region.weight
    avoided = region.name in demand.avoid or region.routing.avoid
    # the submitter's or operator's wish comes before speed: a Degraded region is taken before an avoided one
    return (avoided, region.condition is RegionCondition.DEGRADED, shards)


def why_outranked(own: Tier, best: Tier) -> str | None:
    """Returns why a region of tier `own` loses to a region of tier `best`; None if the tiers are equal."""
    if own == best:
        return None
    if own[0] > best[0]:
        return "avoided, and another region fits"
    return "degraded, and another region fits" if own[:2] > best[:2] else "holds more shards of this run"
