"""Conformance tests of stores about routing revisions."""

from msgspec import structs

from gateway.core.history import HistoryKind
from gateway.regions.region_condition import Taint
from gateway.regions.routing import RegionRouting, Routing, RoutingDocument, after_apply, after_rollback
from gateway.store.acts import ActQuery
from gateway.store.interface import Store
from tests.conformance.store_values import NOW, Open
from tests.gateway.core.history_entries import history_entry

ENTRY = history_entry(HistoryKind.ROUTING_APPLIED, at=NOW, actor="ada")


def applied(routing: Routing, weight: float, *, cordon: bool = False) -> Routing:
    document = RoutingDocument(regions={"beijing": RegionRouting(weight=weight, cordon=cordon)})
    return after_apply(routing, document, by="ada", at=NOW)


class RoutingConformance:
    """The part of `StoreConformance` about routing revisions."""

    async def test_the_routing_changes_only_from_the_state_that_was_read(self, open_store: Open) -> None:
        """Of two changes at once one is refused, and leaves neither revision nor history."""
        one = applied(Routing(), 1)
        two, other = applied(one, 2), applied(one, 3)
        async with open_store() as store:
            assert await store.routing() == Routing()
            attempts = (one, one, two, other, structs.replace(two, rev=9))
            written = [await store.write_routing(each, entry=ENTRY) for each in attempts]
            assert written == [True, False, True, False, False]
        async with open_store() as store:
            assert await store.routing() == two
            assert [entry.kind for entry in await store.history("")] == [ENTRY.kind] * 2
            acts = await store.acts(ActQuery(tenants=(), kinds=(HistoryKind.ROUTING_APPLIED,)))
            assert [act.actor for act in acts.entries] == ["ada", "ada"]

    async def test_no_change_of_the_routing_touches_what_operators_set_on_a_region(
        self, store: Store
    ) -> None:
        """An emergency cordon outlives a revision without it, one with it, and the rollback of that one."""
        cordoned = history_entry(HistoryKind.CORDONED, at=NOW, actor="ada")
        await store.add_taint("beijing", Taint.CORDONED, entry=cordoned)
        routing = Routing()
        for cordon in (False, True):
            routing = applied(routing, 2, cordon=cordon)
            assert await store.write_routing(routing, entry=ENTRY)
        routing = after_rollback(routing, 2, by="rollback", at=NOW)
        assert await store.write_routing(routing, entry=ENTRY)
        assert await store.taints() == {"beijing": {Taint.CORDONED}}
