"""How long a region takes: the peak EWMA that scores it, and the p90 of round trips that calls it slow."""

from math import exp, floor
from typing import Final

from msgspec import Struct, structs

from gateway.settings import HealthSettings

NEVER: Final = float("-inf")


class PeakEwma(Struct, frozen=True, kw_only=True, gc=False):
    """An estimate that believes bad news at once and good news slowly (after Finagle's `PeakEwma`)."""

    peak_seconds: float = 0.0
    latest_seconds: float = 0.0
    at: float = NEVER


def peak_at(ewma: PeakEwma, now: float, tau_seconds: float) -> float:
    """The estimate at `now`: from its peak it nears the latest sample, by a factor e every `tau_seconds`."""
    faded = exp(-max(0.0, now - ewma.at) / tau_seconds)
    return ewma.latest_seconds + (ewma.peak_seconds - ewma.latest_seconds) * faded


def sampled(ewma: PeakEwma, *, at: float, seconds: float, tau_seconds: float) -> PeakEwma:
    """A sample above the estimate replaces it; one below is where it goes from here."""
    return PeakEwma(
        peak_seconds=max(seconds, peak_at(ewma, at, tau_seconds)), latest_seconds=seconds, at=max(at, ewma.at)
    )


class Pace(Struct, frozen=True, kw_only=True):
    """Round trips of the last seconds as (at, seconds), and whether they add up to a slow region, with hysteresis.

    Only probes count: they carry nothing and go at a steady beat, so a region is not called slow for the size of its work.
    """

    round_trips: tuple[tuple[float, float], ...] = ()
    over: int = 0
    """Evaluations in a row in which the p90 passed the threshold."""
    slow: bool = False
    calm_since: float | None = None


def timed(pace: Pace, *, at: float, seconds: float, rules: HealthSettings) -> Pace:
    """One more round trip; those that left the window are dropped."""
    recent = tuple(trip for trip in pace.round_trips if trip[0] > at - rules.degraded_window_seconds)
    return structs.replace(pace, round_trips=(*recent, (at, seconds)))


def p90(seconds: list[float]) -> float | None:
    """The nearest rank at or below nine tenths: of five round trips the second slowest, so that a single hiccup says nothing."""
    return sorted(seconds)[max(1, floor(0.9 * len(seconds))) - 1] if seconds else None


def recent_p90(pace: Pace, now: float, rules: HealthSettings) -> float | None:
    """Over the window that ends at `now`; None without a round trip in it."""
    return p90([seconds for at, seconds in pace.round_trips if at > now - rules.degraded_window_seconds])


def judged(pace: Pace, now: float, rules: HealthSettings) -> Pace:
    """The evaluation that is made once a second: slow after enough bad ones in a row, no longer slow after a long calm."""
    value = recent_p90(pace, now, rules)
    if value is None:
        return pace
    if not pace.slow:
        over = pace.over + 1 if value > rules.degraded_seconds else 0
        return structs.replace(pace, over=over, slow=over >= rules.degraded_evaluations, calm_since=None)
    if value >= rules.degraded_seconds * rules.recovered_ratio:
        return structs.replace(pace, calm_since=None)
    calm_since = now if pace.calm_since is None else pace.calm_since
    if now - calm_since >= rules.recovered_seconds:
        return structs.replace(pace, over=0, slow=False, calm_since=None)
    return structs.replace(pace, calm_since=calm_since)
