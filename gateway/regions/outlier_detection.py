"""What calls tell of a region that its probes do not: outcomes counted, and the time that it then stays out."""

from typing import Final

from msgspec import Struct, structs

from gateway.regions.latency import NEVER
from gateway.settings import HealthSettings

FAULTS: Final = frozenset({"Unreachable", "Timeout", "Unavailable"})
"""Failures of a call that count against the region: no connection, no answer in time, 502/503/504. Others are about what was asked."""


class Outcomes(Struct, frozen=True, kw_only=True):
    """Calls of the last seconds as (second, calls, faults), and the faults since the last success."""

    by_second: tuple[tuple[int, int, int], ...] = ()
    faults_in_a_row: int = 0


def counted(outcomes: Outcomes, *, at: float, fault: bool, rules: HealthSettings) -> Outcomes:
    """One more call that ended at `at`; seconds that left the window are dropped."""
    second = int(at)
    kept = [entry for entry in outcomes.by_second if entry[0] > at - rules.success_window_seconds]
    calls, faults = 1, int(fault)
    if kept and kept[-1][0] == second:
        _, before, faults_before = kept.pop()
        calls, faults = calls + before, faults + faults_before
    return Outcomes(
        by_second=(*kept, (second, calls, faults)),
        faults_in_a_row=outcomes.faults_in_a_row + 1 if fault else 0,
    )


def failing(outcomes: Outcomes, rules: HealthSettings) -> str | None:
    """Why the outcomes are bad enough to eject, in words for people; None where they are not."""
    if outcomes.faults_in_a_row >= rules.consecutive_errors:
        return f"{outcomes.faults_in_a_row} calls in a row failed"
    calls = sum(entry[1] for entry in outcomes.by_second)
    faults = sum(entry[2] for entry in outcomes.by_second)
    if calls >= rules.success_minimum_calls and calls - faults < rules.success_ratio * calls:
        return f"{faults} of {calls} calls failed"
    return None


class Ejections(Struct, frozen=True, kw_only=True):
    """How often the region was in trouble of late, and until when it stays out; None while it is not out."""

    count: int = 0
    since: float = NEVER
    until: float | None = None
    troubled_at: float = NEVER
    """End of the latest trouble."""
    reason: str = ""


def troubled(ejections: Ejections, *, now: float, times: int, rules: HealthSettings) -> Ejections:
    """The count, raised by `times`; what lies long enough behind is forgotten first."""
    before = 0 if now - ejections.troubled_at >= rules.ejection_forgotten_seconds else ejections.count
    return structs.replace(ejections, count=before + times, troubled_at=now)


def put_out(
    ejections: Ejections, *, now: float, terms: int, reason: str, rules: HealthSettings, chance: float
) -> Ejections:
    """Out for `terms` times the first ejection, at most the longest. `chance` in 0..1 remits a part, so that not all come back at once."""
    seconds = min(terms * rules.ejection_seconds, rules.ejection_maximum_seconds) * (
        1.0 - rules.jitter * chance
    )
    return structs.replace(
        ejections, since=now, until=now + seconds, troubled_at=now + seconds, reason=reason
    )


def served(ejections: Ejections) -> Ejections:
    """Its time is over."""
    return structs.replace(ejections, until=None)


def absorbed(ejections: Ejections, *, lost_at: float, rules: HealthSettings) -> Ejections:
    """The region is lost. If calls noticed that before the probes did, it is one trouble and not two, and the loss speaks for it."""
    if ejections.until is None or lost_at - ejections.since > rules.blackout_seconds:
        return ejections
    return structs.replace(ejections, count=ejections.count - 1, until=None, troubled_at=lost_at)
