"""Conformance tests of stores about the audit trail and its seals."""

from msgspec import structs

from gateway.core.history import HistoryKind
from gateway.regions.region_condition import Taint
from gateway.store.interface import Store
from observability.audit import Seal
from tests.conformance.store_decisions import DOCUMENT, accepted, asked
from tests.conformance.store_values import NOW, Open, admission
from tests.gateway.core.history_entries import history_entry

SEAL = Seal(number=1, before="", at=NOW, entries=((1, "ab"),), signature="s")


class TrailConformance:
    """The part of `StoreConformance` about the audit trail and its seals."""

    async def test_the_trail_has_acceptances_and_acts_with_their_decisions(self, store: Store) -> None:
        """In order, with what auditors need; nothing that the gateway did by itself."""
        given = structs.replace(admission("run-1", workflow=DOCUMENT), decision=asked("d1"))
        by_itself = history_entry(HistoryKind.INTENDED, run="run-1", shard=0, at=NOW)
        await store.admit(structs.replace(given, history=(accepted("run-1", "d1"), by_itself)))
        cordon = history_entry(HistoryKind.CORDONED, run="", at=NOW + 1, actor="sre")
        await store.add_taint("beijing", Taint.CORDONED, entry=cordon)

        found = await store.trail(after=0)
        assert [(entry["kind"], entry["actor"]) for entry in found.entries.values()] == [
            ("Accepted", accepted("run-1", "d1").actor),
            ("Cordoned", "sre"),
        ]
        first = next(iter(found.entries.values()))
        assert first["decision"]["question"]["principal"]["subject"] == "ada"
        assert list(found.entries) == [entry["seq"] for entry in found.entries.values()]
        rest = await store.trail(after=found.last)
        assert (dict(rest.entries), rest.last) == ({}, found.last)

    async def test_seals_are_kept_in_order_and_never_replaced(self, open_store: Open) -> None:
        """Across restarts."""
        async with open_store() as store:
            assert await store.last_seal() is None
            assert await store.add_seal(SEAL)
            assert not await store.add_seal(structs.replace(SEAL, signature="other"))
            assert await store.add_seal(structs.replace(SEAL, number=2))
        async with open_store() as store:
            assert await store.last_seal() == structs.replace(SEAL, number=2)
            assert [seal.number for seal in await store.seals(after=0, limit=9)] == [1, 2]
            assert await store.seals(after=0, limit=1) == [SEAL]
            assert await store.seals(after=2, limit=9) == []
