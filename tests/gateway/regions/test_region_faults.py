"""Tests the bounds of detecting faults and of moving new work, with scripted regions in virtual time.

Each bound is the worst over many seeds, which also shift the fault against the probes' beat.
"""

import random
from collections.abc import Mapping

import pytest

from gateway.regions.region_condition import RegionCondition
from tests.gateway.regions.region_script import (
    ACCEPTS_ONLY,
    ANSWERS,
    DEAD,
    SILENT,
    Behavior,
    Script,
    ScriptedGateway,
    always,
    during,
    partly,
    slow,
    three,
)

C = RegionCondition
FOREVER = float("inf")


def worst_detection(behavior: Behavior, *conditions: RegionCondition, seeds: int = 40) -> float:
    """Returns the most seconds, of all seeds, from a fault to the condition that it leads to."""
    worst = 0.0
    for seed in range(seeds):
        begin = 20.0 + random.Random(seed).uniform(0, 5)
        gateway = ScriptedGateway(scripts=three(beijing=during(begin, FOREVER, behavior)), seed=seed).run(
            begin + 20
        )
        worst = max(worst, gateway.when("beijing", *conditions, after=begin) - begin)
    return worst


def worst_share(script: Script, begin: float, end: float, *, seeds: int = 5) -> float:
    """Returns the largest share of placements, of all seeds, that beijing gets in that time."""
    gateways = [
        ScriptedGateway(scripts=three(beijing=script), seed=seed, work_per_second=50).run(end)
        for seed in range(seeds)
    ]
    return max(gateway.shares(begin, end)["beijing"] for gateway in gateways)


@pytest.mark.parametrize(
    ("row", "behavior", "bound"), [(1, DEAD, 2.0), (2, SILENT, 7.5), (9, ACCEPTS_ONLY, 9.0)]
)
def test_a_lost_region_is_found_in_time(row: int, behavior: Behavior, bound: float) -> None:
    """Dead: its stream ends, and refusals come at once. Silent: only time-outs show it."""
    assert worst_detection(behavior, C.UNREACHABLE) <= bound


def test_a_region_500_ms_further_away_loses_new_work_and_nothing_else() -> None:
    """Row 5: by the score at once, by its condition within 16 s; it is never lost, so what runs there
    stays."""
    assert worst_detection(slow(0.55), C.DEGRADED) <= 16.0
    gateway = ScriptedGateway(
        scripts=three(beijing=during(20.0, FOREVER, slow(0.55))), work_per_second=50
    ).run(80.0)

    assert gateway.conditions("beijing", since=20.0) == [C.DEGRADED]
    assert gateway.shares(36.0, 80.0)["beijing"] == 0.0
    assert worst_share(during(20.0, FOREVER, slow(0.55)), 26.0, 36.0) <= 0.05


@pytest.mark.parametrize("period", [2.0, 5.0, 20.0])
def test_a_round_trip_that_swings_about_the_threshold_switches_once(period: float) -> None:
    """Row 6: at most one switch a minute."""
    gateway = ScriptedGateway(
        scripts=three(beijing=lambda at, _: slow(0.4 if at % period < period / 2 else 0.2))
    ).run(600.0)
    switches = [entry.at for entry in gateway.history if entry.region == "beijing"]

    assert all(sum(begin <= at < begin + 60 for at in switches) <= 1 for begin in switches if begin > 1.0)
    assert len(switches) <= 11


HALF_503 = Behavior(failure="Unavailable", call_failure="Unavailable")
CALLS_503 = Behavior(seconds=0.001, call_failure="Unavailable")


@pytest.mark.parametrize("behavior", [HALF_503, CALLS_503])
def test_a_region_that_fails_every_other_request_gets_no_work(behavior: Behavior) -> None:
    """Row 10: within 12 s, by its score, whether or not calls come often enough to eject it."""
    assert worst_share(partly(0.5, behavior, since=20.0), 32.0, 60.0) < 0.05


@pytest.mark.parametrize("behavior", [Behavior(seconds=0.001, failure="Unavailable"), CALLS_503])
def test_a_region_that_fails_fast_attracts_no_work(behavior: Behavior) -> None:
    """Row 11: a failure in 1 ms is the quickest answer of all."""
    assert worst_share(during(20.0, FOREVER, behavior), 30.0, 60.0) < 0.05


def test_probes_do_not_end_an_ejection() -> None:
    """Row 12: only time ends it; the first work after it fails again, and the next ejection is longer."""
    gateway = ScriptedGateway(
        scripts=three(beijing=during(20.0, FOREVER, CALLS_503)), work_per_second=50
    ).run(400.0)
    out = [
        entry.at for entry in gateway.history if entry.region == "beijing" and entry.condition is C.EJECTED
    ]
    back = [
        entry.at for entry in gateway.history if entry.region == "beijing" and entry.condition is C.WARMING
    ]

    assert out[0] <= 32.0
    terms = [again - left for left, again in zip(out, back, strict=False)]
    assert len(terms) >= 3
    assert all(24 * n <= term <= 30 * n + 1.1 for n, term in enumerate(terms, start=1))
    assert gateway.shares(30.0, 400.0)["beijing"] < 0.01


