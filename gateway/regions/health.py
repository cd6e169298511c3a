"""The health of a region: what probes, calls and time make of it. Pure: each function returns the region's next health.

Two kinds of evidence, each with its own way out of service. **Probes** tell whether the region can be reached: three failures in a row
and it is Unreachable, five successes in a row and it is back. **Calls** tell whether it does what it is asked: too many faults and it is
Ejected for a time, whatever its probes say. Each loss within memory of an earlier one is trouble too, and keeps a region that came back
out for longer and longer. Times are monotonic seconds of the caller.
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct, structs

from gateway.core.instant import Instant
from gateway.regions.latency import NEVER, Pace, PeakEwma, judged, peak_at, recent_p90, sampled, timed
from gateway.regions.outlier_detection import (
    FAULTS,
    Ejections,
    Outcomes,
    absorbed,
    counted,
    failing,
    put_out,
    served,
    troubled,
)
from gateway.regions.region_condition import RegionCondition
from gateway.regions.region_view import RegionView
from gateway.settings import HealthSettings


class RegionHealth(Struct, frozen=True, kw_only=True):
    """What is known of the road to a region and of its doings. `condition` follows from the rest, see `_condition`."""

    name: str
    condition: RegionCondition = RegionCondition.UNKNOWN
    since: float = NEVER
    """When the condition began."""
    reason: str = ""
    next_probe_at: float = NEVER
    asked_at: float = NEVER
    """When somebody last wanted a probe at once: one that began before that does not answer the question."""
    heard: bool = False
    """It has answered a probe since this gateway started."""
    answered_at: float = NEVER
    """When the newest probe that was answered began."""
    failures: int = 0
    """Probes failed in a row."""
    successes: int = 0
    """Probes answered in a row."""
    lost_at: float | None = None
    """Since when it is Unreachable."""
    losses: int = 0
    """How often it was lost since then: answering once and failing again is another loss."""
    excused: bool = False
    """It was lost together with most others: that was our own road, see `blackout.excused`."""
    restarted: bool = False
    """Another boot was seen while it was lost: the loss was its own, whoever else was lost as well."""
    returned_at: float = NEVER
    """When it was last reachable again."""
    warming_since: float | None = None
    """Since when it is in slow start."""
    ewma: PeakEwma = PeakEwma()
    pace: Pace = Pace()
    outcomes: Outcomes = Outcomes()
    ejections: Ejections = Ejections()


def unknown(name: str) -> RegionHealth:
    """A region that was not heard of yet; its first probe is due at once."""
    return RegionHealth(name=name)


# Probes


def probed(
    health: RegionHealth,
    *,
    began: float,
    ended: float,
    failure: str | None,
    rules: HealthSettings,
    dice: Callable[[], float],
    detail: str = "",
) -> RegionHealth:
    """After a probe; `failure` is why there was no good answer, `detail` the same for people. `dice` gives 0..1."""
    if failure is None:
        health = _answered(health, began=began, ended=ended, rules=rules, dice=dice)
    else:
        health = _unanswered(health, began=began, ended=ended, failure=failure, detail=detail, rules=rules)
    return structs.replace(health, next_probe_at=ended + _pause(health, began, rules, dice))


def _pause(health: RegionHealth, began: float, rules: HealthSettings, dice: Callable[[], float]) -> float:
    """A region that was only lost to us is asked at the quick pace until it is back: ours to make good."""
    if health.failures or (health.excused and health.lost_at is not None):
        return rules.probe_retry_seconds
    if began < health.asked_at:
        return 0.0
    return rules.probe_interval_seconds * (1.0 + rules.jitter * (2.0 * dice() - 1.0))


def _answered(
    health: RegionHealth, *, began: float, ended: float, rules: HealthSettings, dice: Callable[[], float]
) -> RegionHealth:
    seconds = ended - began
    successes = health.successes + 1
    first = not health.heard
    back = health.lost_at is not None and (first or successes >= rules.successes_up)
    ewma = (
        PeakEwma() if first or back else health.ewma
    )  # what the outage cost is over: caution is for slow start
    health = _moved(
        health,
        ended,
        heard=True,
        answered_at=began,
        failures=0,
        successes=successes,
        ewma=sampled(ewma, at=ended, seconds=seconds, tau_seconds=rules.ewma_tau_seconds),
        pace=timed(
            Pace() if first else health.pace, at=ended, seconds=seconds, rules=rules
        ),  # what it cost to be heard at all is over
        lost_at=None if first else health.lost_at,
        losses=0 if first else health.losses,
        returned_at=ended if first else health.returned_at,
    )
    return _returned(health, ended, rules=rules, dice=dice) if back and not first else health


def _returned(
    health: RegionHealth, now: float, *, rules: HealthSettings, dice: Callable[[], float]
) -> RegionHealth:
    """Reachable again. Its first loss costs it a slow start; one more within memory, a time out as well; one that was our own, nothing."""
    if health.excused:
        return _moved(health, now, lost_at=None, losses=0, returned_at=now)
    ejections = troubled(health.ejections, now=now, times=health.losses, rules=rules)
    if ejections.count > 1:
        reason = f"lost {ejections.count} times of late"
        ejections = put_out(
            ejections, now=now, terms=ejections.count - 1, reason=reason, rules=rules, chance=dice()
        )
    return _moved(
        health, now, lost_at=None, losses=0, returned_at=now, warming_since=now, ejections=ejections
    )


def _unanswered(
    health: RegionHealth, *, began: float, ended: float, failure: str, detail: str, rules: HealthSettings
) -> RegionHealth:
    failures = health.failures + 1
    changes: dict[str, Any] = {
        "failures": failures,
        "successes": 0,
        "ewma": _fault_sampled(health.ewma, ended, rules),
    }
    if failure == "Timeout" and health.lost_at is None:  # it took at least so long
        changes["pace"] = timed(health.pace, at=ended, seconds=ended - began, rules=rules)
    if failures == rules.failures_down:
        changes |= {"pace": Pace(), "outcomes": Outcomes(), "losses": health.losses + 1}
        if health.lost_at is None:
            changes |= {"lost_at": ended, "excused": False, "restarted": False}
            if (
                health.ejections.since > health.returned_at
            ):  # put out by calls, not for having been lost before
                changes["ejections"] = absorbed(health.ejections, lost_at=ended, rules=rules)
    why = f"{failure} ({detail})" if detail else failure
    return _moved(health, ended, because=f"{failures} probes failed: {why}", **changes)


def probe_now(health: RegionHealth, now: float) -> RegionHealth:
    """The stream ended, is silent, or a connection was refused: ask at once. Where probes fail already the next is near enough."""
    if health.failures:
        return health
    return structs.replace(health, next_probe_at=min(health.next_probe_at, now), asked_at=now)


# Calls


def called(
    health: RegionHealth,
    *,
    ended: float,
    seconds: float,
    failure: str | None,
    rules: HealthSettings,
    dice: Callable[[], float],
    items: int = 1,
) -> RegionHealth:
    """After a call that carried `items`. Failures outside `FAULTS` say nothing of the region's health.

    A call takes longer the more it carries, so its sample is its time per item, and never less than the bare round trip of the last probe.
    """
    if failure is not None and failure not in FAULTS:
        return health
    fault = failure is not None
    if fault:
        ewma = _fault_sampled(health.ewma, ended, rules)
        health = structs.replace(
            health, next_probe_at=min(health.next_probe_at, ended + rules.probe_retry_seconds)
        )
    else:
        bare = health.pace.round_trips[-1][1] if health.pace.round_trips else 0.0
        ewma = sampled(
            health.ewma,
            at=ended,
            seconds=max(bare, seconds / max(1, items)),
            tau_seconds=rules.ewma_tau_seconds,
        )
    health = structs.replace(
        health, ewma=ewma, outcomes=counted(health.outcomes, at=ended, fault=fault, rules=rules)
    )
    reason = failing(health.outcomes, rules) if fault and health.heard and health.lost_at is None else None
    if reason is None or health.ejections.until is not None:
        return health
    ejections = troubled(health.ejections, now=ended, times=1, rules=rules)
    ejections = put_out(
        ejections, now=ended, terms=ejections.count, reason=f"{reason}: {failure}", rules=rules, chance=dice()
    )
    return _moved(health, ended, ejections=ejections)


def _fault_sampled(ewma: PeakEwma, at: float, rules: HealthSettings) -> PeakEwma:
    """A failure is dear however quickly it came: failing fast must not attract work."""
    return sampled(ewma, at=at, seconds=rules.failure_counts_seconds, tau_seconds=rules.ewma_tau_seconds)


# Time


def evaluated(health: RegionHealth, now: float, rules: HealthSettings) -> RegionHealth:
    """What time does; to be called once a second.

    Who has served an ejection comes back in slow start. The row of faults is kept over it, so that one more fault, with no success
    in between, puts the region out again.
    """
    changes: dict[str, Any] = {}
    until, warming_since = health.ejections.until, health.warming_since
    if until is not None and now >= until:
        changes |= {"ejections": served(health.ejections), "warming_since": now}
    elif warming_since is not None and now - warming_since >= rules.slow_start_seconds:
        changes["warming_since"] = None
    if health.lost_at is None:
        pace = judged(health.pace, now, rules)
        changes["pace"] = pace
        p90 = recent_p90(pace, now, rules)
        return _moved(
            health,
            now,
            because=f"p90 of round trips {p90:.3f} s" if pace.slow and p90 is not None else "",
            **changes,
        )
    return _moved(health, now, **changes)


def restarted(health: RegionHealth) -> RegionHealth:
    """Another boot of the cluster was seen. No outage by itself: what the old process did is forgotten.

    One that was excused for a blackout was ill after all, and comes back like any other.
    """
    pace = structs.replace(health.pace, round_trips=(), over=0)
    return structs.replace(
        health, outcomes=Outcomes(), pace=pace, excused=False, restarted=health.lost_at is not None
    )


def weight(health: RegionHealth, now: float, rules: HealthSettings) -> float:
    """The region's share in `slow_start_floor`..1: it grows evenly while the region warms up."""
    if health.warming_since is None:
        return 1.0
    part = min(1.0, max(0.0, (now - health.warming_since) / rules.slow_start_seconds))
    return rules.slow_start_floor + (1.0 - rules.slow_start_floor) * part


