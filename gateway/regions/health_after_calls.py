"""Computes a region's health after a call that carries work: latency, outcomes, and a possible ejection."""

from collections.abc import Callable

from msgspec import structs

from gateway.regions.health import RegionHealth, with_changes
from gateway.regions.latency import after_fault, after_sample
from gateway.regions.outlier_detection import (
    FAULTS,
    after_incidents,
    after_outcome,
    begin_ejection,
    ejection_reason,
)
from gateway.settings import HealthSettings


def after_call(
    health: RegionHealth,
    *,
    ended: float,
    seconds: float,
    failure: str | None,
    settings: HealthSettings,
    dice: Callable[[], float],
    items: int = 1,
) -> RegionHealth:
    """Returns a region's health after a call that took `seconds` and ended at `ended`.

    `items` is the number of creates, tombstones and lease renewals that the call carried. `failure` is the
    reason of a `ClusterError`, None for a success. `dice` gives a random number in 0..1, for
    jitter.
    """
    if failure is not None and failure not in FAULTS:
        return health  # a refusal for what was asked says nothing of the region
    fault = failure is not None
    health = structs.replace(
        health, outcomes=after_outcome(health.outcomes, at=ended, fault=fault, settings=settings)
    )
    if failure is None:
        return structs.replace(
            health,
            ewma=after_sample(
                health.ewma,
                at=ended,
                seconds=_seconds_per_item(health, seconds, items),
                tau_seconds=settings.ewma_tau_seconds,
            ),
        )
    health = structs.replace(
        health,
        ewma=after_fault(health.ewma, ended, settings),
        # a probe soon finds out whether the region can be reached at all
        next_probe_at=min(health.next_probe_at, ended + settings.probe_retry_seconds),
    )
    return _after_fault(health, ended, failure, settings=settings, dice=dice)


def _seconds_per_item(health: RegionHealth, seconds: float, items: int) -> float:
    """Returns the latency sample of a call: its time for each item that it carried.

    The sample is never less than the round trip of the last probe, which carries nothing.
    """
    bare = health.latency.round_trips[-1][1] if health.latency.round_trips else 0.0
    return max(bare, seconds / max(1, items))


def _after_fault(
    health: RegionHealth, now: float, failure: str, *, settings: HealthSettings, dice: Callable[[], float]
) -> RegionHealth:
    """Returns a region's health after one more failed call: Ejected if too many calls have failed."""
    if not health.ever_answered or health.lost_at is not None:
        return health  # it takes no work anyhow, and the loss is counted when it returns
    if health.ejections.until is not None:
        return health  # attempts that run there go on making calls: their faults do not lengthen the ejection
    reason = ejection_reason(health.outcomes, settings)
    if reason is None:
        return health
    ejections = after_incidents(health.ejections, now=now, incidents=1, settings=settings)
    ejections = begin_ejection(
        ejections,
        now=now,
        multiplier=ejections.incidents,
        reason=f"{reason}: {failure}",
        settings=settings,
        chance=dice(),
    )
    return with_changes(health, now, ejections=ejections)