def test_a_region_back_after_ten_minutes_takes_a_growing_share() -> None:
    """Row 13: about a tenth of its share at first, all of it after a minute."""
    gateway = ScriptedGateway(scripts=three(beijing=during(20.0, 620.0, DEAD)), work_per_second=50).run(720.0)
    back = gateway.when("beijing", C.WARMING)
    shares = [gateway.shares(back + at, back + at + 10)["beijing"] for at in (0, 20, 40, 60)]

    assert 620.0 <= back <= 632.0
    assert shares[0] <= 0.15
    assert shares == sorted(shares)
    assert shares[-1] >= 0.28


def test_a_region_that_flaps_stays_out_for_longer_and_longer() -> None:
    """Row 14: ten seconds down, ten up, twenty times: it takes work in one gap only, and then not for
    minutes."""

    def flapping(at: float, _: random.Random) -> Behavior:
        return DEAD if 20.0 <= at < 420.0 and (at - 20.0) % 20.0 < 10.0 else ANSWERS

    gateway = ScriptedGateway(scripts=three(beijing=flapping), work_per_second=5).run(800.0)
    warming = [
        entry.at for entry in gateway.history if entry.region == "beijing" and entry.condition is C.WARMING
    ]

    assert len([at for at in warming if at < 420.0]) == 1
    assert 410.0 + 240.0 <= warming[-1] <= 420.0 + 300.0
    assert gateway.shares(42.0, 420.0)["beijing"] == 0.0


@pytest.mark.parametrize("behavior", [DEAD, SILENT])
def test_two_of_three_lost_freeze_failover_until_one_is_back(behavior: Behavior) -> None:
    """Row 15: one may have been lost by itself for some seconds before the second is found."""
    lost = during(20.0, 200.0, behavior)
    gateway = ScriptedGateway(scripts=three(beijing=lost, shanghai=lost), work_per_second=5).run(260.0)
    begin, end = gateway.cut_off[1][0], gateway.cut_off[2][0]

    assert [cut_off for _, cut_off in gateway.cut_off] == [False, True, False]
    assert begin <= 27.5
    assert 200.0 <= end <= 212.0
    assert [at for at, _ in gateway.placed if begin <= at < end] == []


@pytest.mark.parametrize("behavior", [DEAD, SILENT, Behavior(failure="Unreachable", seconds=3.0)])
def test_a_gateway_that_was_cut_off_is_back_to_normal_in_time(behavior: Behavior) -> None:
    """Row 16: within 12 s, all regions are Healthy and none in slow start: they were well all the time."""
    for seed in range(20):
        end = 80.0 + random.Random(seed).uniform(0, 3)
        scripts: Mapping[str, Script] = three(
            **{name: during(20.0, end, behavior) for name in ("beijing", "shanghai", "shenzhen")}
        )
        gateway = ScriptedGateway(scripts=scripts, seed=seed, work_per_second=5).run(end + 20)

        assert all(
            gateway.conditions(name, since=20.0)[-2:] == [C.UNREACHABLE, C.HEALTHY] for name in scripts
        )
        assert [cut_off for _, cut_off in gateway.cut_off] == [False, True, False]
        assert (
            max(gateway.cut_off[2][0], *(gateway.when(name, C.HEALTHY, after=end) for name in scripts))
            <= end + 12.0
        )


def test_after_a_blackout_no_region_is_failed_over_for_answering_last() -> None:
    """Row 16: the gateway stays cut off while a region that answers is on its way back, even at a round trip
    of 0.8 s."""

    def far(seconds: float) -> Script:
        return during(20.0, 60.0, SILENT, otherwise=slow(seconds))

    gateway = ScriptedGateway(scripts=three(beijing=far(0.02), shanghai=far(0.02), shenzhen=far(0.8))).run(
        90.0
    )
    back = gateway.when("shenzhen", C.HEALTHY, after=60.0)

    assert gateway.cut_off[2][0] >= back


def test_one_region_alone_is_cut_off_when_it_is_lost() -> None:
    """Its shards have nowhere to move to; it comes back without slow start."""
    gateway = ScriptedGateway(scripts={"beijing": during(20.0, 60.0, DEAD)}).run(80.0)

    assert gateway.conditions("beijing", since=20.0) == [C.UNREACHABLE, C.HEALTHY]
    assert [cut_off for _, cut_off in gateway.cut_off] == [False, True, False]


def test_one_of_two_lost_is_failed_over() -> None:
    """Half is not more than half."""
    gateway = ScriptedGateway(
        scripts={"beijing": during(20.0, FOREVER, DEAD), "shanghai": always(ANSWERS)}
    ).run(60.0)

    assert [cut_off for _, cut_off in gateway.cut_off] == [False]
