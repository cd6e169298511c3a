"""Tests the analysis of a canary: what holds it at its share, and that nothing but proof lets it go on."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.workflow_release import VersionState, WorkflowVersion
from gateway.rollback.evidence import Evidence, NoEvidence, Shares
from gateway.rollback.workflows.analysis import Analysis, Finding, analyze
from gateway.settings import RollbackSettings
from tests.gateway.rollback.rollbacks import COUNTED, NOW, evidence

SETTINGS = RollbackSettings()
GOOD = evidence(share=0.01)


def analysis(
    found: Evidence | NoEvidence | None = GOOD, *, age: float = 600.0, region_lost: bool = False
) -> Analysis:
    canary = WorkflowVersion(
        number=2,
        digest="d",
        source="",
        applied_by="ada",
        applied_at=0.0,
        state=VersionState.CANARY,
        changed_by="ada",
        changed_at=NOW - age,
        percent=5.0,
        steps=(25.0, 100.0),
    )
    return analyze(canary, found, SETTINGS, now=NOW, region_lost=region_lost)


def test_a_canary_that_does_well_gets_its_next_share() -> None:
    found = analysis()
    assert (found.finding, found.why) == (
        Finding.HELD,
        "1.0% of 1000 submissions are refused, 1.0% of the stable version's",
    )


def test_evidence_is_asked_for_only_where_nothing_else_speaks_against_it() -> None:
    found = [
        analysis(None).finding,
        analysis(None, age=599).finding,
        analysis(None, region_lost=True).finding,
    ]
    assert found == [Finding.ASK, Finding.WAIT, Finding.WAIT]


HOLDS: dict[str, tuple[dict[str, Any], str]] = {
    "young": ({"age": 599.0}, "too short"),
    "from the future": ({"age": -1.0}, "too short"),
    "at no time": ({"age": math.nan}, "too short"),
    "region lost": ({"region_lost": True}, "region"),
    "failovers": ({"found": evidence(share=0.01, failovers=1.0)}, "moved off"),
    "too few": ({"found": evidence(share=0.01, submissions=199.0)}, "too few of its"),
    "small baseline": ({"found": evidence(share=0.01, baseline_submissions=199.0)}, "of the stable version"),
    "bad": ({"found": evidence(share=0.051)}, "too many"),
    "as bad as the stable one": ({"found": evidence(share=0.4, baseline=0.4)}, "too many"),
    "no evidence": ({"found": NoEvidence(why="down")}, "down"),
    "NaN": ({"found": evidence(share=0.01, submissions=math.nan)}, "cannot be"),
    "clock": ({"found": evidence(share=0.01, clock=31.0)}, "clock"),
}


@pytest.mark.parametrize("name", HOLDS)
def test_each_reason_alone_holds_a_canary(name: str) -> None:
    arguments, why = HOLDS[name]
    found = analysis(**arguments)
    assert found.finding is Finding.WAIT
    assert why in found.why


numbers = st.floats(allow_nan=True, allow_infinity=True)
shares = st.builds(Shares, total=numbers, bad=numbers)
evidences = st.builds(
    Evidence,
    counted=st.just(COUNTED),
    release=shares,
    baseline=shares,
    failovers=numbers,
    regions_back=numbers,
    clock_offset_seconds=numbers,
)


@given(evidences, numbers, st.booleans())
def test_without_proof_no_canary_goes_on(found: Evidence, age: float, region_lost: bool) -> None:
    """Whatever Prometheus says."""
    if analysis(found, age=age, region_lost=region_lost).finding is not Finding.HELD:
        return
    assert age >= 600
    assert not region_lost
    assert (found.failovers, found.regions_back) == (0, 0)
    assert min(found.release.total, found.baseline.total) >= 200
    assert found.release.bad <= 0.05 * found.release.total
