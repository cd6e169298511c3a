"""Outcomes counted, and ejections that grow."""

import pytest

from gateway.regions.outlier_detection import (
    Ejections,
    Outcomes,
    absorbed,
    counted,
    failing,
    put_out,
    troubled,
)
from gateway.settings import HealthSettings

RULES = HealthSettings()


def outcomes(faults: str, *, every: float = 0.3) -> Outcomes:
    """One call after the other; `x` is a fault."""
    seen = Outcomes()
    for number, mark in enumerate(faults):
        seen = counted(seen, at=number * every, fault=mark == "x", rules=RULES)
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
def test_a_row_of_faults_or_a_bad_ratio_over_enough_calls_ejects(faults: str, expected: str | None) -> None:
    assert failing(outcomes(faults), RULES) == expected


def test_calls_that_left_the_window_do_not_count() -> None:
    """Twenty calls are needed within ten seconds: a trickle says too little."""
    assert failing(outcomes("...xx" * 10, every=1.0), RULES) is None


def test_the_window_holds_no_more_than_its_seconds() -> None:
    """However many calls a second are made: the value is copied with each."""
    assert len(outcomes("." * 5_000, every=0.01).by_second) <= RULES.success_window_seconds + 1


def test_each_trouble_within_memory_costs_a_longer_time_out() -> None:
    """30 s times n up to 300 s; ten minutes without trouble and it starts again."""
    ejections, now, lengths = Ejections(), 0.0, []
    for _ in range(12):
        ejections = troubled(ejections, now=now, times=1, rules=RULES)
        ejections = put_out(ejections, now=now, terms=ejections.count, reason="", rules=RULES, chance=0.0)
        assert ejections.until is not None
        lengths.append(ejections.until - now)
        now = ejections.until + 1.0

    assert lengths == [30.0 * n for n in range(1, 11)] + [300.0, 300.0]
    assert troubled(ejections, now=now + 600.0, times=1, rules=RULES).count == 1


def test_chance_only_shortens_an_ejection() -> None:
    """At most 300 s means at most."""
    out = put_out(Ejections(), now=0.0, terms=100, reason="", rules=RULES, chance=1.0)

    assert out.until == 240.0


def test_a_loss_that_calls_noticed_first_is_one_trouble() -> None:
    """Five refused calls come before three refused probes; an ejection that was there long before is another matter."""
    before = Ejections(count=3, troubled_at=0.0)
    out = put_out(
        troubled(before, now=10.0, times=1, rules=RULES),
        now=10.0,
        terms=4,
        reason="",
        rules=RULES,
        chance=0.0,
    )

    assert (
        absorbed(out, lost_at=11.0, rules=RULES).count,
        absorbed(out, lost_at=11.0, rules=RULES).until,
    ) == (3, None)
    assert absorbed(out, lost_at=30.0, rules=RULES) == out
