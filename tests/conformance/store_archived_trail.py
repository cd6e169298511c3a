"""Conformance tests of stores about the oldest part of the audit trail, which leaves once it is archived."""

from collections.abc import Sequence

from msgspec import structs

from gateway.core.decision import Action
from gateway.core.history import HistoryKind
from gateway.regions.region_condition import Taint
from gateway.store.interface import Store
from gateway.store.trail import ArchivedTrail
from observability.audit import Seal
from tests.conformance.store_decisions import asked
from tests.conformance.store_retention import ended_run, purge_all, take_out
from tests.conformance.store_values import NOW, Open, known
from tests.gateway.core.history_entries import history_entry

ANNOUNCED = history_entry(HistoryKind.TRAIL_ARCHIVED, at=NOW + 20)


def seal(number: int, *entries: int) -> Seal:
    return Seal(number=number, before="", at=NOW, entries=tuple((each, "ab") for each in entries))


async def cordoned(store: Store, region: str, decision_id: str) -> None:
    """Stores an act that is about no run, with the decision behind it."""
    await store.record_decision(asked(decision_id, action=Action.REGIONS_OPERATE, workflow=None))
    entry = history_entry(HistoryKind.CORDONED, at=NOW + 6, actor="sre")
    entry = structs.replace(entry, detail=structs.replace(entry.detail, decision_id=decision_id))
    await store.add_taint(region, Taint.CORDONED, entry=entry)


async def trail_of(store: Store) -> list[int]:
    return list((await store.trail(after=0)).entries)


async def seals_of(store: Store) -> list[int]:
    return [one.number for one in await store.seals(after=0, limit=99)]


async def archived_up_to(store: Store, sealed: Seal, *, entries: int) -> ArchivedTrail:
    """Announces that the trail up to the seal `sealed` is archived; returns what was announced."""
    part = ArchivedTrail(
        file="t.jsonl.gz", last_seal=sealed.number, last_entry=sealed.entries[-1][0], entries=entries
    )
    assert await store.announce_archived_trail(part, entry=ANNOUNCED)
    return part


async def two_runs_sealed(store: Store) -> tuple[Sequence[int], Seal]:
    """Stores a run that leaves, one that stays and a cordon, each sealed; returns entries and last seal."""
    gone = await ended_run(store, "run-1")
    await ended_run(store, "run-2")
    await cordoned(store, "beijing", "cordon-1")
    assert await take_out(store, gone) == [True]
    await purge_all(store)
    entries = await trail_of(store)
    for number, entry in enumerate(entries, start=1):
        assert await store.add_seal(seal(number, entry))
    return entries, seal(len(entries), entries[-1])


