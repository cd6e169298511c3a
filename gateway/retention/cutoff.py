"""Decides which ended runs are archived, by their age and their number. Pure."""

from gateway.ended_run_settings import RetentionSettings
from gateway.store.rules import KEY_SECONDS

DAY_SECONDS = 86_400.0


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
