"""Outlier detection, after Envoy's: ejects a region for a time if its calls fail, even if its probes pass.

As in Envoy, faults in a row or a low success rate eject, and the n-th ejection lasts n times the first.
Unlike Envoy, a loss that probes found counts as an incident too, so a region that flaps stays out for longer
and longer.
"""

from typing import Final

from msgspec import Struct, structs

from gateway.regions.latency import NEVER
from gateway.settings import HealthSettings

FAULTS: Final = frozenset({"Unreachable", "Timeout", "Unavailable"})
"""The reasons of failed calls that count against a region: no connection, no answer in time, 502/503/504.

Other reasons are about the request, not about the region.
"""


class CallOutcomes(Struct, frozen=True, kw_only=True):
    """How many recent calls to a region were made and failed, and how many failed in a row."""

    by_second: tuple[tuple[int, int, int], ...] = ()
    """The counts of each second, oldest first, as (monotonic second, calls, faults).

    Their number is bounded by the window, however many calls are made.
    """
    consecutive_faults: int = 0
    """The number of failed calls since the last success, however long ago that was."""


def after_outcome(
    outcomes: CallOutcomes, *, at: float, fault: bool, settings: HealthSettings
) -> CallOutcomes:
    """Returns a region's call outcomes with one more call, ended at `at`, and without calls too long ago."""
    second = int(at)
    kept = [entry for entry in outcomes.by_second if entry[0] > at - settings.success_window_seconds]
    calls, faults = 1, int(fault)
    if kept and kept[-1][0] == second:
        _, calls_before, faults_before = kept.pop()
        calls, faults = calls + calls_before, faults + faults_before
    return CallOutcomes(
        by_second=(*kept, (second, calls, faults)),
        consecutive_faults=outcomes.consecutive_faults + 1 if fault else 0,
    )


def ejection_reason(outcomes: CallOutcomes, settings: HealthSettings) -> str | None:
    """Returns a sentence on why to eject the region: too many calls failed in a row, or of the recent ones.

    None if neither is the case.
    """
    if outcomes.consecutive_faults >= settings.consecutive_errors:
        return f"{outcomes.consecutive_faults} calls in a row failed"
    calls = sum(entry[1] for entry in outcomes.by_second)
    faults = sum(entry[2] for entry in outcomes.by_second)
    # the ratio of a few calls is chance: they must be enough (as in Envoy's success_rate_request_volume)
    if calls >= settings.success_minimum_calls and calls - faults < settings.success_ratio * calls:
        return f"{faults} of {calls} calls failed"
    return None


class Ejections(Struct, frozen=True, kw_only=True):
    """A region's newest ejection, and the number of its recent incidents (ejections and losses).

    The more incidents, the longer the next ejection. Times are monotonic seconds.
    """

    incidents: int = 0
    """The number of recent incidents, each within `ejection_forgotten_seconds` of the one before."""
    since: float = NEVER
    """The time at which the newest ejection began."""
    until: float | None = None
    """The time at which the ejection ends; None while the region is not ejected."""
    incident_ended_at: float = NEVER
    """The end of the newest incident; for an ejection it is known when the ejection begins."""
    reason: str = ""


def after_incidents(
    ejections: Ejections, *, now: float, incidents: int, settings: HealthSettings
) -> Ejections:
    """Returns the region's ejections with `incidents` more, ended at `now`; old incidents are forgotten."""
    forgotten = now - ejections.incident_ended_at >= settings.ejection_forgotten_seconds
    before = 0 if forgotten else ejections.incidents
    return structs.replace(ejections, incidents=before + incidents, incident_ended_at=now)


def begin_ejection(
    ejections: Ejections, *, now: float, multiplier: int, reason: str, settings: HealthSettings, chance: float
) -> Ejections:
    """Returns the region's ejections with one that begins at `now`, for `multiplier` times the base time.

    `ejection_maximum_seconds` bounds the duration. `chance`, a random number in 0..1, shortens the ejection
    by up to the fraction `jitter`, so that regions ejected together do not return together.
    """
    seconds = min(multiplier * settings.ejection_seconds, settings.ejection_maximum_seconds)
    until = now + seconds * (1.0 - settings.jitter * chance)
    return structs.replace(ejections, since=now, until=until, incident_ended_at=until, reason=reason)


def end_ejection(ejections: Ejections) -> Ejections:
    """Returns the region's ejections with the present one ended; it still counts as an incident."""
    return structs.replace(ejections, until=None)


def after_loss(ejections: Ejections, *, lost_at: float, settings: HealthSettings) -> Ejections:
    """Returns the region's ejections after the region became Unreachable at `lost_at`.

    An ejection that began just before the loss ends, and is not counted: it is the same incident, which calls
    noticed sooner than probes. When the region returns, the loss is counted. An ejection that began longer
    ago was an incident of its own and goes on.
    """
    if ejections.until is None or lost_at - ejections.since > settings.blackout_seconds:
        return ejections
    return structs.replace(
        ejections, incidents=ejections.incidents - 1, until=None, incident_ended_at=lost_at
    )
