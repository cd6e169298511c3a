"""The part of a store that keeps alerts and rollbacks, and its result type."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from gateway.core.rollback import Alert, Rollback


class FoundRollbacks(Struct, frozen=True, kw_only=True):
    """A page of rollbacks, newest first, and the id of the next page; None: it is the last."""

    rollbacks: tuple[Rollback, ...]
    next: int | None


class KeepsRollbacks(Protocol):
    """The part of a store that keeps alerts and rollbacks: the newest, up to a bound."""

    async def take_alerts(self, alerts: Sequence[Alert]) -> int:
        """Stores alerts in one commit, and returns how many were new.

        One that is known changes nothing, unless it is resolved now: then it is settled. One that was
        resolved is never opened again.
        """
        ...

    async def open_alerts(self, *, limit: int) -> Sequence[Alert]:
        """The alerts that are not settled, oldest first."""
        ...

    async def settle_alert(self, alert: Alert) -> None:
        """Marks the alert as settled: nothing more is to be done about it."""
        ...

    async def write_rollback(self, rollback: Rollback, *, settles: Alert | None = None) -> Rollback | None:
        """Stores a new rollback (`id` 0), or a known one's next state; `settles` its alert too.

        None, and nothing written, where its `rev` is not the next one, or where its release has another one
        that was done or begun: each has one at most.
        """
        ...

    async def rollback(self, rollback_id: int) -> Rollback | None:
        """The rollback with this id; None: there is none."""
        ...

    async def rollbacks(self, *, limit: int, before: int | None = None) -> FoundRollbacks:
        """One page of rollbacks, newest first, of those with an id below `before`."""
        ...

    async def acted_rollbacks(self, *, limit: int) -> Sequence[Rollback]:
        """The newest rollbacks that were begun or done, newest first."""
        ...
