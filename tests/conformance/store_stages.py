"""Conformance tests of stores about the stages of a run: when they begin, their inputs, how the run ends."""

from typing import Any

import pytest
from msgspec import structs

from gateway.core.history import HistoryKind, RunPhaseDetail
from gateway.core.run import Run, RunPhase
from gateway.core.shard_states import Phase, Shard
from gateway.steady_clock import MachineBoot
from gateway.store.interface import Admission, OpenWork, Store
from tests.conformance.store_values import NOW, admission, after, decision, known, task
from tests.gateway.core.history_entries import history_entry
from waypost.workflow.stages import COLLECT_SHARD, FINALLY_SHARD
from waypost.workflow.task_phase import TaskPhase

SECONDS = 600.0
BEGUN = NOW + 5
"""When the shards of these tests end (`after`), and with them a stage begins."""


def staged(
    run_id: str = "run-1", *, collect: int = 1, final: int = 1, shards: int = 2, **changes: Any
) -> Admission:
    """Returns an acceptance of a run with so many tasks in its stages."""
    fields = changes | {"stage_tasks": (collect, final), "finally_seconds": SECONDS}
    plain = admission(run_id, shards=shards, **fields)
    waiting = [index for index, tasks in ((COLLECT_SHARD, collect), (FINALLY_SHARD, final)) if tasks]
    others = [Shard(run=run_id, index=index, phase=Phase.WAITING) for index in waiting]
    return structs.replace(plain, shards=(*plain.shards, *others))


async def end(store: Store, phase: Phase, *indices: int, run_id: str = "run-1", **changes: Any) -> None:
    """Ends these shards of a run, one after the other."""
    for index in indices:
        shard = await store.shard(run_id, index)
        assert shard is not None
        write = after(structs.replace(shard, **changes), phase)
        assert list(await store.record([write], {})) == [True]


async def phases(store: Store, run_id: str = "run-1") -> dict[int, Phase]:
    return {shard.index: shard.phase for shard in await store.shards(run_id)}


async def cancel(store: Store, at: float, actor: str = "ada") -> Run | None:
    entry = history_entry(HistoryKind.CANCEL_REQUESTED, run="run-1", at=at, actor=actor)
    return await store.cancel("run-1", at=at, entry=entry)


async def retry(store: Store) -> None:
    entry = history_entry(HistoryKind.REOPENED, run="run-1", at=NOW + 99)
    run = await known(store, "run-1")
    assert await store.retry("run-1", run=run, decision=decision("d2"), entry=entry)


async def indices(store: Store, now: float = NOW + 6) -> list[int]:
    return [shard.index for shard in await store.pending(now=now, limit=9)]


