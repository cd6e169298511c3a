"""`RegionHealth`, what is known of a region's health, and the functions that derive its condition.

Two kinds of evidence take a region out of service, each with its own way back. Probes find out whether it can
be reached: three failures in a row and it is Unreachable, five answers in a row and it is back
(`health_after_probes.py`). Calls find out whether it does what it is asked: too many faults and it is Ejected
for a time, even while its probes pass (`health_after_calls.py`). What ends by time alone is in
`health_over_time.py`. All times are monotonic seconds of the caller's clock.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, structs

from gateway.regions.latency import NEVER, LatencyWindow, PeakEwma
from gateway.regions.outlier_detection import CallOutcomes, Ejections
from gateway.regions.region_condition import RegionCondition


class RegionHealth(Struct, frozen=True, kw_only=True):
    """The health of one region: its condition, and the probe and call results from which it follows."""

    name: str
    condition: RegionCondition = RegionCondition.UNKNOWN
    """The condition that `condition_of` derives from the other fields, kept with when and why it began."""
    since: float = NEVER
    """The time at which the condition began."""
    reason: str = ""
    """Why the condition began, as a sentence for people."""
    next_probe_at: float = NEVER
    probe_wanted_at: float = NEVER
    """The time at which an immediate probe was last requested; earlier probes do not answer it."""
    ever_answered: bool = False
    """Whether the region has answered a probe since this gateway started."""
    answered_at: float = NEVER
    """The start time of the newest probe that was answered."""
    failures: int = 0
    """The number of probes that failed in a row."""
    successes: int = 0
    """The number of probes that were answered in a row."""
    lost_at: float | None = None
    """The time since which the region is Unreachable; None while it is reachable."""
    losses: int = 0
    """The number of losses since `lost_at`: answering once and failing again is another loss."""
    lost_in_blackout: bool = False
    """Whether the region was lost in a blackout, by a fault of the gateway's own network.

    See `blackout_guard`.
    """
    restarted_while_lost: bool = False
    """Whether the cluster was restarted while it was lost: then it was down itself, blackout or not."""
    returned_at: float = NEVER
    """The time at which the region was last reachable again."""
    warming_since: float | None = None
    """The time since which the region is in slow start; None while it is not."""
    ewma: PeakEwma = PeakEwma()
    latency: LatencyWindow = LatencyWindow()
    outcomes: CallOutcomes = CallOutcomes()
    ejections: Ejections = Ejections()

    def __repr__(self) -> str:
        """Formats the health: `<RegionHealth beijing Unreachable (3 probes failed) since 3.0, ...>`."""
        ejected = "" if self.ejections.until is None else f", ejected until {self.ejections.until:.1f}"
        lost = "" if self.lost_at is None else f", lost at {self.lost_at:.1f} ({self.losses} times)"
        marks = (name for name in ("lost_in_blackout", "restarted_while_lost") if getattr(self, name))
        return (
            f"<RegionHealth {self.name} {self.condition} ({self.reason}) since {self.since:.1f},"
            f" failures {self.failures}, successes {self.successes}{lost}{ejected},"
            f" incidents {self.ejections.incidents}, consecutive faults {self.outcomes.consecutive_faults},"
            f" latency {self.ewma.latest_seconds:.3f} s, next probe at {self.next_probe_at:.1f}"
            f"{''.join(f', {mark}' for mark in marks)}>"
        )


def unknown_health(name: str) -> RegionHealth:
    """Returns the health of a region that has answered no probe yet; its first probe is due at once."""
    return RegionHealth(name=name)


def removed_health(name: str, now: float, reason: str) -> RegionHealth:
    """Returns the health of a region that is no longer probed: Unreachable from `now` on, for good."""
    return with_changes(unknown_health(name), now, because=reason, lost_at=now, next_probe_at=float("inf"))


def condition_of(health: RegionHealth) -> RegionCondition:
    """Returns the worst condition that follows from the other fields of a region's health."""
    if health.lost_at is not None:
        return RegionCondition.UNREACHABLE
    if not health.ever_answered:
        return RegionCondition.UNKNOWN
    if health.ejections.until is not None:
        return RegionCondition.EJECTED
    if health.latency.slow:
        return RegionCondition.DEGRADED
    return RegionCondition.HEALTHY if health.warming_since is None else RegionCondition.WARMING


def condition_with_journal(
    health: RegionHealth, *, admitted: bool, unknown_journal: str
) -> tuple[RegionCondition, str]:
    """Returns a region's condition and its reason, as placement and people see them.

    They are those of `health`, or worse ones because of the cluster's journal. `admitted`: the journal that
    the region's name is bound to answers and has opened the event stream. `unknown_journal`: the incarnation
    of another journal that answers under that name; empty if there is none.
    """
    if unknown_journal:
        # what answers there does not hold the region's attempts: the region itself is not reachable
        return RegionCondition.UNREACHABLE, f"another journal answers under this name: {unknown_journal}"
    if health.condition.reachable and not admitted:
        # a cluster refuses the stream to a store that is behind what it acknowledged: nothing is sent before
        # it has opened
        return RegionCondition.UNKNOWN, "its event stream has not opened yet"
    return health.condition, health.reason


def with_changes(health: RegionHealth, now: float, *, because: str = "", **changes: Any) -> RegionHealth:
    """Returns the region's health with `changes` to its fields, and with the condition that follows.

    A new condition begins at `now`. `because` is its reason, unless the condition has one of its own.
    """
    after = structs.replace(health, **changes)
    condition = condition_of(after)
    if condition is health.condition:
        return after
    reasons = {
        RegionCondition.EJECTED: after.ejections.reason,
        RegionCondition.HEALTHY: "",
        RegionCondition.WARMING: "slow start",
    }
    return structs.replace(after, condition=condition, since=now, reason=reasons.get(condition, because))


def count_answered_since(healths: Sequence[RegionHealth], since: float) -> int:
    """Returns the number of regions that have answered a probe which began after `since`."""
    return sum(health.answered_at > since for health in healths)


def any_kept_answering(healths: Sequence[RegionHealth], since: float) -> bool:
    """Returns whether some region was reachable before `since`, still is, and has answered a probe since.

    If so, the gateway's own network works, though perhaps not to every region.
    """
    return any(
        health.lost_at is None and health.returned_at <= since < health.answered_at for health in healths
    )
