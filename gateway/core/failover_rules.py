"""The rules of failover: how long a Suspect shard waits, how many losses it survives, when it is retried.

They are pure functions, to which every time is passed. `gateway/reconciler/failover.py` applies them.
"""

from collections.abc import Iterable
from typing import Final

from gateway.core.shard_states import Event, Shard
from gateway.settings import FailoverSettings
from waypost.workflow.task import SideEffects


def suspect_wait_seconds(
    side_effects: SideEffects,
    *,
    ran_seconds: Iterable[float],
    deadline_in_seconds: float | None,
    settings: FailoverSettings,
) -> float:
    """Returns how many seconds a Suspect shard waits for its lost region before it moves to another region.

    An idempotent shard waits as long as its running tasks have run, within bounds: waiting then costs at most
    about what moving would have cost (the ski rental problem). A near deadline cuts the wait short. An
    exclusive shard waits until its lease has surely ended by any clock, and no deadline shortens that.
    """
    if side_effects is SideEffects.EXCLUSIVE:
        return settings.exclusive_wait_seconds
    wait = max(ran_seconds, default=0.0)
    if deadline_in_seconds is not None:
        # half, so that as much time is left for running elsewhere
        wait = min(wait, deadline_in_seconds / 2)
    return min(max(wait, settings.wait_minimum_seconds), settings.wait_maximum_seconds)


def suspect_wait_is_over(
    side_effects: SideEffects,
    *,
    now: float,
    suspected_at: float,
    fenced_until: float,
    wait_seconds: float,
) -> bool:
    """Returns whether a Suspect shard has waited long enough to move to another region.

    All times are in monotonic seconds. An exclusive shard's wait begins at `suspected_at` or `fenced_until`,
    whichever is later: before `fenced_until`, a create call still under way may start the attempt.
    """
    since = max(suspected_at, fenced_until) if side_effects is SideEffects.EXCLUSIVE else suspected_at
    return now - since >= wait_seconds


POISON_LOSSES: Final = 2
"""The number of region losses from which on a shard counts as a possible cause of them (a poison shard)."""


def regions_lost_after(shard: Shard, wall: float, settings: FailoverSettings) -> int:
    """Returns the shard's count of recent region losses, with one more at `wall` (seconds since 1970)."""
    return 1 + (shard.regions_lost if _losses_count(shard, wall, settings) else 0)


def may_be_poison(shard: Shard, wall: float, settings: FailoverSettings) -> bool:
    """Returns whether the shard had so many recent region losses that it may cause them (a poison shard).

    `wall` is now, in seconds since 1970. Losses count until `losses_forgotten_seconds` after the last one.
    Shards that may be poison are kept in regions apart from each other.
    """
    return shard.regions_lost >= POISON_LOSSES and _losses_count(shard, wall, settings)


def _losses_count(shard: Shard, wall: float, settings: FailoverSettings) -> bool:
    """Returns whether the shard's last region loss is recent enough at `wall` for its losses to count."""
    return wall - shard.region_lost_at < settings.losses_forgotten_seconds


def loss_event(attempts_lost: int, settings: FailoverSettings) -> Event:
    """Returns the shard's event for one more lost attempt: `EXHAUSTED` at `attempts_maximum`, else `LOST`.

    `attempts_lost` is the number of attempts that it lost before.
    """
    return Event.EXHAUSTED if attempts_lost + 1 >= settings.attempts_maximum else Event.LOST


def failover_event(failovers: int, settings: FailoverSettings) -> Event:
    """Returns the shard's event for one more failover: `EXHAUSTED` at `failovers_maximum`, else `ABANDONED`.

    `failovers` is the number of its earlier failovers. Without a maximum a shard that every region loses
    would move for ever.
    """
    return Event.EXHAUSTED if failovers + 1 >= settings.failovers_maximum else Event.ABANDONED


def backoff_seconds(attempts_lost: int, settings: FailoverSettings) -> float:
    """Returns the pause before a shard's next attempt; each lost attempt doubles it, up to a maximum."""
    return min(settings.backoff_seconds * 2.0 ** max(0, attempts_lost - 1), settings.backoff_maximum_seconds)
