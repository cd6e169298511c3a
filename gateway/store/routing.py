"""The interface by which a store keeps routing revisions, and the function that stores a change of them.

The API and the rollback controller both call `store_change`.
"""

from typing import Protocol

from gateway.core.history import HistoryEntry, HistoryKind, RoutingDetail
from gateway.regions.routing import Routing


class KeepsRouting(Protocol):
    """The interface by which a store keeps the routing revisions of its gateway."""

    async def routing(self) -> Routing:
        """Reads all routing revisions that are kept, with their states."""
        ...

    async def write_routing(self, routing: Routing, *, entry: HistoryEntry) -> bool:
        """Stores the next state of the routing.

        Returns False, with nothing written, unless the stored `rev` is the one before.
        """
        ...


async def store_change(
    store: KeepsRouting,
    after: Routing,
    number: int,
    kind: HistoryKind,
    *,
    by: str,
    at: float,
    decision_id: str,
) -> bool:
    """Stores the routing `after` the change `kind` of revision `number`, with an audit entry.

    `by` is the name of who made the change. Returns False, with nothing stored, where another change was
    stored meanwhile.
    """
    revision = after.revision(number)
    assert revision is not None
    detail = RoutingDetail(
        routing=number,
        digest=revision.digest,
        in_force=None if after.active is None else after.active.number,
        reason=revision.reason,
        decision_id=decision_id,
    )
    entry = HistoryEntry(run="", kind=kind, at=at, actor=by, detail=detail)
    return await store.write_routing(after, entry=entry)
