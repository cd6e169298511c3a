"""Tests a region's health after probes, calls and time."""

import pytest

from gateway.regions.blackout_guard import after_blackout_check
from gateway.regions.health import count_answered_since, unknown_health
from gateway.regions.health_after_probes import after_probe, after_restart, after_stream_end
from gateway.regions.health_over_time import after_tick, slow_start_weight
from gateway.regions.region_condition import RegionCondition
from tests.gateway.regions.healths import (
    SETTINGS,
    after_answers,
    call,
    dice,
    ewma,
    healthy,
    probe,
    unreachable,
)

C = RegionCondition


def test_the_reason_of_a_lost_region_is_that_of_the_newest_failure() -> None:
    """It was refused while the process was down; now it answers, with a certificate that has expired."""
    health = probe(unreachable(1.0), 1.5, "Forbidden")

    assert health.reason == "4 probes failed: Forbidden"


def test_the_first_answer_ever_makes_a_region_ready() -> None:
    """A gateway that starts must not wait for slow start; nor for regions that came up after it."""
    late = unknown_health("beijing")
    for at in (1.0, 2.0, 3.0, 4.0):
        late = probe(late, at, "Unreachable")

    assert (healthy().condition, slow_start_weight(healthy(), 0.1, SETTINGS)) == (C.HEALTHY, 1.0)
    assert late.condition is C.UNREACHABLE
    ready = probe(late, 5.0)
    assert (ready.condition, slow_start_weight(ready, 5.0, SETTINGS)) == (C.HEALTHY, 1.0)
    assert ewma(ready, 5.0) == pytest.approx(0.05)


def test_three_failures_in_a_row_are_a_loss_and_two_are_not() -> None:
    health = probe(probe(healthy(), 1.0, "Timeout"), 2.0, "Timeout")

    assert probe(probe(health, 3.0), 4.0, "Timeout").condition is C.HEALTHY
    gone = probe(health, 3.0, "Timeout")
    assert (gone.condition, gone.since, gone.lost_at, gone.reason) == (
        C.UNREACHABLE,
        3.0,
        3.0,
        "3 probes failed: Timeout",
    )


def test_five_answers_in_a_row_bring_a_region_back_in_slow_start() -> None:
    """From a tenth to all over a minute, and without the estimate that the outage left behind."""
    health = after_answers(unreachable(), 100.0, 4)
    assert health.condition is C.UNREACHABLE

    health = probe(health, 108.0)
    assert health.condition is C.WARMING
    assert ewma(health, 108.0) == pytest.approx(0.05)
    assert [slow_start_weight(health, 108.0 + at, SETTINGS) for at in (0, 30, 60, 90)] == [
        pytest.approx(0.1),
        pytest.approx(0.55),
        1.0,
        1.0,
    ]
    assert after_tick(health, 167.0, SETTINGS).condition is C.WARMING
    assert after_tick(health, 168.0, SETTINGS).condition is C.HEALTHY


def test_a_failure_among_the_answers_starts_the_count_again() -> None:
    health = after_answers(probe(after_answers(unreachable(), 10.0, 4), 20.0, "Timeout"), 21.0, 4)

    assert health.condition is C.UNREACHABLE


def test_a_second_loss_within_memory_keeps_a_region_out_after_it_is_back() -> None:
    """One loss is bad luck. After two it is ejected at its return; its running shards are confirmed all the
    same."""
    health = after_answers(unreachable(), 10.0)
    for at in (20.0, 20.5, 21.0):
        health = probe(health, at, "Unreachable")
    health = after_answers(health, 22.0)

    assert (health.condition, health.reason) == (C.EJECTED, "lost 2 times of late")
    assert after_tick(health, 30.0 + 26.9, SETTINGS).condition is C.EJECTED
    assert after_tick(health, 30.0 + 30.0, SETTINGS).condition is C.WARMING


def test_answering_once_and_failing_again_is_another_loss() -> None:
    """A region that never stays up for five probes must not look like one that was lost once."""
    health = unreachable()
    for at in (10.0, 20.0):
        health = probe(health, at)
        for later in (1.0, 1.5, 2.0):
            health = probe(health, at + later, "Unreachable")

    assert health.losses == 3
    assert after_answers(health, 30.0).condition is C.EJECTED


def test_a_region_lost_in_a_blackout_comes_back_as_if_nothing_had_been() -> None:
    """The gateway's network was lost: no slow start, no incident, and quick probes until it is back."""
    (health,) = after_blackout_check([unreachable()], SETTINGS)
    health = probe(health, 10.0)
    assert health.next_probe_at == 10.5

    health = after_answers(health, 10.5, 4)
    assert (health.condition, slow_start_weight(health, 20.0, SETTINGS), health.ejections.incidents) == (
        C.HEALTHY,
        1.0,
        0,
    )