class StagesConformance:
    """The part of `StoreConformance` about the stages of a run."""

    async def test_each_stage_begins_with_the_end_of_the_one_before(self, store: Store) -> None:
        """In the same commit: a gateway that is killed at any moment neither forgets nor repeats it."""
        await store.admit(staged())
        assert await indices(store) == [0, 1]
        await end(store, Phase.SUCCEEDED, 0)
        assert (await phases(store))[COLLECT_SHARD] is Phase.WAITING
        await end(store, Phase.SUCCEEDED, 1)
        assert await indices(store) == [COLLECT_SHARD]
        assert (await known(store, "run-1")).finally_deadline_at is None
        await end(store, Phase.SUCCEEDED, COLLECT_SHARD)
        assert await indices(store) == [FINALLY_SHARD]
        run = await known(store, "run-1")
        assert (run.phase, run.finished_at) == (RunPhase.RUNNING, None)
        assert run.finally_deadline_at == BEGUN + SECONDS
        await end(store, Phase.SUCCEEDED, FINALLY_SHARD)
        assert (await known(store, "run-1")).phase is RunPhase.SUCCEEDED
        begun = [e.shard for e in await store.history("run-1") if e.kind is HistoryKind.BEGUN]
        assert begun == [COLLECT_SHARD, FINALLY_SHARD]

    async def test_collect_is_passed_over_where_not_all_succeeded(self, store: Store) -> None:
        """There is nothing to collect; what comes last begins in the same commit."""
        await store.admit(staged())
        await end(store, Phase.FAILED, 0)
        await end(store, Phase.SUCCEEDED, 1)
        collect = await store.shard("run-1", COLLECT_SHARD)
        assert collect is not None
        assert (collect.phase, collect.reason) == (Phase.CANCELLED, "not all shards have succeeded")
        assert await indices(store) == [FINALLY_SHARD]
        await end(store, Phase.SUCCEEDED, FINALLY_SHARD)
        assert (await known(store, "run-1")).phase is RunPhase.FAILED

    @pytest.mark.parametrize(
        ("main", "final", "phase"),
        [
            (Phase.SUCCEEDED, Phase.FAILED, RunPhase.FAILED),
            (Phase.SUCCEEDED, Phase.QUARANTINED, RunPhase.FAILED),
            (Phase.CANCELLED, Phase.FAILED, RunPhase.CANCELLED),
            (Phase.FAILED, Phase.CANCELLED, RunPhase.FAILED),
            (Phase.QUARANTINED, Phase.SUCCEEDED, RunPhase.FAILED),
        ],
    )
    async def test_a_run_ends_as_its_rest_unless_only_finally_failed(
        self, store: Store, main: Phase, final: Phase, phase: RunPhase
    ) -> None:
        """And then its history says so: nothing that people look at first has failed."""
        await store.admit(staged(collect=0))
        await end(store, main, 0, 1)
        await end(store, final, FINALLY_SHARD)
        run = await known(store, "run-1")
        assert (run.phase, run.finished_at) == (phase, BEGUN)
        details = [e.detail for e in await store.history("run-1") if e.kind is HistoryKind.RUN_PHASE]
        assert isinstance(details[-1], RunPhaseDetail)
        assert ("finally" in details[-1].reason) is (main is Phase.SUCCEEDED)

    async def test_a_cancellation_leaves_finally_and_a_second_one_ends_it(self, store: Store) -> None:
        """Cleaning up is most needed then. Whoever asks again while it runs has seen that it does."""
        await store.admit(staged())
        await cancel(store, NOW + 1)
        assert [shard.index for shard in await store.to_cancel(limit=9)] == [0, 1]
        await end(store, Phase.CANCELLED, 0, 1)
        assert await phases(store) == {
            0: Phase.CANCELLED,
            1: Phase.CANCELLED,
            COLLECT_SHARD: Phase.CANCELLED,
            FINALLY_SHARD: Phase.PENDING,
        }
        assert list(await store.to_cancel(limit=9)) == []
        assert await indices(store) == [FINALLY_SHARD]
        assert (await known(store, "run-1")).phase is RunPhase.CANCELLING

        again = await cancel(store, NOW + 7)
        assert again is not None
        assert (again.cancel_requested_at, again.finally_cancelled_at) == (NOW + 1, NOW + 7)
        assert [shard.index for shard in await store.to_cancel(limit=9)] == [FINALLY_SHARD]
        assert await indices(store) == []
        assert await cancel(store, NOW + 8) == again
        await end(store, Phase.CANCELLED, FINALLY_SHARD)
        assert (await known(store, "run-1")).phase is RunPhase.CANCELLED

    async def test_collect_does_not_begin_in_a_cancelled_run(self, store: Store) -> None:
        """Though all main shards were quicker than the cancellation."""
        await store.admit(staged())
        await cancel(store, NOW + 1)
        await end(store, Phase.SUCCEEDED, 0, 1)
        assert (await phases(store))[COLLECT_SHARD] is Phase.CANCELLED
        await end(store, Phase.SUCCEEDED, FINALLY_SHARD)
        assert (await known(store, "run-1")).phase is RunPhase.CANCELLED

    async def test_finally_has_a_deadline_of_its_own(self, store: Store) -> None:
        """It begins after the run's, and ends at its own, cancelled run or not."""
        await store.admit(staged(collect=0, deadline_at=NOW + 2))
        assert [shard.index for shard in await store.overdue(now=NOW + 3, limit=9)] == [0, 1]
        await end(store, Phase.FAILED, 0, 1)
        late = BEGUN + SECONDS
        assert list(await store.overdue(now=late - 1, limit=9)) == []
        assert await indices(store, late - 1) == [FINALLY_SHARD]
        assert [shard.index for shard in await store.overdue(now=late, limit=9)] == [FINALLY_SHARD]
        assert await indices(store, late) == []

    async def test_the_deadline_of_finally_goes_with_the_clock(self, store: Store) -> None:
        """As that of a run does where the wall clock was set."""
        await store.admit(staged(collect=0))
        await end(store, Phase.FAILED, 0, 1)
        await store.correct_times(MachineBoot(id="boot", at=NOW))
        await store.correct_times(MachineBoot(id="boot", at=NOW + 3600))
        assert (await known(store, "run-1")).finally_deadline_at == BEGUN + SECONDS + 3600

    async def test_a_retry_runs_what_failed_and_then_finally_once_more(self, store: Store) -> None:
        """All tasks of finally: the end that it is about may be another one."""
        await store.admit(staged())
        await end(store, Phase.SUCCEEDED, 0)
        await end(store, Phase.FAILED, 1)
        rows = (task("run-1", "clean", shard=FINALLY_SHARD),)
        shard = await store.shard("run-1", FINALLY_SHARD)
        assert shard is not None
        write = structs.replace(after(structs.replace(shard, epoch=1), Phase.SUCCEEDED), tasks=rows)
        await store.record([write], {})

        await retry(store)

        assert await phases(store) == {
            0: Phase.SUCCEEDED,
            1: Phase.PENDING,
            COLLECT_SHARD: Phase.WAITING,
            FINALLY_SHARD: Phase.WAITING,
        }
        opened = await store.shard("run-1", FINALLY_SHARD)
        assert opened is not None
        assert opened.epoch == 1, "epochs only grow"
        assert list(await store.tasks("run-1", FINALLY_SHARD)) == []
        run = await known(store, "run-1")
        assert (run.phase, run.finally_deadline_at) == (RunPhase.RUNNING, None)
        await end(store, Phase.SUCCEEDED, 1)
        assert await indices(store) == [COLLECT_SHARD]

    async def test_a_retry_of_finally_alone_goes_on_from_what_it_has_done(self, store: Store) -> None:
        """Nothing else runs again, so the end is the same one."""
        await store.admit(staged(collect=0))
        await end(store, Phase.SUCCEEDED, 0, 1)
        shard = await store.shard("run-1", FINALLY_SHARD)
        assert shard is not None
        rows = (
            task("run-1", "a", shard=FINALLY_SHARD),
            task("run-1", "b", TaskPhase.FAILED, shard=FINALLY_SHARD),
        )
        write = structs.replace(after(structs.replace(shard, epoch=1), Phase.FAILED), tasks=rows)
        await store.record([write], {})
        await cancel(store, NOW + 9)

        await retry(store)

        assert await phases(store) == {0: Phase.SUCCEEDED, 1: Phase.SUCCEEDED, FINALLY_SHARD: Phase.PENDING}
        assert [row.task for row in await store.tasks("run-1", FINALLY_SHARD)] == ["a"]
        run = await known(store, "run-1")
        assert (run.finally_deadline_at, run.finally_cancelled_at) == (NOW + 99 + SECONDS, None)

    async def test_a_run_is_open_until_finally_has_ended(self, store: Store) -> None:
        """Its tenant's limits count it, with the shards and tasks of its stages."""
        await store.admit(staged(task_count=3, collect=2, final=4))
        open_work = OpenWork(runs=1, shards=4, tasks=12)
        assert await store.count_open_work("payments") == open_work
        await end(store, Phase.FAILED, 0, 1)
        assert await store.count_open_work("payments") == open_work
        await end(store, Phase.FAILED, FINALLY_SHARD)
        assert await store.count_open_work("payments") == OpenWork()
        await retry(store)
        assert await store.count_open_work("payments") == open_work
