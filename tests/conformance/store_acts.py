"""Conformance tests of stores about acts of operators that are repeated."""

from gateway.core.history import HistoryEntry, HistoryKind, OperationDetail
from gateway.regions.region_condition import Taint
from gateway.store.acts import ActQuery
from gateway.store.interface import Store
from tests.conformance.store_values import NOW, Open, admission
from tests.gateway.core.history_entries import history_entry


class ActsConformance:
    """The part of `StoreConformance` about repeated acts of operators."""

    async def test_an_act_that_another_person_repeats_is_noted(self, open_store: Open) -> None:
        """It changes nothing, but who wanted it is a fact; what one says twice is noted once."""

        async def cordon(region: str, actor: str) -> bool:
            entry = HistoryEntry(
                run="",
                kind=HistoryKind.CORDONED,
                at=NOW,
                actor=actor,
                detail=OperationDetail(region=region, decision_id="d"),
            )
            return await store.add_taint(region, Taint.CORDONED, entry=entry)

        async with open_store() as store:
            noted = [await cordon("beijing", actor) for actor in ("ada", "ada", "bob", "bob", "ada")]
            assert noted == [True, False, True, False, True]
            assert await cordon("shanghai", "ada")
            assert not await cordon("shanghai", "ada")
            actors = [entry.actor for entry in await store.history("")]
            assert actors == ["ada", "bob", "ada", "ada"]

    async def test_who_else_asks_to_cancel_is_noted_once(self, store: Store) -> None:
        """An audit says what each of them had done; a client that asks again and again adds nothing."""
        await store.admit(admission("run-1"))
        first = None
        for seconds, actor in enumerate(["ada", "bob", "ada", "bob", "eve"]):
            request = history_entry(HistoryKind.CANCEL_REQUESTED, run="run-1", at=NOW + seconds, actor=actor)
            cancelled = await store.cancel("run-1", at=NOW + seconds, entry=request)
            first = first or cancelled
            assert cancelled == first

        acts = await store.acts(ActQuery(tenants=None, run="run-1"))
        assert [entry.actor for entry in acts.entries] == ["eve", "bob", "ada"]
