"""Tests which runs retention lets go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ended_run_settings import RetentionSettings
from gateway.retention.cutoff import (
    DAY_SECONDS,
    archive_before,
    seals_to_archive,
    time_of_retention,
    trail_is_due,
)
from gateway.store.rules import KEY_SECONDS
from observability.audit import Seal

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("settings", "last_kept", "expected"),
    [
        (RetentionSettings(), None, None),
        (RetentionSettings(runs_days=30), None, NOW - 30 * DAY_SECONDS),
        (RetentionSettings(runs_maximum=5), None, None),
        (RetentionSettings(runs_maximum=5), NOW - 40 * DAY_SECONDS, NOW - 40 * DAY_SECONDS),
        (RetentionSettings(runs_maximum=5), NOW - 60, NOW - KEY_SECONDS),
        (RetentionSettings(runs_days=30, runs_maximum=5), NOW - 9 * DAY_SECONDS, NOW - 9 * DAY_SECONDS),
        (RetentionSettings(runs_days=7, runs_maximum=5), NOW - 9 * DAY_SECONDS, NOW - 7 * DAY_SECONDS),
    ],
    ids=["off", "age", "few", "many", "many and young", "many", "old"],
)
def test_a_run_goes_by_age_or_number(
    settings: RetentionSettings, last_kept: float | None, expected: float | None
) -> None:
    """Whichever comes first, and never while its key leads to it."""
    assert archive_before(settings, now=NOW, last_kept=last_kept) == expected


@given(st.floats(min_value=3, max_value=10_000), st.floats(min_value=0, max_value=NOW), st.booleans())
def test_no_key_outlives_its_run(days: float, last_kept: float, by_age: bool) -> None:
    """A repeated submission would otherwise make a second run."""
    settings = RetentionSettings(runs_days=days if by_age else None, runs_maximum=1)
    before = archive_before(settings, now=NOW, last_kept=last_kept)
    assert before is not None
    assert before <= NOW - KEY_SECONDS


@pytest.mark.parametrize(
    ("last", "elapsed", "expected"),
    [
        (None, 0.0, NOW),
        (NOW - 60, 60.0, NOW),
        (NOW - 61, 60.0, NOW),
        (NOW - 4_000 * DAY_SECONDS, 0.0, NOW - 4_000 * DAY_SECONDS),
        (NOW - 4_000 * DAY_SECONDS, 60.0, NOW - 4_000 * DAY_SECONDS + 120),
        (NOW + 60, 60.0, NOW),
    ],
    ids=["new", "running", "late", "jumped", "catching up", "set back"],
)
def test_a_jump_of_the_clock_ages_nothing(last: float | None, elapsed: float, expected: float) -> None:
    """Time counts while a gateway runs; what is behind catches up at twice the pace."""
    assert time_of_retention(last, now=NOW, elapsed=elapsed) == expected


def seals(*days_old: float) -> list[Seal]:
    """Returns seals over ten entries each, as old as given."""
    entries = tuple((number, "ab") for number in range(10))
    return [Seal(number=1, before="", at=NOW - days * DAY_SECONDS, entries=entries) for days in days_old]


@pytest.mark.parametrize(
    ("settings", "ages", "entries", "expected"),
    [
        (RetentionSettings(), (900.0,), 10, 0),
        (RetentionSettings(audit_days=30), (40.0, 31.0, 29.0), 30, 2),
        (RetentionSettings(audit_days=30), (30.01,), 10, 0),
        (RetentionSettings(audit_maximum=1000), (4.0, 3.0, 2.0), 1_100, 0),
        (RetentionSettings(audit_maximum=1000), (4.0, 3.0, 2.0), 1_111, 3),
        (RetentionSettings(audit_maximum=1000), (4.0,) * 20, 1_111, 12),
        (RetentionSettings(audit_maximum=1000, audit_days=30), (31.0, 29.0), 20, 1),
    ],
    ids=["off", "age", "within the hour", "a few too many", "many", "many more", "both"],
)
def test_the_trail_goes_by_age_or_number(
    settings: RetentionSettings, ages: tuple[float, ...], entries: int, expected: int
) -> None:
    """In files of an hour, or of a tenth: not one for each pass."""
    found = seals(*ages)
    due = trail_is_due(settings, found[0], now=NOW, entries=entries)
    taken = seals_to_archive(settings, found, now=NOW, entries=entries) if due else []
    assert len(taken) == expected
