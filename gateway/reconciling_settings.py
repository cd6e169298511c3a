"""The settings of the reconciler: health of regions, failover and placing.

All numbers are finite and not negative: `gateway/settings_loading.py` refuses others.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

Seconds: TypeAlias = Annotated[float, Meta(gt=0)]
"""A time in seconds, above 0.

At 0 a loop would not pause, or a window would hold nothing.
"""
Count: TypeAlias = Annotated[int, Meta(ge=1)]
Fraction: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
"""A fraction from 0 to 1."""


class HealthSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of regions' health: when a region counts as lost, slow or failing, and as recovered."""

    probe_interval_seconds: Seconds = 2.0
    """The pause between two probes of a region, varied by `jitter`."""
    jitter: Fraction = 0.2
    """The largest fraction by which chance varies a probe's pause, and shortens an ejection."""
    probe_retry_seconds: Seconds = 0.5
    """The pause before the next probe after a failed one."""
    probe_timeout_seconds: Seconds = 1.0
    """The timeout of a probe."""
    failures_down: Count = 3
    """The number of probes in a row that must fail before a region is Unreachable.

    A silent region is Unreachable after 7.5 s at worst, a dead one after 2 s.
    """
    successes_up: Count = 5
    """The probes in a row that must succeed before an Unreachable region takes work.

    One is enough for a region that never answered.
    """
    silence_seconds: Seconds = 3.0
    """The longest silence of a region's event stream before a probe is sent at once.

    Not even a beat has come then.
    """
    ewma_tau_seconds: Seconds = 10.0
    """The time in which the peak EWMA falls towards a faster sample by a factor e."""
    failure_counts_seconds: float = 5.0
    """The latency that a failed call or probe counts as in the peak EWMA."""
    consecutive_errors: Count = 5
    """The number of failed calls in a row (unreachable, timeout, 502/503/504) that eject a region."""
    success_ratio: Fraction = 0.8
    """The fraction of a region's recent calls that must succeed; below it the region is ejected."""
    success_window_seconds: Seconds = 10.0
    """The time for which a call counts as recent for `success_ratio`."""
    success_minimum_calls: int = 20
    """The number of recent calls below which `success_ratio` ejects no region.

    The ratio of a few calls is chance.
    """
    ejection_seconds: float = 30.0
    """The length of the first ejection; the n-th is n times as long. Chance shortens it, up to `jitter`."""
    ejection_maximum_seconds: float = 300.0
    """The length of the longest ejection."""
    ejected_ratio: Fraction = 0.5
    """The largest fraction of regions that may be ejected at once; the last one that answers never is."""
    ejection_forgotten_seconds: float = 600.0
    """The time without an ejection or a loss after which a region's count of them starts again."""
    degraded_seconds: float = 0.3
    """The p90 of round trips above which a region is Degraded, after `degraded_evaluations`."""
    degraded_window_seconds: Seconds = 10.0
    """The length of the window of round trips from which the p90 is computed."""
    degraded_evaluations: Count = 3
    """The evaluations in a row, one a second, in which the p90 must exceed `degraded_seconds`."""
    recovered_ratio: Fraction = 0.7
    """The fraction of `degraded_seconds` that the p90 of a recovering region must stay below."""
    recovered_seconds: float = 60.0
    """The time for which the p90 must stay under `recovered_ratio` for a region to recover."""
    slow_start_seconds: Seconds = 60.0
    """The time over which a returning region's share of work grows to its whole."""
    slow_start_floor: Fraction = 0.1
    """The fraction of its share of work that a region in slow start gets at first."""
    blackout_seconds: float = 10.0
    """The time within which regions must be lost to count as lost together."""
    blackout_ratio: Fraction = 0.5
    """The fraction of regions above which their loss together means that the gateway itself is cut off."""


class FailoverSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of failover: when and how often shards move, and when calls and queries are repeated."""

    fence_seconds: float = 5.0
    """The time after an intent in which a cluster may accept its create, in cluster uptime."""
    wait_minimum_seconds: float = 2.0
    """The shortest wait of a Suspect idempotent shard, which waits as long as its running tasks have run."""
    wait_maximum_seconds: float = 10.0
    """The longest wait of a Suspect idempotent shard: waiting costs about what moving would (ski rental)."""
    exclusive_wait_seconds: float = 17.0
    """The wait of a Suspect exclusive shard after BOTH suspicion and fence (15 s lease, 2 s drift)."""
    attempts_maximum: Count = 5
    """The number of lost attempts after which a shard is quarantined."""
    failovers_maximum: int = 20
    """The number of failovers after which a shard is quarantined; lost attempts are counted apart."""
    region_losses_maximum: Count = 5
    """The number of regions lost while they ran a shard, after which the shard is quarantined.

    A region counts that died, or fell silent for good, while a task of the shard ran there.
    After two of them it is kept from other shards like it, so that no innocent is quarantined with it.
    """
    losses_forgotten_seconds: float = 3_600.0
    """The time without a further loss of a region after which a shard's count of such losses restarts."""
    apart_seconds: float = 10.0
    """The shortest time for which a shard that lost two regions runs in a region without others like it.

    The time is half as long again as its tasks had run when it lost a region, if that is longer.
    """
    backoff_seconds: float = 1.0
    """The pause of a shard after its first lost attempt; each further lost attempt doubles it."""
    backoff_maximum_seconds: float = 30.0
    """The longest pause of a shard after a lost attempt."""
    resend_seconds: Seconds = 1.0
    """The time without an answer after which a create request or tombstone is sent again."""
    compare_seconds: Seconds = 30.0
    """The pause between two comparisons of the attempts that a cluster holds with those in the store."""
    decision_fresh_seconds: Seconds = 300.0
    """The age above which policy is asked again before a decision places a shard."""


class PlacingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of placing: how often and how many shards are placed, and which scores count as equal."""

    near: Annotated[float, Meta(ge=1)] = 1.10
    """The factor of the best score within which regions count as equal, so as not to crowd one.

    One winner would get the work of all gateways at once.
    """
    latency_floor_seconds: float = 0.01
    """The latency below which regions count as equal: between neighbours load decides, not noise."""
    batch: Count = 100
    """The maximum number of waiting shards that one pass of the controller places."""
    look_seconds: Seconds = 0.5
    """The pause between two looks for waiting shards when nothing is known to have changed."""
    defer_seconds: float = 5.0
    """The time for which a run that fits nowhere is skipped (+-20 %), unless a slot for it is free sooner."""
