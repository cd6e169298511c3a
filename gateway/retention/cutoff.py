"""Decides what is archived by its age and its number: ended runs, and the oldest of the audit trail. Pure."""

from collections.abc import Sequence
from typing import Final

from gateway.ended_run_settings import RetentionSettings
from gateway.store.rules import KEY_SECONDS
from observability.audit import Seal

DAY_SECONDS: Final = 86_400.0
TRAIL_STEP_SECONDS: Final = 3_600.0
"""The age by which the oldest seal is due before any is archived: files of an hour, not of each pass."""
TRAIL_STEP: Final = 0.1
"""The part of `audit_maximum` by which there are too many entries before any is archived."""
CATCH_UP: Final = 2.0
"""The seconds by which the time of retention may advance in one second, until it is that of the clock."""


def time_of_retention(last: float | None, *, now: float, elapsed: float) -> float:
    """Returns the time by which ages are counted: that of the clock, but no jump of it ages anything.

    `last` is the time that this returned `elapsed` seconds ago, of which the gateway has run all; None if it
    never did. A clock that is set forward while no gateway runs is a jump too, and so is a long rest of the
    gateway: what it ages goes at twice the pace, not at once.
    """
    return now if last is None else min(now, last + CATCH_UP * elapsed)


def archive_before(settings: RetentionSettings, *, now: float, last_kept: float | None) -> float | None:
    """Returns the time before which runs must have ended to be archived; None if no run is.

    `last_kept` is when the oldest of the `runs_maximum` newest ended runs ended; None if there are fewer. A
    run is never archived while its idempotency key leads to it. Times are in seconds since 1970.
    """
    cutoffs = []
    if settings.runs_days is not None:
        cutoffs.append(now - settings.runs_days * DAY_SECONDS)
    if settings.runs_maximum is not None and last_kept is not None:
        cutoffs.append(last_kept)
    return min(max(cutoffs), now - KEY_SECONDS) if cutoffs else None


def trail_is_due(settings: RetentionSettings, first: Seal, *, now: float, entries: int) -> bool:
    """Returns whether some of the audit trail is to be archived; `first` is its first seal of `entries`."""
    days, maximum = settings.audit_days, settings.audit_maximum
    by_age = days is not None and first.at < now - days * DAY_SECONDS - TRAIL_STEP_SECONDS
    return by_age or (maximum is not None and entries > maximum * (1 + TRAIL_STEP))


def seals_to_archive(
    settings: RetentionSettings, seals: Sequence[Seal], *, now: float, entries: int
) -> Sequence[Seal]:
    """Returns the first of `seals` that are archived: too old, or over too many of the `entries` in all."""
    days, maximum = settings.audit_days, settings.audit_maximum
    before = None if days is None else now - days * DAY_SECONDS
    for number, seal in enumerate(seals):
        by_age = before is not None and seal.at < before
        if not by_age and (maximum is None or entries <= maximum):
            return seals[:number]
        entries -= len(seal.entries)
    return seals
