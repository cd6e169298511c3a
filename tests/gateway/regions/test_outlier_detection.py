"""Tests outlier detection: when calls eject a region, and for how long."""

import pytest

from gateway.regions.outlier_detection import (
    CallOutcomes,
    Ejections,
    after_incidents,
    after_loss,
    after_outcome,
    begin_ejection,
    ejection_reason,
)
from gateway.settings import HealthSettings

SETTINGS = HealthSettings()


def outcomes(faults: str, *, every: float = 0.3) -> CallOutcomes:
    """Returns the outcomes of successive calls; `x` is a failed one."""
    seen = CallOutcomes()
    for number, mark in enumerate(faults):
        seen = after_outcome(seen, at=number * every, fault=mark == "x", settings=SETTINGS)
    return seen


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ("xxxx", None),
        ("xxxxx", "5 calls in a row failed"),
        ("xxxx.xxxx", None),
        ("....x" * 4, None),
        ("...xx" * 4, "8 of 20 calls failed"),
        ("...xx" * 3, None),
    ],
)
def test_consecutive_faults_or_a_low_ratio_over_enough_calls_eject(faults: str, expected: str | None) -> None:
    assert ejection_reason(outcomes(faults), SETTINGS) == expected


def test_calls_that_left_the_window_do_not_count() -> None:
    """Twenty calls are needed within ten seconds: a trickle says too little."""
    assert ejection_reason(outcomes("...xx" * 10, every=1.0), SETTINGS) is None


def test_the_window_holds_no_more_than_its_seconds() -> None:
    """However many calls a second are made: the value is copied with each."""
    assert len(outcomes("." * 5_000, every=0.01).by_second) <= SETTINGS.success_window_seconds + 1


def test_each_incident_within_memory_costs_a_longer_ejection() -> None:
    """30 s times n up to 300 s; ten minutes without an incident and it starts again."""
    ejections, now, lengths = Ejections(), 0.0, []
    for _ in range(12):
        ejections = after_incidents(ejections, now=now, incidents=1, settings=SETTINGS)
        ejections = begin_ejection(
            ejections, now=now, multiplier=ejections.incidents, reason="", settings=SETTINGS, chance=0.0
        )
        assert ejections.until is not None
        lengths.append(ejections.until - now)
        now = ejections.until + 1.0

    assert lengths == [30.0 * n for n in range(1, 11)] + [300.0, 300.0]
    assert after_incidents(ejections, now=now + 600.0, incidents=1, settings=SETTINGS).incidents == 1


def test_chance_only_shortens_an_ejection() -> None:
    """At most 300 s means at most."""
    out = begin_ejection(Ejections(), now=0.0, multiplier=100, reason="", settings=SETTINGS, chance=1.0)

    assert out.until == 240.0


def test_a_loss_that_calls_noticed_first_is_one_incident() -> None:
    """Five refused calls come before three refused probes; an ejection that began long before is one of its
    own."""
    before = Ejections(incidents=3, incident_ended_at=0.0)
    out = begin_ejection(
        after_incidents(before, now=10.0, incidents=1, settings=SETTINGS),
        now=10.0,
        multiplier=4,
        reason="",
        settings=SETTINGS,
        chance=0.0,
    )

    assert (
        after_loss(out, lost_at=11.0, settings=SETTINGS).incidents,
        after_loss(out, lost_at=11.0, settings=SETTINGS).until,
    ) == (3, None)
    assert after_loss(out, lost_at=30.0, settings=SETTINGS) == out
