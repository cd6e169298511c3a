"""Tests the queries for other causes of an alert than the release, in promtool, a real Prometheus engine."""

from pathlib import Path

import pytest

from gateway.rollback.prometheus import in_one, other_causes
from tests.gateway.rollback.promtool_queries import check

FAILOVERS = 'waypost_failovers_total{region="beijing"}'
UNREACHABLE = 'waypost_region_condition{region="beijing",condition="Unreachable"}'

# A sample each 15 s. The queries are asked at 20 minutes, for a window of 5: sample 80, from sample 60 on.
HISTORIES: dict[str, tuple[str, str, tuple[float, float]]] = {
    "nothing": ("0x100", "0x100", (0, 0)),
    "moved in the window": ("0x65 10x20", "0x100", (10, 0)),
    "moved before the window": ("0x45 10x40", "0x100", (10, 0)),
    "moved long before the window": ("0x30 10x60", "0x100", (0, 0)),
    "lost, and back in the window": ("0x100", "0x20 1x45 0x20", (0, 1)),
    "lost, and back before the window": ("0x100", "0x20 1x30 0x40", (0, 0)),
    "lost now": ("0x100", "0x20 1x80", (0, 0)),  # the gateway itself knows, and what was given up for good
    "never lost": ("_x100", "_x100", (0, 0)),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_what_may_explain_bad_numbers_is_found(tmp_path: Path, name: str) -> None:
    """Also what began before the window: what was moved then still starts anew and waits within it."""
    failovers, unreachable, (moved, back) = HISTORIES[name]
    history = [
        {"series": FAILOVERS, "values": failovers},
        {"series": UNREACHABLE, "values": unreachable},
    ]
    labeled = [
        {"labels": '{number="failovers"}', "value": moved},
        {"labels": '{number="regions_back"}', "value": back},
    ]
    asked = {"expr": f"round({in_one(other_causes(300))})", "eval_time": "20m", "exp_samples": labeled}
    check(tmp_path, [{"interval": "15s", "input_series": history, "promql_expr_test": [asked]}])
