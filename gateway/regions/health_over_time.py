"""Computes a region's health as time passes: ends ejections and slow starts, evaluates latency."""

from typing import Any

from gateway.regions.health import RegionHealth, with_changes
from gateway.regions.latency import after_evaluation, recent_p90
from gateway.regions.outlier_detection import end_ejection
from gateway.settings import HealthSettings


def after_tick(health: RegionHealth, now: float, settings: HealthSettings) -> RegionHealth:
    """Returns a region's health at `now`, when only time has passed. To be called once a second.

    Ends an ejection or a slow start that is over, and evaluates the round trips of the last seconds.
    """
    changes: dict[str, Any] = {}
    until, warming_since = health.ejections.until, health.warming_since
    if until is not None and now >= until:
        # only time ends an ejection. The faults in a row are kept, so one more fault without a success in
        # between ejects again
        changes |= {"ejections": end_ejection(health.ejections), "warming_since": now}
    elif warming_since is not None and now - warming_since >= settings.slow_start_seconds:
        changes["warming_since"] = None
    if health.lost_at is not None:
        return with_changes(health, now, **changes)  # no round trips come in, so there is nothing to evaluate
    latency = after_evaluation(health.latency, now, settings)
    p90 = recent_p90(latency, now, settings)
    because = f"p90 of round trips {p90:.3f} s" if latency.slow and p90 is not None else ""
    return with_changes(health, now, because=because, latency=latency, **changes)


def slow_start_weight(health: RegionHealth, now: float, settings: HealthSettings) -> float:
    """Returns the part of a region's weight that counts during its slow start, `slow_start_floor` to 1.

    It grows linearly (Envoy's slow start with aggression 1).
    """
    if health.warming_since is None:
        return 1.0
    part = min(1.0, max(0.0, (now - health.warming_since) / settings.slow_start_seconds))
    return settings.slow_start_floor + (1.0 - settings.slow_start_floor) * part
