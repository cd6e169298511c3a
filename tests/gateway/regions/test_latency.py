"""Tests the peak EWMA and the latency window of a region."""

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.regions.latency import (
    LatencyWindow,
    PeakEwma,
    after_evaluation,
    after_round_trip,
    after_sample,
    p90,
    peak_at,
)
from gateway.settings import HealthSettings

SETTINGS = HealthSettings()
TAU = SETTINGS.ewma_tau_seconds
samples = st.lists(st.tuples(st.floats(0, 30), st.floats(0, 60)), min_size=1, max_size=30)


def estimated(values: list[tuple[float, float]]) -> tuple[PeakEwma, list[tuple[float, float]]]:
    """Returns the latency estimate after samples, and the samples with their times.

    Samples are given as (seconds since the last one, seconds).
    """
    ewma, at, seen = PeakEwma(), 0.0, []
    for pause, seconds in values:
        at += pause
        ewma = after_sample(ewma, at=at, seconds=seconds, tau_seconds=TAU)
        seen.append((at, seconds))
    return ewma, seen


@given(values=samples, later=st.floats(0, 100))
def test_no_recent_peak_is_forgotten_faster_than_it_decays(
    values: list[tuple[float, float]], later: float
) -> None:
    """The estimate is at least every past sample's own decay, and never above the worst sample."""
    ewma, seen = estimated(values)
    now = seen[-1][0] + later
    estimate = peak_at(ewma, now, TAU)

    assert estimate >= max(seconds * exp(-(now - at) / TAU) for at, seconds in seen) * (1 - 1e-9) - 1e-12
    assert estimate <= max(seconds for _, seconds in seen) * (1 + 1e-9)


@given(values=samples)
def test_a_sample_above_the_estimate_replaces_it(values: list[tuple[float, float]]) -> None:
    ewma, seen = estimated(values)

    assert (
        peak_at(after_sample(ewma, at=seen[-1][0] + 1, seconds=61.0, tau_seconds=TAU), seen[-1][0] + 1, TAU)
        == 61.0
    )


def test_a_peak_fades_to_the_latest_sample_by_tau() -> None:
    ewma, _ = estimated([(0.0, 5.0), (0.0, 0.05)])

    assert peak_at(ewma, TAU, TAU) == pytest.approx(0.05 + 4.95 / 2.718281828)
    assert peak_at(ewma, 1e6, TAU) == pytest.approx(0.05)


def test_one_slow_round_trip_of_five_is_a_hiccup() -> None:
    assert p90([]) is None
    assert p90([0.9]) == 0.9
    assert p90([0.1, 0.1, 0.1, 0.1, 0.9]) == 0.1
    assert p90([0.1, 0.1, 0.1, 0.9, 0.9]) == 0.9


def observed(window: LatencyWindow, begin: int, end: int, seconds: float) -> LatencyWindow:
    """Adds one round trip and one evaluation a second to a latency window."""
    for at in range(begin, end):
        window = after_evaluation(
            after_round_trip(window, at=float(at), seconds=seconds, settings=SETTINGS), float(at), SETTINGS
        )
    return window


def test_three_bad_evaluations_make_a_region_slow_and_a_minute_of_calm_ends_it() -> None:
    """It ends slowly: work that moves to and fro costs more than work that stays away."""
    slow = observed(LatencyWindow(), 0, 3, 0.5)
    assert (observed(LatencyWindow(), 0, 2, 0.5).slow, slow.slow) == (False, True)

    assert observed(slow, 3, 60, 0.05).slow
    assert not observed(slow, 3, 3 + 10 + 60, 0.05).slow


def test_below_the_threshold_is_not_yet_calm() -> None:
    """Under 0.7 of it: a region at 0.25 s would be slow again with the next swing."""
    assert observed(observed(LatencyWindow(), 0, 3, 0.5), 3, 1000, 0.25).slow
    assert not observed(LatencyWindow(), 0, 1000, 0.25).slow


def test_without_round_trips_nothing_is_decided() -> None:
    slow = observed(LatencyWindow(), 0, 3, 0.5)

    assert after_evaluation(slow, 1000.0, SETTINGS) == slow
