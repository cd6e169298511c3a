"""Tests the PromQL queries for evidence with promtool, a real Prometheus engine."""

import subprocess
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from gateway.rollback.interface import Queries
from gateway.rollback.policy_bundles.queries import queries, queries_after
from gateway.rollback.prometheus import FAILOVERS
from tests.gateway.rollback.rollbacks import NOW, a_release
from tests.observability.prometheus_files import program

COUNTER = "waypost_submission_decisions_total"
REVISION = 'r7"}\\'
"""A revision that would end its quotes if it were not escaped."""


def series(revision: str, outcome: str, values: str) -> dict[str, str]:
    labels = (
        f"revision={msgspec.json.encode(revision).decode()},outcome={msgspec.json.encode(outcome).decode()}"
    )
    return {"series": f"{COUNTER}{{{labels}}}", "values": values}


# A sample each 15 s; the release is 10 minutes old at 20 minutes.
HISTORY = [
    series("r6", "permitted", "0+99x40 3960+0x60"),
    series("r6", "refused", "0+1x40 40+0x60"),
    series(REVISION, "permitted", "_x40 0+60x60"),
    series(REVISION, "refused", "_x40 0+30x60"),
    series(REVISION, "unanswered", "_x40 0+10x60"),
    {"series": 'waypost_failovers_total{region="a"}', "values": "0+0x100"},
]


def expected(
    asked: dict[str, str], values: dict[str, float | None], history: Any = HISTORY
) -> dict[str, Any]:
    """Returns a promtool test that expects `values` at 20 minutes; None for no answer."""
    return {
        "interval": "15s",
        "input_series": history,
        "promql_expr_test": [
            {
                # Extrapolation makes halves of counts.
                "expr": f"round({asked[name]}, 10)",
                "eval_time": "20m",
                "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
            }
            for name, value in values.items()
        ],
    }


def named(found: Queries) -> dict[str, str]:
    return {**structs.asdict(found), "failovers": FAILOVERS.format(window=300)}


def test_the_queries_have_the_numbers_of_a_release_and_of_its_baseline(tmp_path: Path) -> None:
    """Of the active bundle, of one in canary, after its rollback, and where there is nothing.

    Of the active bundle the unanswered are no evidence: an engine that is down answers none.
    """
    active = named(queries(a_release(revision=REVISION), window_seconds=300, now=NOW))
    canary = named(queries(a_release(revision=REVISION, canary=True), window_seconds=300, now=NOW))
    after = named(queries_after("gone", window_seconds=300))
    release: dict[str, float | None] = {"release": 2_000, "release_bad": 800, "failovers": 0}
    nothing = {"release": None, "baseline": None, "release_bad": 0.0, "failovers": 0.0}
    tests = [
        expected(active, release | {"release_bad": 600, "baseline": 2_000, "baseline_bad": 20}),
        expected(canary, release | {"baseline": 0, "baseline_bad": 0}),
        expected(after, {"release": 0, "release_bad": 0, "baseline": 2_000, "baseline_bad": 800}),
        expected(active, nothing, []),
    ]
    file = tmp_path / "queries.yml"
    file.write_bytes(msgspec.yaml.encode({"rule_files": [], "evaluation_interval": "15s", "tests": tests}))
    arguments = [program("promtool"), "test", "rules", str(file)]
    checked = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_baseline_is_what_ruled_before_or_rules_beside_it() -> None:
    """A name cannot leave its quotes."""
    active = queries(a_release(), window_seconds=300, now=NOW)
    canary = queries(a_release(canary=True), window_seconds=300, now=NOW)
    after = queries_after('a"}', window_seconds=300)
    assert active.release == f'sum(increase({COUNTER}{{revision="r7"}}[300s]))'
    assert active.baseline == f'sum(increase({COUNTER}{{revision!="r7"}}[300s] offset 600s))'
    assert canary.baseline == f'sum(increase({COUNTER}{{revision!="r7"}}[300s]))'
    assert after.release == f'sum(increase({COUNTER}{{revision="a\\"}}"}}[300s])) or vector(0)'
    assert "offset" not in "".join(structs.astuple(after))
