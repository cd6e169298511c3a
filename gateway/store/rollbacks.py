"""How alerts and the rollbacks that follow from them are stored and listed."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from gateway.core.rollback import Alert, Rollback


class FoundRollbacks(Struct, frozen=True, kw_only=True):
    """Rollbacks, newest first, and the id after which the next page begins; None: no more follow."""

    rollbacks: tuple[Rollback, ...]
    next: int | None


class KeepsRollbacks(Protocol):
    """The part of a store that keeps alerts and rollbacks. It keeps the newest alone, beyond a bound."""

    async def take_alerts(self, alerts: Sequence[Alert]) -> int:
        """Stores alerts, in one commit, and returns how many of them were new.

        One that is known changes nothing, unless it is resolved now: then it is settled. One that was
        resolved is never opened again.
        """
        ...

    async def open_alerts(self, *, limit: int) -> Sequence[Alert]:
        """The alerts about which something may still be to do, oldest first."""
        ...

    async def settle_alert(self, alert: Alert) -> None:
        """Writes that nothing more is to do about the alert."""
        ...

    async def write_rollback(self, rollback: Rollback, *, settles: Alert | None = None) -> Rollback | None:
        """Stores a new rollback (`id` 0), or the next state of a known one; `settles` its alert with it.

        None, and nothing written, where its `rev` is not the next one, or where its release has another one
        that was done or begun: each has one at most.
        """
        ...

    async def rollback(self, rollback_id: int) -> Rollback | None:
        """The rollback; None: there is none."""
        ...

    async def rollbacks(self, *, limit: int, before: int | None = None) -> FoundRollbacks:
        """One page of rollbacks, newest first, of those with an id below `before`."""
        ...

    async def acted_rollbacks(self, *, limit: int) -> Sequence[Rollback]:
        """The newest rollbacks that the gateway has done or begun, newest first."""
        ...
