"""Tests the condition that follows from a region's health and journal, and the view for placement."""

import pytest
from msgspec import structs

from gateway.core.instant import Instant
from gateway.regions.health import RegionHealth, condition_with_journal, removed_health, unknown_health
from gateway.regions.region_condition import RegionCondition, Taint
from gateway.regions.region_view import region_view
from tests.gateway.regions.healths import SETTINGS, after_answers, ejected, healthy, unreachable
from tests.gateway.regions.region_script import status

C = RegionCondition


@pytest.mark.parametrize(
    ("health", "admitted", "unknown_journal", "expected"),
    [
        (healthy(), True, "", (C.HEALTHY, "")),
        (healthy(), False, "", (C.UNKNOWN, "its event stream has not opened yet")),
        (ejected(), False, "", (C.UNKNOWN, "its event stream has not opened yet")),
        (ejected(), True, "", (C.EJECTED, "5 calls in a row failed: Unavailable")),
        (healthy(), False, "other", (C.UNREACHABLE, "another journal answers under this name: other")),
        (unreachable(), False, "", (C.UNREACHABLE, "3 probes failed: Timeout")),
        (unknown_health("beijing"), False, "", (C.UNKNOWN, "")),
    ],
)
def test_without_its_own_journal_a_region_takes_no_work(
    health: RegionHealth, admitted: bool, unknown_journal: str, expected: tuple[C, str]
) -> None:
    """However well its probes go; what probes find out already is not replaced by a milder condition."""
    assert condition_with_journal(health, admitted=admitted, unknown_journal=unknown_journal) == expected


def test_conditions_say_whether_batches_and_new_work_are_sent() -> None:
    """An ejected region gets no new work, but what runs there is followed and renewed."""
    assert {condition for condition in C if not condition.reachable} == {C.UNREACHABLE, C.UNKNOWN}
    assert {condition for condition in C if not condition.ready} == {C.UNREACHABLE, C.UNKNOWN, C.EJECTED}


def test_a_health_is_printed_with_what_one_looks_for_in_an_outage() -> None:
    """In one line: the generated text of all its fields fills a screen."""
    assert repr(unreachable(3.0)) == (
        "<RegionHealth beijing Unreachable (3 probes failed: Timeout) since 3.0, failures 3, successes 0,"
        " lost at 3.0 (1 times), incidents 0, consecutive faults 0, latency 5.000 s, next probe at 3.5>"
    )


def test_a_removed_region_is_unreachable_and_never_probed() -> None:
    health = removed_health("beijing", 5.0, "not among the settings any more")

    assert (health.condition, health.reason, health.since, health.lost_at) == (
        C.UNREACHABLE,
        "not among the settings any more",
        5.0,
        5.0,
    )
    assert health.next_probe_at == float("inf")


def test_the_view_shows_since_when_and_why() -> None:
    seen = region_view(
        after_answers(unreachable(), 100.0),
        status=structs.replace(status("beijing"), slots=7, queued=1),
        inflight=3,
        now=Instant(138.0, 1_800_000_000.0),
        settings=SETTINGS,
        weight=2.0,
        taints=frozenset({Taint.CORDONED}),
    )

    assert (seen.condition, seen.since, seen.reason) == (C.WARMING, 1_799_999_970.0, "slow start")
    assert (seen.inflight, seen.free_slots, seen.queued, seen.cordoned) == (3, 4, 1, True)
    assert seen.weight == pytest.approx(2 * 0.55)
    assert seen.peak_ewma_seconds == pytest.approx(0.05)


@pytest.mark.parametrize(("counted", "lost"), [(True, True), (False, False)])
def test_a_region_that_was_given_up_is_not_lost(counted: bool, lost: bool) -> None:
    """It stays unreachable for ever, and would keep bad releases in force for as long."""
    health, now = unreachable(), Instant(138.0, 1_800_000_000.0)
    seen = region_view(health, status=None, inflight=0, now=now, settings=SETTINGS, counted=counted)
    assert (seen.condition, seen.lost) == (C.UNREACHABLE, lost)
