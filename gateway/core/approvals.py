"""The four-eyes rule: checks that a request is approved by people other than the requester.

Performs no I/O.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from msgspec import Struct

from gateway.core.decision import Decision, Reason
from gateway.core.errors import Denied


class Approval(Struct, frozen=True, kw_only=True, gc=False):
    """One person's approval of a request: who approved, when, and by which policy decision."""

    subject: str
    issuer: str
    at: float
    """The time of the approval, in wall-clock seconds since 1970."""
    decision_id: str
    """The id of the policy decision that let the person approve."""


class ApprovalRefused(Exception):
    """Raised for an approval without effect: the requester's own, or (`AlreadyApproved`) a repeated one."""

    rule: ClassVar[str] = "approval.own"
    """The rule id under which the refused approval is recorded, as if a policy rule had refused it."""


class AlreadyApproved(ApprovalRefused):
    """Raised for a second approval of a request by the same person."""

    rule = "approval.repeated"


def denied(error: ApprovalRefused, decision: Decision | None) -> Denied:
    """Converts a refused approval to the HTTP 403 error.

    `decision`: policy's decision on the approver's call.
    """
    return Denied(str(error), reasons=(Reason(rule=error.rule, message=str(error)),), decision=decision)


def with_approval(asked_by: str, approvals: Sequence[Approval], approval: Approval) -> tuple[Approval, ...]:
    """Checks `approval` with `check_approval`, and returns the request's approvals with it appended."""
    check_approval(asked_by, [given.subject for given in approvals], approval.subject)
    return (*approvals, approval)


def check_approval(asked_by: str, approved_by: Iterable[str], subject: str) -> None:
    """Raises `ApprovalRefused` if `subject` is the requester, `AlreadyApproved` if among `approved_by`.

    A person is identified by the token's subject alone, so that a second issuer gives nobody a second
    approval. Administrators are no exception.
    """
    if subject == asked_by:
        raise ApprovalRefused("who asks for it cannot approve it: somebody else must")
    if subject in approved_by:
        raise AlreadyApproved(f"{subject} has approved it already, and counts once")
