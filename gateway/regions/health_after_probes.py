"""Computes a region's health after a probe, the end of the region's event stream, or a restart.

Three failed probes in a row are a loss, five answered ones end it. A region that comes back gets a slow
start; one that was lost before, not long ago, is ejected first, for longer each time.
"""

from collections.abc import Callable
from typing import Any

from msgspec import structs

from gateway.regions.health import RegionHealth, with_changes
from gateway.regions.latency import LatencyWindow, PeakEwma, after_fault, after_round_trip, after_sample
from gateway.regions.outlier_detection import CallOutcomes, after_incidents, after_loss, begin_ejection
from gateway.settings import HealthSettings


def after_probe(
    health: RegionHealth,
    *,
    began: float,
    ended: float,
    failure: str | None,
    settings: HealthSettings,
    dice: Callable[[], float],
    detail: str = "",
) -> RegionHealth:
    """Returns a region's health after a probe from `began` to `ended`, with the time of the next probe.

    `failure` is the reason why the probe failed, None if it was answered; `detail` says more to people.
    `dice` gives a random number in 0..1, for jitter.
    """
    if failure is None:
        health = _after_answer(health, began=began, ended=ended, settings=settings, dice=dice)
    else:
        health = _after_failure(
            health, began=began, ended=ended, failure=failure, detail=detail, settings=settings
        )
    return structs.replace(health, next_probe_at=ended + _pause_seconds(health, began, settings, dice))


def after_stream_end(health: RegionHealth, now: float) -> RegionHealth:
    """Returns a region's health after its event stream ended or fell silent: a probe is due at once."""
    if health.failures:
        # probes fail already, and the next one is near. With one at each refused stream, three failures would
        # come within milliseconds, and a short interruption would count as a loss
        return health
    return structs.replace(health, next_probe_at=min(health.next_probe_at, now), probe_wanted_at=now)


def after_restart(health: RegionHealth) -> RegionHealth:
    """Returns a region's health after its cluster restarted, without the old process's calls and round trips.

    A restart alone is no outage, so the condition stays.
    """
    latency = structs.replace(health.latency, round_trips=(), evaluations_over=0)
    return structs.replace(
        health,
        outcomes=CallOutcomes(),
        latency=latency,
        # lost and restarted: the region was down itself, so it comes back as after any loss, blackout or not
        lost_in_blackout=False,
        restarted_while_lost=health.lost_at is not None,
    )


def _pause_seconds(
    health: RegionHealth, began: float, settings: HealthSettings, dice: Callable[[], float]
) -> float:
    """Returns the seconds from the end of a probe, sent at `began`, to the next probe; 0.0 for at once."""
    if health.failures:
        return settings.probe_retry_seconds
    if health.lost_at is not None:
        # its shards wait for it, so it comes back as soon as five quick probes can show it
        return settings.probe_retry_seconds
    if began < health.probe_wanted_at:
        return 0.0  # this answer may have left before the stream ended, so it is no answer to that
    return settings.probe_interval_seconds * (1.0 + settings.jitter * (2.0 * dice() - 1.0))


def _after_answer(
    health: RegionHealth, *, began: float, ended: float, settings: HealthSettings, dice: Callable[[], float]
) -> RegionHealth:
    """Returns a region's health after an answered probe; enough of them in a row make it reachable."""
    seconds = ended - began
    successes = health.successes + 1
    # the first answer ever is enough: it follows the start of the gateway or of the region, not an outage
    first = not health.ever_answered
    back = health.lost_at is not None and (first or successes >= settings.successes_up)
    # failures that are over no longer weigh on the latency: slow start is what follows an outage
    ewma = PeakEwma() if first or back else health.ewma
    latency = LatencyWindow() if first else health.latency
    health = with_changes(
        health,
        ended,
        ever_answered=True,
        answered_at=began,
        failures=0,
        successes=successes,
        ewma=after_sample(ewma, at=ended, seconds=seconds, tau_seconds=settings.ewma_tau_seconds),
        latency=after_round_trip(latency, at=ended, seconds=seconds, settings=settings),
        lost_at=None if first else health.lost_at,
        losses=0 if first else health.losses,
        returned_at=ended if first else health.returned_at,
    )
    return _after_return(health, ended, settings=settings, dice=dice) if back and not first else health


def _after_return(
    health: RegionHealth, now: float, *, settings: HealthSettings, dice: Callable[[], float]
) -> RegionHealth:
    """Returns a region's health when it is reachable again after a loss: in slow start, or ejected.

    After a blackout the region is neither.
    """
    if health.lost_in_blackout:
        # the region was well all the time: no slow start, and no incident
        return with_changes(health, now, lost_at=None, losses=0, returned_at=now)
    ejections = after_incidents(health.ejections, now=now, incidents=health.losses, settings=settings)
    if ejections.incidents > 1:
        # one loss is bad luck; a region that is lost again and again must not get work in each gap
        ejections = begin_ejection(
            ejections,
            now=now,
            multiplier=ejections.incidents - 1,
            reason=f"lost {ejections.incidents} times of late",
            settings=settings,
            chance=dice(),
        )
    return with_changes(
        health, now, lost_at=None, losses=0, returned_at=now, warming_since=now, ejections=ejections
    )


def _after_failure(
    health: RegionHealth, *, began: float, ended: float, failure: str, detail: str, settings: HealthSettings
) -> RegionHealth:
    """Returns a region's health after a failed probe; enough of them in a row make it Unreachable."""
    failures = health.failures + 1
    changes: dict[str, Any] = {
        "failures": failures,
        "successes": 0,
        "ewma": after_fault(health.ewma, ended, settings),
    }
    if failure == "Timeout" and health.lost_at is None:
        # a round trip took at least so long; a refused connection says nothing of the latency
        changes["latency"] = after_round_trip(
            health.latency, at=ended, seconds=ended - began, settings=settings
        )
    if failures == settings.failures_down:
        changes |= {"latency": LatencyWindow(), "outcomes": CallOutcomes(), "losses": health.losses + 1}
        if health.lost_at is None:
            changes |= {"lost_at": ended, "lost_in_blackout": False, "restarted_while_lost": False}
            if health.ejections.since > health.returned_at:
                # only an ejection by calls: one for earlier losses began with the return, and goes on
                changes["ejections"] = after_loss(health.ejections, lost_at=ended, settings=settings)
    why = f"{failure} ({detail})" if detail else failure
    because = f"{failures} probes failed: {why}"
    after = with_changes(health, ended, because=because, **changes)
    # a lost region may fail otherwise than at first: it is started again, with a certificate that is no good
    return structs.replace(after, reason=because) if after.lost_at is not None else after
