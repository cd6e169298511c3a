"""Estimates a region's latency: a peak EWMA for its score, and a p90 that makes the region Degraded.

The estimate follows Finagle's load balancer (`com.twitter.finagle.loadbalancer.PeakEwma`): a higher sample
counts in full at once, a lower one by an exponentially weighted moving average. The p90 with hysteresis is
ours.
"""

from math import exp, floor
from typing import Final

from msgspec import Struct, structs

from gateway.settings import HealthSettings

NEVER: Final = float("-inf")
"""The monotonic time that stands for an event that has not happened yet."""


class PeakEwma(Struct, frozen=True, kw_only=True, gc=False):
    """An estimate of a region's latency that rises to a high sample at once and falls to a low one slowly."""

    peak_seconds: float = 0.0
    """The latency estimate at the time `at`, in seconds."""
    latest_seconds: float = 0.0
    """The newest latency sample in seconds, to which the estimate decays from `peak_seconds`."""
    at: float = NEVER
    """The time of the newest sample, in monotonic seconds."""


def peak_at(ewma: PeakEwma, now: float, tau_seconds: float) -> float:
    """Returns the latency estimate in seconds at `now`; it decays towards the newest sample."""
    faded = exp(-max(0.0, now - ewma.at) / tau_seconds)
    return ewma.latest_seconds + (ewma.peak_seconds - ewma.latest_seconds) * faded


def after_sample(ewma: PeakEwma, *, at: float, seconds: float, tau_seconds: float) -> PeakEwma:
    """Returns the latency estimate after a sample of `seconds`, taken at `at`.

    A higher sample replaces the estimate; towards a lower one the estimate falls exponentially, by
    `tau_seconds`.
    """
    return PeakEwma(
        peak_seconds=max(seconds, peak_at(ewma, at, tau_seconds)), latest_seconds=seconds, at=max(at, ewma.at)
    )


def after_fault(ewma: PeakEwma, at: float, settings: HealthSettings) -> PeakEwma:
    """Returns the latency estimate after a failed call, which counts as a slow one.

    A region that fails fast must not attract work.
    """
    return after_sample(
        ewma, at=at, seconds=settings.failure_counts_seconds, tau_seconds=settings.ewma_tau_seconds
    )


class LatencyWindow(Struct, frozen=True, kw_only=True):
    """The round trips of a region's probes in the last seconds, and whether the region counts as slow.

    A region becomes slow sooner than it stops being slow (hysteresis), so that work does not move to and fro.
    Only probes count: they carry nothing and go at a steady rate, so a region is not called slow for the size
    of its work.
    """

    round_trips: tuple[tuple[float, float], ...] = ()
    """The probes' round trips, as (monotonic seconds of the end, seconds taken), oldest first."""
    evaluations_over: int = 0
    """The number of evaluations in a row in which the p90 was above the threshold."""
    slow: bool = False
    calm_since: float | None = None
    """The time since which the p90 of a slow region is low enough to end that; None if it is not."""


def after_round_trip(
    window: LatencyWindow, *, at: float, seconds: float, settings: HealthSettings
) -> LatencyWindow:
    """Returns the window of round trips with one more, ended at `at`, and without those too old to count."""
    recent = tuple(trip for trip in window.round_trips if trip[0] > at - settings.degraded_window_seconds)
    return structs.replace(window, round_trips=(*recent, (at, seconds)))


def p90(seconds: list[float]) -> float | None:
    """Returns the 90th percentile, by the nearest rank at or below it (of five values the second largest).

    None for an empty list.
    """
    return sorted(seconds)[max(1, floor(0.9 * len(seconds))) - 1] if seconds else None


def recent_p90(window: LatencyWindow, now: float, settings: HealthSettings) -> float | None:
    """Returns the p90 in seconds of the window's round trips at `now`; None if it has none."""
    return p90([seconds for at, seconds in window.round_trips if at > now - settings.degraded_window_seconds])


def after_evaluation(window: LatencyWindow, now: float, settings: HealthSettings) -> LatencyWindow:
    """Returns the window with the region marked slow or no longer slow by its p90; called once a second.

    A region is slow after several p90s in a row above `degraded_seconds`, and no longer slow after its p90
    has been well below that for `recovered_seconds`.
    """
    value = recent_p90(window, now, settings)
    if value is None:
        return window  # without a round trip nothing is known, so nothing changes
    if not window.slow:
        # several in a row: one burst of slow round trips stays in the window for seconds, and moves no work
        over = window.evaluations_over + 1 if value > settings.degraded_seconds else 0
        slow = over >= settings.degraded_evaluations
        return structs.replace(window, evaluations_over=over, slow=slow, calm_since=None)
    if value >= settings.degraded_seconds * settings.recovered_ratio:
        # just below the threshold is not calm: a region that swings about it would lose its work each time
        return structs.replace(window, calm_since=None)
    calm_since = now if window.calm_since is None else window.calm_since
    if now - calm_since >= settings.recovered_seconds:
        return structs.replace(window, evaluations_over=0, slow=False, calm_since=None)
    return structs.replace(window, calm_since=calm_since)
