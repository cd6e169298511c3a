"""The part of a store that keeps alerts and rollbacks, and the result type of its lists."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from gateway.core.rollback import Alert, Rollback


class FoundRollbacks(Struct, frozen=True, kw_only=True):
    """A page of rollbacks, newest first, and the id of the next page; None on the last page."""

    rollbacks: tuple[Rollback, ...]
    next: int | None


class KeepsRollbacks(Protocol):
    """The part of a store that keeps alerts and rollbacks, only the newest up to a limit."""

    async def take_alerts(self, alerts: Sequence[Alert]) -> int:
        """Stores alerts in one commit, and returns how many were new.

        A known alert changes nothing, unless it is resolved now: then it is settled. One that was resolved is
        never
        opened again.

        One that is known changes nothing, unless it is resolved now: then it is settled. One that was
        resolved is never opened again.
        """
        ...

    async def open_alerts(self, *, limit: int) -> Sequence[Alert]:
        """Returns the alerts that are not settled yet, oldest first."""
        ...

    async def settle_alert(self, alert: Alert) -> None:
        """Marks the alert as settled: no further action is needed."""
        ...

    async def write_rollback(self, rollback: Rollback, *, settles: Alert | None = None) -> Rollback | None:
        """Stores a new rollback (`id` 0), or the next state of a stored one; settles the alert `settles` too.

        None, and nothing written, where its `rev` is not the next one, or where its release has another one
        that was done or begun: each has one at most.
        """
        ...

    async def rollback(self, rollback_id: int) -> Rollback | None:
        """Returns the rollback with this id; None if there is none."""
        ...

    async def rollbacks(self, *, limit: int, before: int | None = None) -> FoundRollbacks:
        """Returns one page of rollbacks with an id below `before`, newest first."""
        ...

    async def acted_rollbacks(self, *, limit: int) -> Sequence[Rollback]:
        """Returns the newest rollbacks that were begun or done, newest first."""
        ...
