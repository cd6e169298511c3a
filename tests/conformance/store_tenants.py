"""Conformance tests of stores about fairness between tenants, and limits of each tenant's open work."""

import asyncio
from typing import Any

from msgspec import structs

from gateway.core.history import HistoryKind
from gateway.core.shard_states import Phase
from gateway.store.interface import Admitted, OpenWork, Store
from tests.conformance.store_values import NOW, Open, admission, decision, keys, known, move
from tests.gateway.core.history_entries import history_entry


class TenantsConformance:
    """The part of `StoreConformance` about tenants."""

    async def test_tenants_take_turns_in_what_is_pending(self, store: Store) -> None:
        """No backlog of one, however long or urgent, keeps another's shard waiting for more than a turn."""
        await store.admit(admission("run-1", tenant="noisy", shards=40, priority=9))
        await store.admit(admission("run-2", tenant="quiet", shards=2))
        await store.admit(admission("run-3", tenant="heavy", shards=40, weight=3.0))

        async def tenants(limit: int, after: str = "") -> list[str]:
            names = {"run-1": "noisy", "run-2": "quiet", "run-3": "heavy"}
            return [names[shard.run] for shard in await store.pending(now=NOW, limit=limit, after=after)]

        assert await tenants(3) == ["heavy", "noisy", "quiet"]
        assert await tenants(1, after="heavy") == ["noisy"], "whose turn it is goes on with the next reading"
        assert await tenants(1, after="noisy") == ["quiet"]
        assert await tenants(1, after="quiet") == ["heavy"]
        assert {
            shard.run for shard in await store.pending(now=NOW, limit=9, without_tenants=["heavy", "x"])
        } == {
            "run-1",
            "run-2",
        }
        many = await tenants(40)
        assert (many.count("quiet"), many.count("heavy") >= 2.5 * many.count("noisy")) == (2, True)
        assert len(await tenants(90)) == 82, "a backlog of one is read to its end"

    async def test_tenants_take_turns_in_cancellations_and_deadlines(self, store: Store) -> None:
        """A thousand cancelled shards of one tenant do not put off the one of another."""
        for n, (tenant, shards) in enumerate((("noisy", 40), ("quiet", 1))):
            await store.admit(
                admission(f"run-{n}", tenant=tenant, shards=shards, deadline_at=NOW + 10),
            )
        assert ("run-1", 0) in keys(await store.overdue(now=NOW + 10, limit=3))

        for run in ("run-0", "run-1"):
            request = history_entry(HistoryKind.CANCEL_REQUESTED, run=run, at=NOW)
            await store.cancel(run, at=NOW, entry=request)
        assert ("run-1", 0) in keys(await store.to_cancel(limit=3))

    async def test_what_a_tenant_has_open_is_counted(self, open_store: Open) -> None:
        """From the acceptance to the end of the run, and again when it is retried; also after a restart."""
        async with open_store() as store:
            assert await store.count_open_work("payments") == OpenWork()
            await store.admit(admission("run-1", shards=3, task_count=4, idempotency_key="k"))
            await store.admit(admission("run-2", idempotency_key="k"))
            await store.admit(admission("run-3", tenant="research"))
            assert await store.count_open_work("payments") == OpenWork(runs=1, shards=3, tasks=12)
            await move(store, "run-1", Phase.FAILED)
            await move(store, "run-1", Phase.SUCCEEDED, index=1)
            assert await store.count_open_work("payments") == OpenWork(runs=1, shards=3, tasks=12)
            await move(store, "run-1", Phase.SUCCEEDED, index=2)
            assert await store.count_open_work("payments") == OpenWork()
            note = history_entry(HistoryKind.REOPENED, run="run-1", at=NOW + 9)
            again = structs.replace(await known(store, "run-1"), task_count=5)
            assert await store.retry("run-1", run=again, decision=decision("d2"), entry=note)
        async with open_store() as store:
            assert await store.count_open_work("payments") == OpenWork(runs=1, shards=3, tasks=15)
            request = history_entry(HistoryKind.CANCEL_REQUESTED, run="run-1", at=NOW + 1)
            await store.cancel("run-1", at=NOW + 1, entry=request)
            await move(store, "run-1", Phase.CANCELLED)
            assert await store.count_open_work("payments") == OpenWork()
            assert await store.count_open_work("research") == OpenWork(runs=1, shards=1, tasks=1)

    async def test_what_passes_a_limit_of_its_tenant_is_not_written(self, store: Store) -> None:
        """Decided in the commit: of a thousand at once not one more is let in."""
        limits = OpenWork(runs=3, shards=9, tasks=100)

        async def admit(name: str, shards: int = 1, **changes: Any) -> Admitted:
            return await store.admit(
                structs.replace(admission(name, shards=shards, **changes), limits=limits)
            )

        many = await asyncio.gather(*(admit(f"run-{n}", idempotency_key=f"k{n}") for n in range(8)))

        assert [bool(answer.exceeded) for answer in many] == [False] * 3 + [True] * 5
        assert "3 runs open" in many[-1].exceeded
        assert await store.run("run-7") is None
        assert (await admit("run-8", idempotency_key="k0")).run.id == "run-0", "a replay opens nothing"
        assert not (await admit("run-9", tenant="research")).exceeded
        assert "shards" in (await admit("run-10", shards=9, tenant="research")).exceeded
        assert "tasks" in (await admit("run-11", task_count=100, tenant="research")).exceeded
        assert not (await admit("run-12", shards=12, tenant="other")).exceeded, (
            "else it would never be let in"
        )
