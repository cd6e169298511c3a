"""A simulated gateway with routing revisions, for the tests of their rollbacks."""

from typing import Any

import pytest

from gateway.core.history import HistoryKind
from gateway.core.rollback import ReleaseKind
from gateway.regions.routing import (
    RegionRouting,
    RoutingDocument,
    RoutingState,
    after_apply,
    after_rollback,
)
from gateway.rollback.routing.releases import RoutingRevisions
from gateway.store.routing import store_change
from tests.conformance.release_kind import IN_FORCE_SINCE
from tests.conformance.release_world import ReleaseWorld, State
from tests.gateway.policy.rollout.releases import Opened

STATES = {
    RoutingState.ACTIVE: State.IN_FORCE,
    RoutingState.SUPERSEDED: State.BEFORE,
    RoutingState.ROLLED_BACK: State.TAKEN_BACK,
}


class RoutingWorld(ReleaseWorld):
    """Three routing documents; each is a revision, by its number, once it is applied."""

    kind = ReleaseKind.ROUTING
    counted = RoutingRevisions.counted

    @property
    def releases(self) -> RoutingRevisions:
        return RoutingRevisions(self.store)

    def name(self, number: int) -> str:
        return str(number)

    async def states(self) -> dict[int, State]:
        waiting = dict.fromkeys((1, 2, 3), State.WAITING)
        routing = await self.store.routing()
        return waiting | {one.number: STATES[one.state] for one in routing.revisions}

    async def release(self, number: int) -> None:
        document = RoutingDocument(regions={"beijing": RegionRouting(weight=float(number))})
        after = after_apply(await self.store.routing(), document, by="ada", at=self.now)
        assert after.revisions[-1].number == number
        assert await store_change(self.store, after, number, HistoryKind.ROUTING_APPLIED, **self._act)

    async def canary(self, number: int) -> None:
        pytest.skip(f"routing revision {number} is in force for all work at once: there is no canary")

    async def take_back(self, number: int) -> None:
        after = after_rollback(await self.store.routing(), number, by="ada", at=self.now)
        assert await store_change(self.store, after, number, HistoryKind.ROUTING_ROLLED_BACK, **self._act)

    @property
    def _act(self) -> dict[str, Any]:
        return {"by": "ada", "at": self.now, "decision_id": "d"}


async def routing_world(gateway: Opened) -> RoutingWorld:
    """Returns a world in which revision 1 was in force for long, and revision 2 has been for ten minutes."""
    world = RoutingWorld(gateway)
    await world.release(1)
    world.now += 100_000
    await world.release(2)
    world.now += IN_FORCE_SINCE
    return world
