"""Tests whose approval of a request counts."""

import pytest

from gateway.core.approvals import Approval, ApprovalRefused, with_approval


def approval(subject: str, issuer: str = "https://issuer.test") -> Approval:
    return Approval(subject=subject, issuer=issuer, at=1.0, decision_id="d")


def test_two_people_are_two_approvals() -> None:
    given = with_approval("ada", with_approval("ada", (), approval("ann")), approval("bob"))

    assert [one.subject for one in given] == ["ann", "bob"]


def test_who_asks_does_not_approve() -> None:
    """Not an administrator either: nothing but the subject is looked at."""
    with pytest.raises(ApprovalRefused, match="who asks"):
        with_approval("ada", (), approval("ada", issuer="https://other.test"))


def test_one_person_counts_once_whoever_vouches_for_them() -> None:
    with pytest.raises(ApprovalRefused, match="counts once"):
        with_approval("ada", (approval("ann"),), approval("ann", issuer="https://other.test"))