class ArchivedTrailConformance:
    """The part of `StoreConformance` about the part of the audit trail that was archived."""

    async def test_a_part_leaves_the_trail_only_once_that_is_sealed(self, open_store: Open) -> None:
        """At once for readers, across restarts; a second part waits for the first."""
        async with open_store() as store:
            entries, last = await two_runs_sealed(store)
            assert (len(entries), await store.sealed_entries()) == (3, 3)
            assert await store.archived_trail() is None
            assert not await store.cut_trail()
            part = await archived_up_to(store, last, entries=3)
            assert not await store.announce_archived_trail(part, entry=ANNOUNCED)
            assert not await store.cut_trail()
            assert (await trail_of(store))[:3] == entries
        async with open_store() as store:
            announced = (await trail_of(store))[-1]
            mark = await store.archived_trail()
            assert mark == structs.replace(part, announced_by=announced)
            await store.add_seal(seal(4, announced))
            assert await store.sealed_entries() == 4
            assert await store.cut_trail()
            assert not await store.cut_trail()
            assert (await trail_of(store), await seals_of(store)) == ([announced], [4])
            assert await store.sealed_entries() == 1
            assert (await store.trail(after=0)).last >= announced
        async with open_store() as store:
            assert (await trail_of(store), await seals_of(store)) == ([announced], [4])

    async def test_its_rows_go_but_for_those_of_runs_that_are_there(self, store: Store) -> None:
        """Those are the runs' history still, and go with them."""
        _, last = await two_runs_sealed(store)
        await archived_up_to(store, last, entries=3)
        await store.add_seal(seal(4, (await trail_of(store))[-1]))
        assert await purge_all(store) == {}
        assert await store.cut_trail()
        assert await purge_all(store, limit=1) == {"trail": 2, "decisions": 1, "seals": 3}
        mark = await store.archived_trail()
        assert mark is not None and mark.deleted
        assert await store.decision("accept-run-1") is None
        assert await store.decision("cordon-1") is not None, "others may have the same"
        assert await store.decision("accept-run-2") is not None
        kinds = [entry.kind for entry in await store.history("run-2")]
        assert kinds[0] is HistoryKind.ACCEPTED
        live = await trail_of(store)
        assert await store.announce_archived_trail(mark, entry=ANNOUNCED), "the next part may go"
        assert (await trail_of(store))[:-1] == live, "what was cut does not come back"

        assert await take_out(store, await known(store, "run-2")) == [True]
        assert (await purge_all(store))["decisions"] == 2
        assert await store.history("run-2") == []
        assert await store.decision("accept-run-2") is None

    async def test_decisions_that_nothing_leads_to_are_listed_and_deleted(self, store: Store) -> None:
        """Not those kept up to a bound, of runs in the store, or behind entries that are still trail."""
        gone = await ended_run(store, "run-1")
        await ended_run(store, "run-2")
        await store.replace_decision("run-1", decision=asked("replaced-1"))
        await store.replace_decision("run-2", decision=asked("replaced-2"))
        await store.record_passing([asked("passing", allow=False)], of_tenant=9, in_all=9)
        await cordoned(store, "beijing", "cordon-1")
        first = (await trail_of(store))[-1]
        await cordoned(store, "shanghai", "cordon-2")
        await take_out(store, structs.replace(gone))
        await purge_all(store)

        async def left(before: float = NOW + 1, limit: int = 9, after: str = "") -> list[str]:
            found = await store.left_decisions(before=before, beyond_entry=first, after=after, limit=limit)
            return [one.decision.id for one in found.decisions]

        expected = ["cordon-1", "place-run-1", "replaced-1"]
        found = await left()
        assert [name for name in found if name in expected] == [n for n in expected if n in found]
        assert {"cordon-1", "replaced-1"} <= set(found)
        assert not {"cordon-2", "passing", "replaced-2", "accept-run-1", "accept-run-2"} & set(found)
        assert await left(before=NOW) == []
        assert await left(limit=1) == found[:1]
        assert await left(after=found[0]) == found[1:]
        await store.delete_decisions(found)
        assert await left() == []
        assert await store.decision("cordon-1") is None

    async def test_documents_that_only_decisions_have_are_found(self, store: Store) -> None:
        """They would be lost with the decision."""
        await store.record_decision(asked("own"))
        await store.record_decision(asked("none", workflow=None))
        (found,) = await store.kept_documents(["own", "none", "unknown"])
        assert found.decision == asked("own")

    async def test_a_row_that_is_large_goes_by_itself(self, store: Store) -> None:
        """A commit is bounded in bytes as in rows, and none is too large to go."""
        await take_out(store, await ended_run(store, "run-1"))
        first = await store.purge(limit=100, maximum_bytes=1)
        assert (sum(first.rows.values()), first.more) == (1, True)

    async def test_where_runs_are_is_forgotten_after_a_time(self, store: Store) -> None:
        """Once nothing is left to delete of them."""
        for name in ("run-1", "run-2"):
            await take_out(store, await ended_run(store, name))
        assert await store.forget_archived(before=NOW + 99, limit=9) == 0
        await purge_all(store)
        assert await store.forget_archived(before=NOW + 9, limit=9) == 0
        assert await store.forget_archived(before=NOW + 10, limit=1) == 1
        assert await store.forget_archived(before=NOW + 10, limit=9) == 1
        assert await store.archived_run("run-1") is None

    async def test_the_time_of_retention_is_kept(self, open_store: Open) -> None:
        """Across restarts, to the fraction."""
        async with open_store() as store:
            assert await store.retention_time() is None
            await store.keep_retention_time(NOW + 0.1)
        async with open_store() as store:
            assert await store.retention_time() == NOW + 0.1
