"""Tests the PromQL queries about a routing revision with promtool, a real Prometheus engine."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.core.rollback import ReleaseKind
from gateway.core.shard_states import TERMINAL
from gateway.rollback.interface import LatestRelease
from gateway.rollback.routing.queries import COUNTER, queries, queries_after
from observability.ended_shards import PHASES
from observability.gateway_metrics import SHARDS_ENDED
from tests.gateway.rollback.promtool_queries import check, expected
from tests.gateway.rollback.rollbacks import NOW, a_release


def a_revision(**changes: Any) -> LatestRelease:
    return a_release(
        **{"kind": ReleaseKind.ROUTING, "revision": "7", "name": "7", "returns_to": "6"} | changes
    )


def series(routing: str, phase: str, values: str) -> dict[str, str]:
    return {"series": f'{COUNTER}{{routing="{routing}",phase="{phase}"}}', "values": values}


# A sample each 15 s; revision 7 is 10 minutes old at 20 minutes. Cancelled shards say nothing.
HISTORY = [
    series("6", "Succeeded", "0+99x40 3960+9x60"),
    series("6", "Failed", "0+1x40 40+1x60"),
    series("7", "Succeeded", "0x40 0+70x60"),
    series("7", "Failed", "0x40 0+20x60"),
    series("7", "Quarantined", "0x40 0+10x60"),
    series("7", "Cancelled", "0+500x100"),
    series("77", "Failed", "0+500x100"),
    series("settings", "Failed", "0+50x100"),
]


@pytest.mark.integration
def test_the_queries_have_the_numbers_of_a_revision_and_of_its_baseline(tmp_path: Path) -> None:
    """In force, after its rollback, the first one, and where there is nothing."""
    active = structs.asdict(queries(a_revision(), window_seconds=300, now=NOW))
    first = structs.asdict(queries(a_revision(returns_to=""), window_seconds=300, now=NOW))
    after = structs.asdict(queries_after("8", "6", window_seconds=300))
    release: dict[str, float | None] = {"release": 2_000, "release_bad": 600}
    nothing = {"release": None, "release_bad": 0.0, "baseline": None, "baseline_bad": 0.0}
    tests = [
        expected(active, release | {"baseline": 2_000, "baseline_bad": 20}, HISTORY),
        expected(first, release | {"baseline": 1_000, "baseline_bad": 1_000}, HISTORY),
        expected(after, {"release": 0, "release_bad": 0, "baseline": 200, "baseline_bad": 20}, HISTORY),
        expected(active, nothing, []),
    ]
    check(tmp_path, tests)


def test_the_queries_are_about_a_metric_that_exists() -> None:
    assert SHARDS_ENDED.name == COUNTER
    assert [label.name for label in SHARDS_ENDED.labels] == ["routing", "phase"]
    assert set(PHASES) == set(TERMINAL)
