"""When a shard may leave its region, and what comes after a lost attempt. Pure: every time is passed in."""

from collections.abc import Iterable

from gateway.core.shard_states import Event
from gateway.settings import Failover
from waypost.workflow.task import SideEffects


def wait_seconds(
    side_effects: SideEffects,
    *,
    ran_seconds: Iterable[float],
    deadline_in_seconds: float | None,
    settings: Failover,
) -> float:
    """How long a Suspect shard waits for its region before it moves (T7).

    Idempotent: as long as its running tasks have run, within bounds: waiting costs then at most about what moving would have
    cost (ski rental). A near deadline cuts that short. Exclusive: the lease and its drift, and no deadline shortens that.
    """
    if side_effects is SideEffects.EXCLUSIVE:
        return settings.exclusive_wait_seconds
    wait = max(ran_seconds, default=0.0)
    if deadline_in_seconds is not None:
        wait = min(wait, deadline_in_seconds / 2)
    return min(max(wait, settings.wait_minimum_seconds), settings.wait_maximum_seconds)


def may_leave(
    side_effects: SideEffects,
    *,
    now: float,
    suspected_at: float,
    fenced_until: float,
    wait: float,
) -> bool:
    """Has the wait passed? An exclusive shard counts from suspicion or its fence, whichever is later: until then a create may land."""
    since = max(suspected_at, fenced_until) if side_effects is SideEffects.EXCLUSIVE else suspected_at
    return now - since >= wait


def ending(attempts_lost: int, settings: Failover) -> Event:
    """What one more lost attempt means (T9)."""
    return Event.EXHAUSTED if attempts_lost + 1 >= settings.attempts_maximum else Event.LOST


def leaving(failovers: int, settings: Failover) -> Event:
    """What one more failover means (T7): a shard that wanders for ever is quarantined."""
    return Event.EXHAUSTED if failovers + 1 >= settings.failovers_maximum else Event.ABANDONED


def backoff_seconds(attempts_lost: int, settings: Failover) -> float:
    """Before the next attempt, after `attempts_lost` of them: doubled each time."""
    return min(settings.backoff_seconds * 2.0 ** max(0, attempts_lost - 1), settings.backoff_maximum_seconds)