def test_a_region_restarted_during_a_blackout_comes_back_in_slow_start() -> None:
    (health,) = after_blackout_check([unreachable()], SETTINGS)
    (health,) = after_blackout_check([after_restart(health)], SETTINGS)

    assert after_answers(health, 10.0).condition is C.WARMING


def test_a_restart_alone_is_no_outage() -> None:
    health = after_restart(call(healthy(), 1.0, "Unreachable"))

    assert (health.condition, health.outcomes.consecutive_faults) == (C.HEALTHY, 0)


def test_probes_keep_the_pace() -> None:
    """Every 2 s +-20 %, and half a second after a failure."""
    throws = iter((0.0, 0.5, 1.0))
    ended = [
        after_probe(
            unknown_health("a"),
            began=9.9,
            ended=10.0,
            failure=None,
            settings=SETTINGS,
            dice=lambda: next(throws),
        )
        for _ in range(3)
    ]

    assert [health.next_probe_at for health in ended] == [
        pytest.approx(11.6),
        pytest.approx(12.0),
        pytest.approx(12.4),
    ]
    assert probe(ended[0], 12.0, "Timeout").next_probe_at == 12.5
    assert unknown_health("a").next_probe_at < 0


def test_a_lost_stream_asks_for_a_probe_at_once() -> None:
    assert after_stream_end(healthy(), 0.5).next_probe_at == 0.5


def test_a_probe_that_was_under_way_when_the_stream_ended_does_not_answer_the_question() -> None:
    """Its answer may have left before the region died."""
    asked = after_stream_end(healthy(), 0.5)

    assert (
        after_probe(asked, began=0.4, ended=0.6, failure=None, settings=SETTINGS, dice=dice).next_probe_at
        == 0.6
    )
    assert after_probe(
        asked, began=0.5, ended=0.6, failure=None, settings=SETTINGS, dice=dice
    ).next_probe_at == pytest.approx(2.6)


def test_asking_again_does_not_hurry_probes_that_fail_already() -> None:
    """Three failures must span a second: a stream that is refused over and over is no loss within
    milliseconds."""
    failed = probe(healthy(), 1.0, "Unreachable")

    assert after_stream_end(failed, 1.1).next_probe_at == 1.5


def test_calls_that_fail_eject_whatever_probes_say() -> None:
    health = healthy()
    for at in range(1, 6):
        health = probe(call(health, float(at), "Unavailable"), at + 0.5)

    assert (health.condition, health.reason) == (C.EJECTED, "5 calls in a row failed: Unavailable")
    assert after_answers(health, 6.0, 10).condition is C.EJECTED
    assert after_tick(health, 5.0 + 24.0 + 3.0, SETTINGS).condition is C.WARMING


def test_faults_during_an_ejection_do_not_lengthen_it() -> None:
    """Attempts that run there still make calls: a region that is ejected cannot be ejected again."""
    health = healthy()
    for at in range(1, 20):
        health = call(health, float(at), "Unavailable")

    assert health.ejections.incidents == 1
    assert health.ejections.until == pytest.approx(5.0 + 27.0)


def test_after_an_ejection_one_more_fault_is_enough() -> None:
    """No call has succeeded since: five more shards need not find out again."""
    health = healthy()
    for at in range(1, 6):
        health = call(health, float(at), "Unavailable")
    health = after_tick(health, 40.0, SETTINGS)
    again = call(health, 41.0, "Unavailable")

    assert (again.condition, again.ejections.incidents) == (C.EJECTED, 2)
    assert call(call(health, 41.0), 42.0, "Unavailable").condition is C.WARMING


def test_a_call_that_was_refused_for_what_it_asked_says_nothing_of_the_region() -> None:
    health = healthy()
    for at in range(1, 50):
        health = call(health, float(at), "Forbidden")

    assert health == healthy()


def test_a_failure_counts_as_a_slow_answer_however_fast_it_is() -> None:
    assert ewma(call(healthy(), 1.0, "Unavailable", seconds=0.001), 1.0) == 5.0


def test_a_call_is_not_slow_for_what_it_carries() -> None:
    """Two hundred shards in a second are 5 ms each: less than a bare round trip, which is what then
    counts."""
    assert ewma(call(healthy(), 1.0, seconds=1.0, items=200), 1.0) == pytest.approx(0.05)
    assert ewma(call(healthy(), 1.0, seconds=1.0, items=2), 1.0) == 0.5


def test_a_failed_call_asks_for_a_probe_soon() -> None:
    assert call(healthy(), 0.5, "Unreachable").next_probe_at == 1.0


def test_only_probes_begun_since_count_as_answers() -> None:
    """A probe that was under way at the suspicion proves nothing about the time after it."""
    healths = [
        after_probe(unknown_health("a"), began=began, ended=9.0, failure=None, settings=SETTINGS, dice=dice)
        for began in (4.9, 5.0, 5.1)
    ]

    assert count_answered_since([*healths, unreachable()], 5.0) == 1
