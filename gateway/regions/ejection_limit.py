"""Limits how many regions are ejected at once, after Envoy's `max_ejection_percent` and panic threshold.

An ejection sends new work to other regions. If too few other regions are left, it only delays all work. Work
that may run only in Ejected regions is handled by `placement.py`.
"""

from collections.abc import Sequence

from msgspec import structs

from gateway.regions.health import RegionHealth, with_changes
from gateway.regions.outlier_detection import end_ejection
from gateway.regions.region_condition import RegionCondition
from gateway.settings import HealthSettings


def within_ejection_limit(
    healths: Sequence[RegionHealth], now: float, settings: HealthSettings
) -> tuple[RegionHealth, ...]:
    """Ends ejections beyond the fraction `ejected_ratio` of the regions; returns all healths in order.

    If no region is ready, at least one ejection ends. `healths` are those of the regions that take new work
    at all: a cordoned region is no alternative. The ejections that would have ended soonest end now, in slow
    start; the incidents stay counted.
    """
    ejected = [health for health in healths if health.condition is RegionCondition.EJECTED]
    allowed = int(settings.ejected_ratio * len(healths))
    if not any(health.condition.ready for health in healths):
        # never the last one that answers
        allowed = min(allowed, len(ejected) - 1)
    ejected.sort(key=lambda health: health.ejections.until or now)
    ended = {health.name for health in ejected[: max(0, len(ejected) - max(0, allowed))]}
    return tuple(_readmitted(health, now) if health.name in ended else health for health in healths)


def _readmitted(health: RegionHealth, now: float) -> RegionHealth:
    # without the faults of before: else the next one would eject it again, and so on for ever
    outcomes = structs.replace(health.outcomes, consecutive_faults=0, by_second=())
    return with_changes(
        health, now, ejections=end_ejection(health.ejections), outcomes=outcomes, warming_since=now
    )
