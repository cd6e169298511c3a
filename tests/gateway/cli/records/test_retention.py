"""Tests what `waypost retention` prints."""

from typing import Any

import pytest

from gateway.cli.output import format_time
from gateway.cli.records.retention import _lines

STATUS: dict[str, Any] = {
    "runs_days": 30.0,
    "runs_maximum": 1000,
    "before": 1_800_000_000.0,
    "due": 7,
    "ended": 1007,
    "oldest_finished_at": 1_700_000_000.0,
    "archived": 12,
    "audit_days": 400.0,
    "audit_maximum": None,
    "sealed_entries": 70,
    "archived_trail": {"last_seal": 9, "file": "trail-1.jsonl.gz", "cut": False},
    "behind_seconds": 7_200.0,
    "passing": True,
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {},
            [
                "ages are counted 2 h behind the clock: it was set forward, or no gateway ran",
                f"ended runs in the store: 1007, the oldest of {format_time(1_700_000_000.0)}; archived: 12",
                "kept: 30 days and 1000 runs",
                f"due: 7, those that ended before {format_time(1_800_000_000.0)}, being archived now",
                "audit trail: 70 sealed entries; archived up to seal 9 in trail-1.jsonl.gz, which goes once"
                " that is sealed; kept: 400 days",
            ],
        ),
        (
            {
                **dict.fromkeys(("runs_days", "runs_maximum", "before", "oldest_finished_at")),
                "passing": False,
                "audit_days": None,
                "archived_trail": None,
                "behind_seconds": 1.0,
            },
            [
                "ended runs in the store: 1007; archived: 12",
                "kept: all, as no setting under [retention] says otherwise",
                "due: 7",
                "audit trail: 70 sealed entries; kept: all",
            ],
        ),
    ],
    ids=["on", "off"],
)
def test_what_is_due_and_why_is_said(changes: dict[str, Any], expected: list[str]) -> None:
    """Of runs and of the audit trail."""
    assert _lines(STATUS | changes) == expected
