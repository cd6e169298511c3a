"""Decides whether a canary has done well enough with its share of the submissions to get the next share.

Performs no I/O. The evidence is the same as for a rollback, and the decision stricter: unless it is proven
that the canary does well, it keeps its share.
"""

from enum import StrEnum

from msgspec import Struct

from gateway.core.workflow_release import WorkflowVersion
from gateway.rollback.decision import unusable
from gateway.rollback.evidence import Evidence, NoEvidence
from gateway.rollback_settings import RollbackSettings


class Finding(StrEnum):
    """The possible outcomes of analyzing a workflow's canary: next share, ask for evidence, or wait."""

    HELD = "Held"
    """The canary does well: it gets its next share."""
    ASK = "Ask"
    """Evidence must be queried first; nothing else speaks against the next share."""
    WAIT = "Wait"
    """The canary keeps its share, and is looked at again."""


class Analysis(Struct, frozen=True, kw_only=True):
    """The result of analyzing a workflow's canary: the outcome, and the reason for it."""

    finding: Finding
    why: str


def analyze(
    canary: WorkflowVersion,
    evidence: Evidence | NoEvidence | None,
    settings: RollbackSettings,
    *,
    now: float,
    region_lost: bool,
) -> Analysis:
    """Decides whether a canary gets its next share, by the age of its present share and the evidence.

    `evidence` None: it was not asked for yet. `region_lost`: a region is unreachable now, so that the canary
    keeps its share.
    """
    age = now - canary.changed_at
    if not age >= settings.step_seconds:
        return _wait("it has had its share for too short a time")
    if region_lost:
        return _wait("a region is lost")
    if evidence is None:
        return Analysis(finding=Finding.ASK, why="only the evidence is missing")
    if isinstance(evidence, NoEvidence):
        return _wait(evidence.why)
    return _by_evidence(evidence, settings)


def _by_evidence(evidence: Evidence, settings: RollbackSettings) -> Analysis:
    fault = unusable(evidence, settings)
    if fault:
        return _wait(fault)
    canary, stable, counted = evidence.release, evidence.baseline, evidence.counted
    if evidence.other_cause:
        return _wait(evidence.other_cause)
    if canary.total < settings.requests:
        return _wait(f"too few of its {counted.total} have ended to judge it")
    if stable.total < settings.requests:
        return _wait(f"too few {counted.total} of the stable version have ended to compare with")
    if canary.share > settings.bad_share:
        return _wait(f"too many of its {counted.total} are {counted.bad}")
    measured = f"{canary.share:.1%} of {canary.total:.0f} {counted.total}"
    why = f"{measured} are {counted.bad}, {stable.share:.1%} of the stable version's"
    return Analysis(finding=Finding.HELD, why=why)


def _wait(why: str) -> Analysis:
    return Analysis(finding=Finding.WAIT, why=why)
