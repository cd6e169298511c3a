"""The four-eyes rule: approvals of a request by people other than the requester. Pure."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from msgspec import Struct

from gateway.core.decision import Decision, Reason
from gateway.core.errors import Denied


class Approval(Struct, frozen=True, kw_only=True, gc=False):
    """One person's approval."""

    subject: str
    issuer: str
    at: float
    """When it was given, in wall-clock seconds since 1970."""
    decision_id: str
    """The decision of policy that let the person approve."""


class ApprovalRefused(Exception):
    """Raised for an approval that does not count; the text says why."""

    rule: ClassVar[str] = "approval.own"
    """The id under which the refusal is recorded, as if a rule of policy had refused."""


class AlreadyApproved(ApprovalRefused):
    """Raised for a second approval by the same person: nothing is to be done."""

    rule = "approval.repeated"


def denied(error: ApprovalRefused, decision: Decision | None) -> Denied:
    """The refusal that the approver gets; `decision` is the one that permits them to approve at all."""
    return Denied(str(error), reasons=(Reason(rule=error.rule, message=str(error)),), decision=decision)


def with_approval(asked_by: str, approvals: Sequence[Approval], approval: Approval) -> tuple[Approval, ...]:
    """The approvals with one more. Raises what `check_approval` raises."""
    check_approval(asked_by, [given.subject for given in approvals], approval.subject)
    return (*approvals, approval)


def check_approval(asked_by: str, approved_by: Iterable[str], subject: str) -> None:
    """Raises `ApprovalRefused` for the requester, `AlreadyApproved` for who has approved before.

    A person is a subject, whatever the issuer: nobody counts twice by way of a second one. Administrators
    are no exception.
    """
    if subject == asked_by:
        raise ApprovalRefused("who asks for it cannot approve it: somebody else must")
    if subject in approved_by:
        raise AlreadyApproved(f"{subject} has approved it already, and counts once")