def view(
    health: RegionHealth,
    *,
    inflight: int,
    free_slots: int,
    queued: int,
    executors: frozenset[str],
    cordoned: bool,
    now: Instant,
    rules: HealthSettings,
    share: float = 1.0,
    cpu: float | None = None,
) -> RegionView:
    """The region as placement sees it. `share` is the operator's weight for it."""
    return RegionView(
        name=health.name,
        condition=health.condition,
        free_slots=free_slots,
        peak_ewma_seconds=peak_at(health.ewma, now.monotonic, rules.ewma_tau_seconds),
        inflight=inflight,
        weight=share * weight(health, now.monotonic, rules),
        queued=queued,
        cordoned=cordoned,
        executors=executors,
        cpu=cpu,
        since=now.wall - (now.monotonic - health.since) if health.since > NEVER else 0.0,
        reason=health.reason,
    )


def _condition(health: RegionHealth) -> RegionCondition:
    """The worst that holds."""
    if health.lost_at is not None:
        return RegionCondition.UNREACHABLE
    if not health.heard:
        return RegionCondition.UNKNOWN
    if health.ejections.until is not None:
        return RegionCondition.EJECTED
    if health.pace.slow:
        return RegionCondition.DEGRADED
    return RegionCondition.HEALTHY if health.warming_since is None else RegionCondition.WARMING


def _moved(health: RegionHealth, now: float, *, because: str = "", **changes: Any) -> RegionHealth:
    """The health with `changes` and the condition that follows from them; where that is another one, since when and why."""
    after = structs.replace(health, **changes)
    condition = _condition(after)
    if condition is health.condition:
        return after
    reasons = {
        RegionCondition.EJECTED: after.ejections.reason,
        RegionCondition.HEALTHY: "",
        RegionCondition.WARMING: "slow start",
    }
    return structs.replace(after, condition=condition, since=now, reason=reasons.get(condition, because))


# All regions together


def answered_since(healths: Sequence[RegionHealth], since: float) -> int:
    """How many regions have answered a probe that was begun after `since`."""
    return sum(health.answered_at > since for health in healths)
