"""The interface by which a store keeps alerts and automatic rollbacks, with the result types of its lists."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from gateway.core.history import HistoryEntry
from gateway.core.rollback import Alert, Rollback


class FoundRollbacks(Struct, frozen=True, kw_only=True):
    """A page of automatic rollbacks, newest first; the next page begins below the id `next`.

    `next` is None on the last page.
    """

    rollbacks: tuple[Rollback, ...]
    next: int | None


class FoundAlerts(Struct, frozen=True, kw_only=True):
    """A page of alerts that are not settled, oldest first; the next page begins after the position `next`.

    `next` is None on the last page.
    """

    alerts: tuple[Alert, ...]
    next: int | None


class KeepsRollbacks(Protocol):
    """The interface by which a store keeps alerts and automatic rollbacks, the newest up to a limit."""

    async def take_alerts(self, alerts: Sequence[Alert]) -> int:
        """Stores received alerts in one commit, and returns how many of them were new.

        A known alert changes nothing, unless it is resolved now: then it counts as settled, with nothing left
        to do about it. One that was resolved is never opened again.
        """
        ...

    async def open_alerts(self, *, limit: int, after: int = 0) -> FoundAlerts:
        """Returns one page of the alerts that are not settled yet, oldest first."""
        ...

    async def settle_alert(self, alert: Alert) -> None:
        """Marks an alert as settled, so that it is not looked at again."""
        ...

    async def write_rollback(self, rollback: Rollback, *, settles: Alert | None = None) -> Rollback | None:
        """Stores a new rollback (`id` 0), or the next state of a stored one; settles the alert `settles`.

        Returns None, with nothing written, where the rollback's `rev` is not one above the stored `rev`, or
        where its release has another rollback that was done or begun: each release has one at most.
        """
        ...

    async def record_act(self, entry: HistoryEntry) -> None:
        """Stores an audit entry about a rollback that changes nothing else in the store."""
        ...

    async def rollback(self, rollback_id: int) -> Rollback | None:
        """Reads the automatic rollback with this id; None if there is none."""
        ...

    async def rollbacks(self, *, limit: int, before: int | None = None) -> FoundRollbacks:
        """Returns one page of automatic rollbacks with an id below `before`, newest first."""
        ...

    async def acted_rollbacks(self, *, limit: int) -> Sequence[Rollback]:
        """Reads the newest automatic rollbacks that were begun or done, newest first.

        Those that only noted a decision not to act are left out.
        """
        ...
