"""Tests whose approval counts for a step of a bundle's rollout."""

import pytest

from gateway.core.approvals import AlreadyApproved, ApprovalRefused
from gateway.policy.rollout.approvals import after_approval, after_request
from gateway.policy.rollout.bundle_states import PendingStep, Rollout, Share, Step

PENDING = PendingStep(
    step=Step.ACTIVATE,
    sequence=7,
    share=Share(),
    asked_by="ada",
    asked_at=1.0,
    expires_at=9.0,
    approvals=2,
)


def test_a_person_counts_once_and_who_asks_never() -> None:
    asked = after_request(Rollout(), PENDING)
    with pytest.raises(ApprovalRefused, match="who asks"):
        after_approval(asked, 7, by="ada", at=2.0)

    once = after_approval(asked, 7, by="ann", at=2.0)
    with pytest.raises(AlreadyApproved, match="counts once"):
        after_approval(once, 7, by="ann", at=3.0)

    pending = after_approval(once, 7, by="bob", at=3.0).pending
    assert pending is not None
    assert pending.approved_by == ("ann", "bob")
