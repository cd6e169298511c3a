"""The policy exception, which overrides a soft rule for one tenant for a time: value and states. Pure."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from gateway.core.approvals import Approval

APPROVERS: Final = 2
"""How many others than who asks must approve."""


class ExceptionState(StrEnum):
    """The state of a policy exception at one moment. Only an active one overrides anything."""

    PENDING = "Pending"
    """It is asked for, and not approved by enough people."""
    ACTIVE = "Active"
    EXPIRED = "Expired"
    REVOKED = "Revoked"


class PolicyException(Struct, frozen=True, kw_only=True):
    """An exception from one soft rule for the work of one tenant, with its requester and justification."""

    id: str
    rev: int = 1
    """Counts its changes; a write compares and swaps on it."""
    rule: str
    tenant: str
    workflow: str = ""
    """The name of the workflows that it is for; empty: all of the tenant."""
    document: str = ""
    """SHA-256 of the one document that it is for, in hexadecimal digits; empty: any."""
    reason: str
    ticket: str
    asked_by: str
    asked_at: float
    expires_at: float
    """Until when it counts, in wall-clock seconds since 1970."""
    approvals: tuple[Approval, ...] = ()
    revoked_by: str = ""
    """Who has revoked it; empty: nobody."""

    def state_at(self, now: float) -> ExceptionState:
        """The exception's state at `now`, in wall-clock seconds since 1970."""
        if self.revoked_by:
            return ExceptionState.REVOKED
        if now >= self.expires_at:
            return ExceptionState.EXPIRED
        return ExceptionState.ACTIVE if len(self.approvals) >= APPROVERS else ExceptionState.PENDING

    def covers(self, *, tenant: str, workflow: str, document: str) -> bool:
        """Whether work of this tenant, name and SHA-256 of its document is within the exception's scope."""
        return self.tenant == tenant and self.workflow in ("", workflow) and self.document in ("", document)
