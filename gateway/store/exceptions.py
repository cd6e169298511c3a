"""The interface for policy exceptions in a store: query and result types, and the protocol."""

from typing import Protocol

from msgspec import Struct

from gateway.core.history import HistoryEntry
from gateway.core.policy_exception import PolicyException


class ExceptionQuery(Struct, frozen=True, kw_only=True):
    """A query for policy exceptions, by tenant, and by whether they are open (not expired or revoked).

    A policy exception is found if it meets all of these conditions that are set.
    """

    tenants: tuple[str, ...] | None = None
    """The tenants whose exceptions are listed; None: all."""
    open_at: float | None = None
    """The time at which the listed exceptions are neither expired nor revoked; None: these are listed too."""
    limit: int = 50
    before: str | None = None
    """The id of the last exception of the previous page."""


class FoundExceptions(Struct, frozen=True, kw_only=True):
    """A page of policy exceptions, newest first; the next page begins after the id `next`.

    `next` is None on the last page.
    """

    exceptions: tuple[PolicyException, ...]
    next: str | None


class KeepsExceptions(Protocol):
    """The interface by which a store keeps policy exceptions (permissions to break a policy rule)."""

    async def exception(self, exception_id: str) -> PolicyException | None:
        """Reads the policy exception with this id; None if there is none."""
        ...

    async def exceptions(self, query: ExceptionQuery) -> FoundExceptions:
        """Returns one page of the policy exceptions that match `query`, newest first.

        The page may be short though more follow: the rows read for one page are bounded.
        """
        ...

    async def write_exception(self, exception: PolicyException, *, entry: HistoryEntry) -> bool:
        """Stores a new policy exception (`rev` 1), or the next state of a stored one, with its history entry.

        Returns False, with nothing written, unless the stored `rev` is the one before.
        """
        ...

    async def forget_exceptions(self, *, before: float, limit: int) -> int:
        """Deletes at most `limit` policy exceptions that expired before the time `before`; returns how many.

        What people did with them stays in the audit trail.
        """
        ...
