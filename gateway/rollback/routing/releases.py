"""Routing revisions as a kind of release: implements `Releases` by the store that keeps them."""

from typing import Final

from gateway.core.errors import Conflict, Unavailable
from gateway.core.history import HistoryKind
from gateway.core.rollback import Alert, ReleaseKind, Rollback
from gateway.regions.routing import Routing, RoutingRefused, RoutingState, after_rollback
from gateway.rollback.interface import ACTOR, Counted, LatestRelease, Queries, Standing
from gateway.rollback.routing.queries import queries, queries_after
from gateway.store.routing import KeepsRouting, store_change


class RoutingRevisions:
    """The routing revisions of a gateway as releases, named by their numbers. Implements `Releases`."""

    counted: Final = Counted(total="shards", bad="failed")

    def __init__(self, store: KeepsRouting) -> None:
        self._store = store

    def __repr__(self) -> str:
        return f"<RoutingRevisions of {self._store}>"

    async def latest(self, alert: Alert) -> LatestRelease | None:  # noqa: ARG002
        return _in_force(await self._store.routing())

    def queries(self, release: LatestRelease, *, window_seconds: int, now: float) -> Queries:
        return queries(release, window_seconds=window_seconds, now=now)

    def queries_after(self, rollback: Rollback, *, window_seconds: int) -> Queries:
        return queries_after(rollback.revision, rollback.returns_to, window_seconds=window_seconds)

    async def standing(self, rollback: Rollback) -> Standing:
        revision = (await self._store.routing()).revision(int(rollback.release))
        if revision is None or revision.state is RoutingState.SUPERSEDED:
            return Standing.REPLACED
        rolled_back = revision.state is RoutingState.ROLLED_BACK
        return Standing.ROLLED_BACK if rolled_back else Standing.IN_FORCE

    async def take_back(self, rollback: Rollback, *, at: float) -> None:
        before, number = await self._store.routing(), int(rollback.release)
        release = _in_force(before)
        if release is None or release.restored or release.returns_to != rollback.returns_to:
            raise Conflict("the routing is not as it was when the rollback was decided")
        reason = f"{rollback.alert}: {rollback.steps[0].detail}"
        try:
            after = after_rollback(before, number, by=ACTOR, at=at, reason=reason)
        except RoutingRefused as error:
            raise Conflict(str(error)) from error
        kind = HistoryKind.ROUTING_ROLLED_BACK
        if not await store_change(self._store, after, number, kind, by=ACTOR, at=at, decision_id=""):
            raise Unavailable("the routing was changed meanwhile")


def _in_force(routing: Routing) -> LatestRelease | None:
    active, good = routing.active, routing.returns_to
    if active is None:
        return None
    return LatestRelease(
        kind=ReleaseKind.ROUTING,
        name=str(active.number),
        revision=str(active.number),
        digest=active.digest,
        released_at=active.changed_at,
        canary=False,
        restored=routing.restored,
        returns_to="" if good is None else str(good.number),
    )
