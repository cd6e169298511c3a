"""What every store promises about acts of operators that are repeated."""

from gateway.core.history import HistoryEntry, HistoryKind, OperationDetail
from gateway.regions.region_condition import Taint
from tests.conformance.store_values import NOW, Open


class ActsConformance:
    """Part of `StoreConformance`."""

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
