"""The four-eyes rule: approvals of a request by people other than the requester. Pure."""

from collections.abc import Sequence

from msgspec import Struct


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


class AlreadyApproved(ApprovalRefused):
    """Raised for a second approval by the same person: nothing is to be done."""


def with_approval(asked_by: str, approvals: Sequence[Approval], approval: Approval) -> tuple[Approval, ...]:
    """The approvals with one more. Raises `ApprovalRefused` for the requester, `AlreadyApproved`
    for who has approved before.

    A person is a subject, whatever the issuer: nobody counts twice by way of a second one.
    """
    if approval.subject == asked_by:
        raise ApprovalRefused("who asks for it cannot approve it")
    if any(approval.subject == given.subject for given in approvals):
        raise AlreadyApproved(f"{approval.subject} has approved it already, and counts once")
    return (*approvals, approval)
