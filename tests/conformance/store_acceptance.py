"""Conformance tests of stores about accepting runs, and reading runs and their history."""

import asyncio
from typing import Any

import pytest
from msgspec import structs

from gateway.core.shard_states import Phase
from gateway.store.interface import RunQuery, Store, StoreUnusable
from tests.conformance.store_values import (
    DAY,
    NOW,
    Open,
    admission,
    known,
    move,
)
from waypost.tracing.context import TraceContext


class AcceptanceConformance:
    """The part of `StoreConformance` about accepting and reading runs."""

    async def test_an_acceptance_reads_back_whole(self, store: Store) -> None:
        """Run, shards, decision and history: one commit, nothing left out."""
        given = admission(
            "run-1",
            shards=3,
            labels={"team": "a"},
            deadline_at=NOW + DAY,
            fingerprint=b"\x00\xff",
            idempotency_key="k",
            span=TraceContext(trace_id="a" * 32, span_id="b" * 16, flags=1, state="vendor=1"),
        )

        assert (await store.admit(given)).replay is False

        assert await store.run("run-1") == given.run
        assert tuple(await store.shards("run-1")) == given.shards
        assert tuple([await store.shard("run-1", index) for index in range(3)]) == given.shards
        assert await store.decision("d1") == given.decision
        (entry,) = await store.history("run-1")
        assert entry.seq > 0
        assert structs.replace(entry, seq=0) == given.history[0]

    async def test_what_was_acknowledged_outlives_the_process(self, open_store: Open) -> None:
        """The promise of a 202."""
        async with open_store() as store:
            await store.admit(admission("run-1", idempotency_key="k"))
        async with open_store() as store:
            assert (await known(store, "run-1")).idempotency_key == "k"
            assert (await store.admit(admission("run-2", idempotency_key="k"))).run.id == "run-1"

    async def test_a_store_that_is_open_is_refused_to_another(self, open_store: Open) -> None:
        """Two gateways on one store would undo each other's work; once it is closed the other may have it."""
        async with open_store():
            with pytest.raises(StoreUnusable, match="in use by another process"):
                await open_store().__aenter__()
        async with open_store():
            pass

    async def test_a_known_key_gives_the_run_it_made_and_writes_nothing(self, store: Store) -> None:
        """Who sends again because the answer was lost must not pay twice."""
        await store.admit(admission("run-1", idempotency_key="k"))

        again = await store.admit(admission("run-2", shards=4, idempotency_key="k"))

        assert (again.replay, again.run.id) == (True, "run-1")
        assert await store.run("run-2") is None
        assert await store.shards("run-2") == []
        assert await store.history("run-2") == []

    async def test_of_many_at_once_with_one_key_one_is_accepted(self, store: Store) -> None:
        """Clients retry before the first answer is there, among other work."""
        answers = await asyncio.gather(
            *(
                store.admit(admission(f"run-{n:02}", idempotency_key="k" if n % 2 else f"own-{n}"))
                for n in range(40)
            )
        )

        assert len({answer.run.id for answer in answers[1::2]}) == 1
        assert sum(not answer.replay for answer in answers[1::2]) == 1
        assert [answer.replay for answer in answers[::2]] == [False] * 20
        assert len((await store.runs(RunQuery(tenants=None))).runs) == 21

    async def test_a_key_belongs_to_its_tenant(self, store: Store) -> None:
        """Else one tenant could block another's, or learn of it."""
        await store.admit(admission("run-1", idempotency_key="k"))
        other = await store.admit(admission("run-2", tenant="research", idempotency_key="k"))

        assert (other.replay, other.run.id) == (False, "run-2")

    async def test_without_a_key_nothing_is_a_replay(self, store: Store) -> None:
        """Absent keys are not equal to one another."""
        answers = [await store.admit(admission(f"run-{n}")) for n in range(3)]

        assert [answer.replay for answer in answers] == [False] * 3

    @pytest.mark.parametrize(("age", "replay"), [(3 * DAY - 1, True), (3 * DAY + 1, False)])
    async def test_a_key_is_kept_for_three_days(self, store: Store, age: float, replay: bool) -> None:
        """Its run stays; the key is free for another."""
        await store.admit(admission("run-1", idempotency_key="k"))

        assert (
            await store.admit(admission("run-2", created_at=NOW + age, idempotency_key="k"))
        ).replay is replay
        assert (await known(store, "run-1")).idempotency_key == "k"

    async def test_what_is_not_there_is_none_or_empty(self, store: Store) -> None:
        """Asking is no error."""
        assert await store.run("run-9") is None
        assert await store.shard("run-9", 0) is None
        assert await store.decision("d9") is None
        assert [
            list(await store.shards("run-9")),
            list(await store.tasks("run-9")),
            list(await store.history("run-9")),
        ] == [[], [], []]

    async def test_runs_come_newest_first_in_pages(self, store: Store) -> None:
        """Pages neither overlap nor leave out, though runs are added in between."""
        for n in range(5):
            await store.admit(admission(f"run-{n}"))
        first = (await store.runs(RunQuery(tenants=None, limit=2))).runs
        await store.admit(admission("run-5"))
        rest = (await store.runs(RunQuery(tenants=None, limit=9, after=first[-1].id))).runs

        assert [run.id for run in (*first, *rest)] == ["run-4", "run-3", "run-2", "run-1", "run-0"]

    async def test_runs_are_found_by_tenant_phase_and_labels(self, store: Store) -> None:
        """All of the conditions hold of each; no tenants means no runs."""
        await store.admit(admission("run-1", labels={"team": "a", "env": "x"}))
        await store.admit(admission("run-2", labels={"team": "a", "it's": "50%"}))
        await store.admit(admission("run-3", tenant="research", labels={"team": "a"}))
        await move(store, "run-2", Phase.RUNNING, region="beijing", epoch=1)

        async def found(**query: Any) -> list[str]:
            return [run.id for run in (await store.runs(RunQuery(**{"tenants": None} | query))).runs]

        assert await found(tenants=("payments",)) == ["run-2", "run-1"]
        assert await found(tenants=("payments", "research"), labels={"team": "a"}) == [
            "run-3",
            "run-2",
            "run-1",
        ]
        assert await found(labels={"team": "a", "env": "x"}) == ["run-1"]
        assert await found(labels={"it's": "50%"}) == ["run-2"]
        assert await found(labels={"team": "b"}) == []
        assert await found(phase="Running") == ["run-2"]
        assert await found(tenants=()) == []

    async def test_several_runs_are_read_at_once(self, store: Store) -> None:
        """As many as the bound of their documents' bytes allows; one that is not there is left out."""
        for n in range(3):
            await store.admit(admission(f"run-{n}"))
        found = await store.some_runs(["run-0", "run-9", "run-2", "run-1"], maximum_bytes=14)

        assert found == {name: await known(store, name) for name in ("run-0", "run-2")}

    async def test_a_list_leaves_out_the_documents(self, store: Store) -> None:
        """Two hundred of a megabyte each would be read for nothing."""
        await store.admit(admission("run-1"))

        (listed,) = (await store.runs(RunQuery(tenants=None))).runs
        assert listed == structs.replace(await known(store, "run-1"), workflow=b"")

    @pytest.mark.parametrize(
        "query",
        [
            RunQuery(tenants=None, labels={"team": "b"}, limit=3),
            RunQuery(tenants=("payments", "research"), phase="Failed", limit=3),
            RunQuery(tenants=("payments",), labels={"team": "a", "env": "x"}, limit=3),
            RunQuery(tenants=("payments",), labels={"team": "b"}, phase="Pending", limit=3),
        ],
    )
    async def test_pages_come_to_their_end_whatever_is_asked(self, store: Store, query: RunQuery) -> None:
        """A page may be short, but following the pages finds each run that matches once, and ends."""
        for n in range(30):
            await store.admit(admission(f"run-{n:02}", labels={"team": "a" if n % 9 else "b", "env": "x"}))
        await move(store, "run-17", Phase.FAILED)

        found, pages = list[str](), 0
        while pages < 40:
            page = await store.runs(query)
            assert len(page.runs) <= 3
            found += [run.id for run in page.runs]
            pages += 1
            if page.next is None:
                break
            query = structs.replace(query, after=page.next)

        every = [f"run-{n:02}" for n in reversed(range(30))]
        expected = (
            ["run-17"]
            if query.phase == "Failed"
            else [name for name in every if (int(name[4:]) % 9 == 0) == (query.labels["team"] == "b")]
        )
        assert (page.next, found) == (None, expected)

    async def test_history_is_read_on_from_where_one_was(self, store: Store) -> None:
        """A stream of events that broke goes on without gap or repetition."""
        await store.admit(admission("run-1"))
        await store.admit(admission("run-2"))
        await move(store, "run-1", Phase.RUNNING, region="beijing")
        whole = await store.history("run-1")

        assert [entry.seq for entry in whole] == sorted({entry.seq for entry in whole})
        for n, entry in enumerate(whole):
            assert list(await store.history("run-1", after=entry.seq)) == list(whole[n + 1 :])
        assert list(await store.history("run-1", limit=1)) == list(whole[:1])
