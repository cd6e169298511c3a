"""Tests the PromQL queries about a version of a workflow with promtool, a real Prometheus engine."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.core.rollback import ReleaseKind
from gateway.rollback.interface import LatestRelease
from gateway.rollback.workflows.queries import COUNTER, queries, queries_after
from observability.gateway_metrics import RELEASE_SHARD_SECONDS
from tests.gateway.rollback.promtool_queries import check, expected
from tests.gateway.rollback.rollbacks import NOW, a_release


def a_version(**changes: Any) -> LatestRelease:
    values = {"kind": ReleaseKind.WORKFLOW, "revision": "t/w@7", "name": "t/w@7", "returns_to": "t/w@6"}
    return a_release(**values | changes)


def series(release: str, outcome: str, values: str) -> dict[str, str]:
    return {"series": f'{COUNTER}{{release="{release}",outcome="{outcome}"}}', "values": values}


# A sample each 15 s; version 7 is 10 minutes old at 20 minutes. Those of others are no baseline.
HISTORY = [
    series("t/w@6", "succeeded", "0+99x40 3960+9x60"),
    series("t/w@6", "failed", "0+1x40 40+1x60"),
    series("t/w@7", "succeeded", "_x40 0+70x60"),
    series("t/w@7", "failed", "_x40 0+30x60"),
    series("t/w@77", "failed", "0+500x100"),
    series("u/w@6", "failed", "0+500x100"),
]


@pytest.mark.integration
def test_the_queries_have_the_numbers_of_a_version_and_of_its_baseline(tmp_path: Path) -> None:
    """Of the stable version, of one in canary, after its rollback, and where there is nothing."""
    stable = structs.asdict(queries(a_version(), window_seconds=300, now=NOW))
    canary = structs.asdict(queries(a_version(canary=True), window_seconds=300, now=NOW))
    after = structs.asdict(queries_after("t/w@gone", "t/w@6", window_seconds=300))
    release: dict[str, float | None] = {"release": 2_000, "release_bad": 600}
    nothing = {"release": None, "release_bad": 0.0, "baseline": None, "baseline_bad": 0.0}
    tests = [
        expected(stable, release | {"baseline": 2_000, "baseline_bad": 20}, HISTORY),
        expected(canary, release | {"baseline": 200, "baseline_bad": 20}, HISTORY),
        expected(after, {"release": 0, "release_bad": 0, "baseline": 200, "baseline_bad": 20}, HISTORY),
        expected(stable, nothing, []),
    ]
    check(tmp_path, tests)


def test_the_queries_are_about_a_metric_that_exists() -> None:
    assert f"{RELEASE_SHARD_SECONDS.name}_count" == COUNTER
    assert [label.name for label in RELEASE_SHARD_SECONDS.labels] == ["release", "outcome"]


def test_a_name_cannot_leave_its_quotes() -> None:
    after = queries_after('a"}', "b\\", window_seconds=300)
    assert after.release == f'sum(increase({COUNTER}{{release="a\\"}}"}}[300s])) or vector(0)'
    assert after.baseline == f'sum(increase({COUNTER}{{release="b\\\\"}}[300s]))'
