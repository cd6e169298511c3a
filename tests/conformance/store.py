"""What every store promises about acceptances, reading and people's wishes, whatever database it stands on."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import pytest
from msgspec import structs

from clusters.protocol import TaskPhase
from gateway.core.decision import Action, Decision, Obligations
from gateway.core.history import HistoryKind
from gateway.core.run import Run, RunPhase, TaskRow
from gateway.core.shard_states import Orphan, Phase, Shard
from gateway.store.interface import Admission, RunQuery, ShardWrite, Store
from tests.gateway.core.history_entries import history_entry

Open: TypeAlias = Callable[[], AbstractAsyncContextManager[Store]]
"""Opens one and the same store, each time anew; one at a time."""

NOW = 1_800_000_000.0
DAY = 86_400.0


def decision(name: str = "d1", *regions: str, allow: bool = True) -> Decision:
    obligations = Obligations(regions=regions or ("beijing", "shanghai"))
    return Decision(
        id=name,
        at=NOW,
        action=Action.RUNS_SUBMIT,
        allow=allow,
        revision="r",
        engine="test",
        obligations=obligations,
    )


def admission(run_id: str, *, shards: int = 1, **changes: Any) -> Admission:
    fields: dict[str, Any] = {
        "id": run_id,
        "tenant": "payments",
        "name": "nightly",
        "subject": "ada",
        "issuer": "https://issuer.test",
        "priority": 0,
        "shard_count": shards,
        "workflow": b'{"a":1}',
        "created_at": NOW,
        "decision_id": "d1",
        "decided_at": NOW,
        "permitted": ("beijing", "shanghai"),
    }
    run = Run(**fields | changes)
    return Admission(
        run=run,
        shards=tuple(Shard(run=run_id, index=index, item={"part": index}) for index in range(shards)),
        decision=decision(),
        history=(history_entry(HistoryKind.ACCEPTED, run=run_id, at=NOW, actor="ada"),),
    )


def task(run_id: str, name: str, phase: TaskPhase = TaskPhase.SUCCEEDED, **changes: Any) -> TaskRow:
    row = TaskRow(
        run=run_id,
        shard=0,
        task=name,
        phase=phase,
        epoch=1,
        region="beijing",
        incarnation="j1",
        tries=1,
        started_at=NOW,
        ended_at=NOW + 1,
    )
    return structs.replace(row, **changes)


async def move(
    store: Store,
    run_id: str,
    phase: Phase,
    *,
    index: int = 0,
    tasks: tuple[TaskRow, ...] = (),
    **changes: Any,
) -> Shard:
    """The shard, as it is, put into `phase` by one write that must take."""
    shard = (await store.shards(run_id))[index]
    after = structs.replace(shard, phase=phase, rev=shard.rev + 1, **changes)
    note = history_entry(HistoryKind.INTENDED, run=run_id, shard=index, at=NOW + 5)
    assert list(await store.record([ShardWrite(shard=after, tasks=tasks, history=(note,))], {})) == [True]
    return after


async def kinds(store: Store, run_id: str) -> list[str]:
    return [entry.kind for entry in await store.history(run_id)]


async def known(store: Store, run_id: str) -> Run:
    run = await store.run(run_id)
    assert run is not None
    return run


class AcceptanceConformance:
    """Inherit it, and give fixtures `store` and `open_store`."""

    async def test_an_acceptance_reads_back_whole(self, store: Store) -> None:
        """Run, shards, decision and history: one commit, nothing left out."""
        given = admission(
            "run-1",
            shards=3,
            labels={"team": "a"},
            deadline_at=NOW + DAY,
            fingerprint=b"\x00\xff",
            idempotency_key="k",
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
        assert len(await store.runs(RunQuery(tenants=None))) == 21

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
        first = await store.runs(RunQuery(tenants=None, limit=2))
        await store.admit(admission("run-5"))
        rest = await store.runs(RunQuery(tenants=None, limit=9, after=first[-1].id))

        assert [run.id for run in (*first, *rest)] == ["run-4", "run-3", "run-2", "run-1", "run-0"]

    async def test_runs_are_found_by_tenant_phase_and_labels(self, store: Store) -> None:
        """All of the conditions hold of each; no tenants means no runs."""
        await store.admit(admission("run-1", labels={"team": "a", "env": "x"}))
        await store.admit(admission("run-2", labels={"team": "a", "it's": "50%"}))
        await store.admit(admission("run-3", tenant="research", labels={"team": "a"}))
        await move(store, "run-2", Phase.RUNNING, region="beijing", epoch=1)

        async def found(**query: Any) -> list[str]:
            return [run.id for run in await store.runs(RunQuery(**{"tenants": None} | query))]

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

    async def test_a_wish_to_cancel_is_committed_once(self, store: Store) -> None:
        """The second one changes neither time nor history."""
        await store.admit(admission("run-1", shards=2))
        wish = history_entry(HistoryKind.CANCEL_REQUESTED, run="run-1", at=NOW + 1, actor="ada")

        first = await store.cancel("run-1", at=NOW + 1, entry=wish)
        second = await store.cancel("run-1", at=NOW + 2, entry=wish)

        assert first is not None
        assert (first.phase, first.cancel_requested_at) == (RunPhase.CANCELLING, NOW + 1)
        assert second == first
        assert (await kinds(store, "run-1")).count("CancelRequested") == 1
        assert [shard.index for shard in await store.to_cancel(limit=9)] == [0, 1]

    async def test_what_has_ended_is_not_cancelled(self, store: Store) -> None:
        """Nor what never was."""
        await store.admit(admission("run-1"))
        await move(store, "run-1", Phase.SUCCEEDED)
        wish = history_entry(HistoryKind.CANCEL_REQUESTED, run="run-1", at=NOW + 9)

        ended = await store.cancel("run-1", at=NOW + 9, entry=wish)

        assert ended is not None
        assert (ended.phase, ended.cancel_requested_at) == (RunPhase.SUCCEEDED, None)
        assert "CancelRequested" not in await kinds(store, "run-1")
        assert await store.cancel("run-9", at=NOW, entry=wish) is None

    async def test_a_retry_opens_what_ended_badly_and_keeps_the_rest(self, store: Store) -> None:
        """Fresh counts under the new decision; epochs, orphans and finished work stay (T13)."""
        await store.admit(admission("run-1", shards=4, deadline_at=NOW + 1))
        orphan = Orphan(region="shanghai", epoch=3)
        ended = (task("run-1", "a"), task("run-1", "b", TaskPhase.FAILED))
        await move(
            store,
            "run-1",
            Phase.FAILED,
            epoch=3,
            attempts_lost=2,
            failovers=1,
            orphans=(orphan,),
            tasks=ended,
        )
        await move(store, "run-1", Phase.QUARANTINED, index=1)
        await move(store, "run-1", Phase.CANCELLED, index=2)
        await move(store, "run-1", Phase.SUCCEEDED, index=3)
        run = structs.replace(await known(store, "run-1"), deadline_at=NOW + DAY)
        note = history_entry(HistoryKind.REOPENED, run="run-1", at=NOW + 9)

        assert await store.retry("run-1", run=run, decision=decision("d2", "shenzhen"), entry=note) is True

        opened = await known(store, "run-1")
        assert (opened.phase, opened.deadline_at, opened.finished_at) == (RunPhase.RUNNING, NOW + DAY, None)
        assert (opened.decision_id, opened.permitted) == ("d2", ("shenzhen",))
        shards = await store.shards("run-1")
        assert [shard.phase for shard in shards] == [
            Phase.PENDING,
            Phase.PENDING,
            Phase.PENDING,
            Phase.SUCCEEDED,
        ]
        assert (shards[0].epoch, shards[0].orphans, shards[0].attempts_lost, shards[0].failovers) == (
            3,
            (orphan,),
            0,
            0,
        )
        assert [row.task for row in await store.tasks("run-1")] == ["a"]
        assert len(await store.pending(now=NOW + 9, limit=9)) == 3

    async def test_a_retry_runs_what_policy_obliges_now(self, store: Store) -> None:
        """A document whose priority was capped, or whose side effects became exclusive, must not run again as it was before."""
        await store.admit(admission("run-1", shards=2, priority=9))
        await store.admit(admission("run-2", priority=5))
        await move(store, "run-1", Phase.FAILED)
        await move(store, "run-1", Phase.CANCELLED, index=1)
        obliged = structs.replace(
            await known(store, "run-1"), workflow=b'{"a":2}', priority=1, labels={"team": "b"}
        )
        note = history_entry(HistoryKind.REOPENED, run="run-1", at=NOW + 9)

        assert await store.retry("run-1", run=obliged, decision=decision("d2"), entry=note) is True

        opened = await known(store, "run-1")
        assert (opened.workflow, opened.priority, opened.labels) == (b'{"a":2}', 1, {"team": "b"})
        assert [run.id for run in await store.runs(RunQuery(tenants=None, labels={"team": "b"}))] == ["run-1"]
        assert [shard.run for shard in await store.pending(now=NOW + 9, limit=9)] == [
            "run-2",
            "run-1",
            "run-1",
        ]

    @pytest.mark.parametrize("phase", [Phase.PENDING, Phase.RUNNING, Phase.SUCCEEDED])
    async def test_only_what_ended_badly_is_retried(self, store: Store, phase: Phase) -> None:
        """Two people may press the button at once; the second finds it open."""
        await store.admit(admission("run-1"))
        await move(store, "run-1", phase)
        before = await known(store, "run-1")
        note = history_entry(HistoryKind.REOPENED, run="run-1", at=NOW)

        assert await store.retry("run-1", run=before, decision=decision("d2"), entry=note) is False
        assert await known(store, "run-1") == before
        assert "RetryRequested" not in await kinds(store, "run-1")

    @pytest.mark.parametrize(("allow", "permitted"), [(True, ("shenzhen",)), (False, ())])
    async def test_another_decision_is_in_force(
        self, store: Store, allow: bool, permitted: tuple[str, ...]
    ) -> None:
        """A refusal permits no region, whatever it obliges to."""
        await store.admit(admission("run-1"))

        await store.replace_decision("run-1", decision=decision("d2", "shenzhen", allow=allow))

        run = await known(store, "run-1")
        assert (run.decision_id, run.permitted) == ("d2", permitted)
        assert (await store.decision("d1"), (await store.decision("d2") or decision()).allow) == (
            decision(),
            allow,
        )
