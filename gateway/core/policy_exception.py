"""The policy exception: an approved, temporary override of one soft policy rule for one tenant.

Performs no I/O.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from gateway.core.approvals import Approval

APPROVERS: Final = 2
"""The number of people other than the requester who must approve an exception."""


class ExceptionState(StrEnum):
    """The state of a policy exception: waiting for approval, in force (Active), expired or revoked.

    Only an Active exception overrides its rule.
    """

    PENDING = "Pending"
    """The exception is requested and not yet approved by enough people."""
    ACTIVE = "Active"
    EXPIRED = "Expired"
    REVOKED = "Revoked"


class PolicyException(Struct, frozen=True, kw_only=True):
    """A temporary override of one soft policy rule for the work of one tenant, with requester and reason."""

    id: str
    rev: int = 1
    """The revision of the exception, raised by each change; a write compares and swaps on it."""
    rule: str
    tenant: str
    workflow: str = ""
    """The name of the workflows that the exception covers; empty for all workflows of the tenant."""
    document: str = ""
    """The SHA-256 of the one document that the exception covers, in hexadecimal; empty for any document."""
    reason: str
    ticket: str
    asked_by: str
    asked_at: float
    expires_at: float
    """The time at which the exception ends, in wall-clock seconds since 1970."""
    approvals: tuple[Approval, ...] = ()
    revoked_by: str = ""
    """The subject of the person who revoked the exception; empty if nobody has."""

    def state_at(self, now: float) -> ExceptionState:
        """Returns the policy exception's state at `now`, in wall-clock seconds since 1970."""
        if self.revoked_by:
            return ExceptionState.REVOKED
        if now >= self.expires_at:
            return ExceptionState.EXPIRED
        return ExceptionState.ACTIVE if len(self.approvals) >= APPROVERS else ExceptionState.PENDING

    def covers(self, *, tenant: str, workflow: str, document: str) -> bool:
        """Returns whether the policy exception covers this tenant, workflow name and document (SHA-256)."""
        return self.tenant == tenant and self.workflow in ("", workflow) and self.document in ("", document)
