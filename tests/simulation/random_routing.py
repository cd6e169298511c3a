"""Random routing revisions in the simulation, and what must not come of them."""

import random
from collections.abc import Iterable
from typing import Any, Final

from gateway.core.history import HistoryKind, PlacementDetail
from gateway.regions.routing import RegionRouting, RoutingDocument, after_apply, after_rollback
from gateway.store.interface import Store
from tests.gateway.core.history_entries import history_entry

CHANGES: Final = 0.005
"""The probability of a change at each tick of the simulation."""


async def change_routing(store: Store, rng: random.Random, *, trouble: float, at: float) -> None:
    """Sometimes applies a random routing revision or rolls one back; without trouble, rolls all back."""
    routing, entry = await store.routing(), history_entry(HistoryKind.ROUTING_APPLIED)
    act: dict[str, Any] = {"by": "sre", "at": at}
    if routing.active is not None and (rng.random() < CHANGES or not trouble):
        after = after_rollback(routing, routing.active.number, **act)
        await store.write_routing(after, entry=entry)
    elif rng.random() < CHANGES * trouble:
        weights = {name: rng.uniform(0.1, 10) for name in ("beijing", "shanghai", "shenzhen")}
        regions = {
            name: RegionRouting(weight=weight, cordon=rng.random() < 0.4, avoid=weight < 2)
            for name, weight in weights.items()
        }
        after = after_apply(routing, RoutingDocument(regions=regions), **act)
        await store.write_routing(after, entry=entry)


async def misplaced(store: Store, runs: Iterable[str]) -> list[PlacementDetail]:
    """Returns the placements in regions that the routing revision by which they were placed cordons."""
    revisions = {one.number: one.regions for one in (await store.routing()).revisions}
    found = [entry.detail for run in runs for entry in await store.history(run, limit=10_000)]
    return [
        one
        for one in found
        if isinstance(one, PlacementDetail) and one.routing and revisions[one.routing][one.region].cordon
    ]
