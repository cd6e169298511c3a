"""Tests the PromQL queries for evidence with promtool, a real Prometheus engine."""

from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from gateway.rollback.interface import Queries
from gateway.rollback.policy_bundles.queries import queries, queries_after
from gateway.rollback.prometheus import other_causes
from tests.gateway.rollback.promtool_queries import check, expected
from tests.gateway.rollback.rollbacks import NOW, a_release

pytestmark = pytest.mark.integration

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


def named(found: Queries) -> dict[str, str]:
    return {**structs.asdict(found), **other_causes(300)}


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
        expected(active, release | {"release_bad": 600, "baseline": 2_000, "baseline_bad": 20}, HISTORY),
        expected(canary, release | {"baseline": 0, "baseline_bad": 0}, HISTORY),
        expected(after, {"release": 0, "release_bad": 0, "baseline": 2_000, "baseline_bad": 800}, HISTORY),
        expected(active, nothing, []),
    ]
    check(tmp_path, tests)


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
