"""Tests which runs retention lets go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ended_run_settings import RetentionSettings
from gateway.retention.cutoff import DAY_SECONDS, archive_before
from gateway.store.rules import KEY_SECONDS

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
