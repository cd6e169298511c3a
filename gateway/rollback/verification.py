"""Verifies, some minutes after a rollback, whether the rollback has helped.

Performs no I/O.
"""

from gateway.core.rollback import Rollback, RollbackPhase
from gateway.rollback.decision import unusable
from gateway.rollback.evidence import Evidence, NoEvidence
from gateway.rollback_settings import RollbackSettings


def is_due(rollback: Rollback, settings: RollbackSettings, *, now: float) -> bool:
    """Returns whether a rollback was done at least `verify_seconds` ago and is not verified yet."""
    return rollback.phase is RollbackPhase.DONE and now - rollback.steps[-1].at >= settings.verify_seconds


def verify(evidence: Evidence | NoEvidence, settings: RollbackSettings) -> tuple[RollbackPhase, str]:
    """Decides by new evidence whether a rollback has helped; returns its next phase and the reason.

    It has helped if the bad share is not above `bad_share` any more. The phase is `UNVERIFIED` without usable
    evidence.
    """
    if isinstance(evidence, NoEvidence):
        return RollbackPhase.UNVERIFIED, evidence.why
    fault = unusable(evidence, settings)
    if fault:
        return RollbackPhase.UNVERIFIED, fault
    now = evidence.baseline
    if not now.total:
        return RollbackPhase.UNVERIFIED, f"there were no {evidence.counted.total} since"
    why = f"{now.share:.1%} of {now.total:.0f} {evidence.counted.total} are {evidence.counted.bad}"
    return (RollbackPhase.UNHELPFUL if now.share > settings.bad_share else RollbackPhase.HELPED), why
