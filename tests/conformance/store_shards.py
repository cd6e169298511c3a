"""Conformance tests of stores about shards: who may write them, which queries find them, who is notified."""

import asyncio

import pytest
from msgspec import structs

from gateway.core.history import HistoryKind, RunPhaseDetail
from gateway.core.run import RunPhase
from gateway.core.shard_states import Orphan, Phase
from gateway.store.interface import Cursor, Store
from tests.conformance.store_values import NOW, Open, admission, after, keys, kinds, known, move, task
from tests.gateway.core.history_entries import history_entry
from waypost.workflow.task_phase import TaskPhase


class ShardsConformance:
    """The part of `StoreConformance` about shards."""

    async def test_a_write_on_what_has_changed_does_not_take(self, store: Store) -> None:
        """Compare and swap: tasks and history of the one that lost are not written either."""
        await store.admit(admission("run-1"))
        stale = (await store.shards("run-1"))[0]
        await move(store, "run-1", Phase.RUNNING, region="beijing")
        late = structs.replace(after(stale, Phase.FAILED, HistoryKind.FAILED), tasks=(task("run-1", "a"),))

        assert list(await store.record([late], {})) == [False]

        assert (await store.shards("run-1"))[0].phase is Phase.RUNNING
        assert list(await store.tasks("run-1")) == []
        assert HistoryKind.FAILED not in await kinds(store, "run-1")

    async def test_of_many_writes_on_one_revision_one_takes(self, store: Store) -> None:
        """From one writer or several, in one transaction or several."""
        await store.admit(admission("run-1"))
        (shard,) = await store.shards("run-1")

        took = await asyncio.gather(
            *(store.record([after(shard, Phase.RUNNING, kind)], {}) for kind in tuple(HistoryKind)[:12])
        )

        assert sum(one for (one,) in took) == 1
        assert len(await kinds(store, "run-1")) == 3, "accepted, moved, and the run's own phase"

    @pytest.mark.parametrize("phase", [Phase.FAILED, Phase.CANCELLING, Phase.PENDING])
    async def test_no_task_runs_where_no_attempt_does(self, store: Store, phase: Phase) -> None:
        """A shard that failed, is cancelled or lost its region must not show running tasks for ever."""
        await store.admit(admission("run-1"))
        paused = task("run-1", "c", TaskPhase.RETRYING, next_try_at=NOW + 60)
        rows = (task("run-1", "a", TaskPhase.RUNNING, ended_at=None), task("run-1", "b"), paused)
        await move(store, "run-1", Phase.RUNNING, region="beijing", epoch=1, tasks=rows)
        await move(store, "run-1", phase, region=None)
        found = {row.task: row for row in await store.tasks("run-1")}
        assert (found["a"].phase, found["a"].ended_at) == (TaskPhase.STOPPED, NOW + 5)
        assert found["b"] == rows[1]
        # Its try had ended before.
        assert found["c"] == structs.replace(paused, phase=TaskPhase.STOPPED, next_try_at=None)

    async def test_each_write_is_on_its_own(self, store: Store) -> None:
        """One conflict does not undo its neighbours."""
        await store.admit(admission("run-1", shards=3))
        shards = await store.shards("run-1")
        await move(store, "run-1", Phase.RUNNING, index=1, region="beijing")

        took = await store.record([after(shard, Phase.SUCCEEDED) for shard in shards], {})

        assert list(took) == [True, False, True]
        assert [shard.phase for shard in await store.shards("run-1")] == [
            Phase.SUCCEEDED,
            Phase.RUNNING,
            Phase.SUCCEEDED,
        ]

    async def test_a_cursor_moves_only_with_all_that_it_brought(self, store: Store) -> None:
        """Else an event whose write lost would never come again."""
        await store.admit(admission("run-1", shards=2))
        one, two = await store.shards("run-1")
        await move(store, "run-1", Phase.RUNNING, index=1, region="beijing")

        await store.record(
            [after(one, Phase.RUNNING), after(two, Phase.RUNNING)],
            {"beijing": Cursor(incarnation="j1", seq=7)},
        )
        assert await store.cursors() == {}

        fresh = (await store.shards("run-1"))[1]
        await store.record([after(fresh, Phase.SUCCEEDED)], {"beijing": Cursor(incarnation="j1", seq=7)})
        await store.record(
            [], {"beijing": Cursor(incarnation="j1", seq=8), "shanghai": Cursor(incarnation="j2", seq=1)}
        )
        assert await store.cursors() == {
            "beijing": Cursor(incarnation="j1", seq=8),
            "shanghai": Cursor(incarnation="j2", seq=1),
        }

    async def test_the_newest_report_of_a_task_is_kept(self, store: Store) -> None:
        """A task's row is what resumption reads; it comes back as it went in."""
        await store.admit(admission("run-1", shards=2))
        await move(
            store,
            "run-1",
            Phase.RUNNING,
            region="beijing",
            tasks=(task("run-1", "a", output=None, tries=1), task("run-1", "b")),
        )
        newest = task("run-1", "a", output={"x": [1, 2.5, "ü", None]}, tries=2, reason="r")
        await move(store, "run-1", Phase.RUNNING, region="beijing", tasks=(newest,))
        await move(store, "run-1", Phase.RUNNING, index=1, tasks=(task("run-1", "a", shard=1),))

        assert {(row.shard, row.task): row.tries for row in await store.tasks("run-1")} == {
            (0, "a"): 2,
            (0, "b"): 1,
            (1, "a"): 1,
        }
        assert newest in await store.tasks("run-1", 0)
        assert list(await store.tasks("run-1", 1)) == [task("run-1", "a", shard=1)]

    async def test_tasks_are_cut_where_they_are_read(self, store: Store) -> None:
        """A run of many large outputs is not read whole to show its beginning; all of it is counted."""
        await store.admit(admission("run-1", shards=2))
        given = [task("run-1", name, output={"text": "x" * 1000}) for name in ("c", "a", "b")]
        await move(
            store, "run-1", Phase.RUNNING, epoch=1, tasks=(*given, task("run-1", "d", TaskPhase.RUNNING))
        )
        await move(
            store,
            "run-1",
            Phase.RUNNING,
            index=1,
            epoch=1,
            tasks=(task("run-1", "a", TaskPhase.FAILED, shard=1),),
        )

        assert [(row.shard, row.task) for row in await store.tasks("run-1", limit=3)] == [
            (0, "a"),
            (0, "b"),
            (0, "c"),
        ]
        assert [row.task for row in await store.tasks("run-1", maximum_bytes=2800)] == ["a", "b"]
        assert [row.output for row in await store.tasks("run-1", 0, outputs=False)] == [None] * 4
        assert await store.task("run-1", 0, "b") == given[2]
        assert await store.task("run-1", 1, "b") is None
        counts = {TaskPhase.SUCCEEDED: 3, TaskPhase.RUNNING: 1, TaskPhase.FAILED: 1}
        assert (await store.task_counts("run-1"), await store.task_counts("run-1", 1)) == (
            counts,
            {TaskPhase.FAILED: 1},
        )

    async def test_a_runs_phase_follows_its_shards(self, store: Store) -> None:
        """In the same commit, with the time of its end, and a line of history."""
        await store.admit(admission("run-1", shards=2))
        seen = [(await known(store, "run-1")).phase]
        for index, phase in [(0, Phase.DISPATCHING), (0, Phase.SUCCEEDED), (1, Phase.FAILED)]:
            await move(store, "run-1", phase, index=index)
            seen.append((await known(store, "run-1")).phase)

        assert seen == [RunPhase.PENDING, RunPhase.RUNNING, RunPhase.RUNNING, RunPhase.FAILED]
        assert (await known(store, "run-1")).finished_at == NOW + 5
        phases = [entry.detail for entry in await store.history("run-1") if entry.kind == "RunPhase"]
        assert phases == [
            RunPhaseDetail(before=RunPhase.PENDING, after=RunPhase.RUNNING),
            RunPhaseDetail(before=RunPhase.RUNNING, after=RunPhase.FAILED),
        ]

    async def test_pending_shards_come_in_the_order_they_are_to_be_placed(self, store: Store) -> None:
        """Priority, then age, then index; so many as are asked for."""
        await store.admit(admission("run-1", shards=2))
        await store.admit(admission("run-2", priority=5))
        await store.admit(admission("run-3", priority=-5))

        assert keys(await store.pending(now=NOW, limit=9)) == [
            ("run-2", 0),
            ("run-1", 0),
            ("run-1", 1),
            ("run-3", 0),
        ]
        assert keys(await store.pending(now=NOW, limit=2)) == [("run-2", 0), ("run-1", 0)]
        assert keys(await store.pending(now=NOW, limit=2, without=["run-2", "run-9"])) == [
            ("run-1", 0),
            ("run-1", 1),
        ]

    async def test_what_is_not_to_be_placed_is_not_pending(self, store: Store) -> None:
        """Back-off not over, cancelled, out of time, placed already, ended."""
        for n in range(1, 6):
            await store.admit(admission(f"run-{n}", deadline_at=NOW + 10 if n == 3 else None))
        await move(store, "run-1", Phase.PENDING, not_before=NOW + 20)
        await store.cancel(
            "run-2", at=NOW, entry=history_entry(HistoryKind.CANCEL_REQUESTED, run="run-2", at=NOW)
        )
        await move(store, "run-4", Phase.DISPATCHING, region="beijing", epoch=1)
        await move(store, "run-5", Phase.SUCCEEDED)

        assert keys(await store.pending(now=NOW + 9, limit=9)) == [("run-3", 0)]
        assert keys(await store.pending(now=NOW + 20, limit=9)) == [("run-1", 0)]

    async def test_a_controller_that_starts_finds_all_that_is_under_way(self, open_store: Open) -> None:
        """Placed, being cancelled, or with an orphan somewhere, in whatever phase, also after a restart."""
        phases = [
            Phase.PENDING,
            Phase.DISPATCHING,
            Phase.RUNNING,
            Phase.SUSPECT,
            Phase.CANCELLING,
            Phase.SUCCEEDED,
            Phase.FAILED,
        ]
        orphan = (Orphan(region="shanghai", epoch=1),)
        async with open_store() as store:
            await store.admit(admission("run-1", shards=len(phases)))
            await store.admit(admission("run-2", shards=2))
            for index, phase in enumerate(phases):
                await move(store, "run-1", phase, index=index, region="beijing", epoch=2)
            await move(store, "run-2", Phase.FAILED, orphans=orphan)
            await move(store, "run-2", Phase.RUNNING, index=1, orphans=orphan)
        async with open_store() as store:
            found = keys(await store.active())
        assert sorted(found) == [
            ("run-1", 1),
            ("run-1", 2),
            ("run-1", 3),
            ("run-1", 4),
            ("run-2", 0),
            ("run-2", 1),
        ]

    async def test_what_is_out_of_time_is_found(self, store: Store) -> None:
        """Every shard that is neither ended nor being ended, of runs whose deadline has passed."""
        await store.admit(admission("run-1", shards=3, deadline_at=NOW + 10))
        await store.admit(admission("run-2", deadline_at=NOW + 20))
        await store.admit(admission("run-3"))
        await move(store, "run-1", Phase.SUCCEEDED)
        await move(store, "run-1", Phase.CANCELLING, index=2)

        assert keys(await store.overdue(now=NOW + 9, limit=9)) == []
        assert keys(await store.overdue(now=NOW + 10, limit=9)) == [("run-1", 1)]
        assert keys(await store.overdue(now=NOW + 99, limit=1)) == [("run-1", 1)]
        note = history_entry(HistoryKind.CANCEL_REQUESTED, run="run-1", at=NOW + 5)
        await store.cancel("run-1", at=NOW + 5, entry=note)
        assert keys(await store.overdue(now=NOW + 99, limit=9)) == [("run-2", 0)]

    async def test_what_is_to_be_cancelled_is_found_until_it_is(self, store: Store) -> None:
        """Those that are Cancelling already, or have ended, are left alone."""
        await store.admit(admission("run-1", shards=4))
        await move(store, "run-1", Phase.RUNNING, region="beijing")
        await move(store, "run-1", Phase.CANCELLING, index=1)
        await move(store, "run-1", Phase.SUCCEEDED, index=2)
        assert keys(await store.to_cancel(limit=9)) == []

        await store.cancel(
            "run-1", at=NOW, entry=history_entry(HistoryKind.CANCEL_REQUESTED, run="run-1", at=NOW)
        )

        assert keys(await store.to_cancel(limit=9)) == [("run-1", 0), ("run-1", 3)]
        assert keys(await store.to_cancel(limit=1)) == [("run-1", 0)]

    @pytest.mark.parametrize("name", ["run-1", None])
    async def test_who_waits_for_a_run_hears_of_each_change(self, store: Store, name: str | None) -> None:
        """After the commit, so that what is read then is not older than the call."""
        await store.admit(admission("run-1"))
        with store.subscribe(name) as changed:
            assert not changed.is_set()
            await move(store, "run-1", Phase.RUNNING, region="beijing")
            assert changed.is_set()
            changed.clear()
            await store.cancel(
                "run-1", at=NOW, entry=history_entry(HistoryKind.CANCEL_REQUESTED, run="run-1", at=NOW)
            )
            assert changed.is_set()

    async def test_who_waits_for_a_run_is_left_alone_by_others(self, store: Store) -> None:
        """Ten thousand streams must not wake for one run; the one that waits for any does."""
        with store.subscribe("run-2") as own, store.subscribe(None) as any_run:
            await store.admit(admission("run-1"))
            assert (own.is_set(), any_run.is_set()) == (False, True)

    async def test_shards_are_counted_by_phase(self, store: Store) -> None:
        """Those that have ended are not."""
        await store.admit(admission("run-1", shards=4))
        await move(store, "run-1", Phase.RUNNING, region="beijing")
        await move(store, "run-1", Phase.SUCCEEDED, index=1)

        assert await store.shard_counts() == {Phase.PENDING: 2, Phase.RUNNING: 1}

    async def test_the_age_of_the_queue_is_that_of_its_oldest_run(self, store: Store) -> None:
        """Whatever its tenant; a run all of whose shards are placed waits for nothing."""
        assert await store.oldest_pending() is None
        await store.admit(admission("run-1", created_at=NOW))
        await store.admit(admission("run-2", tenant="accounts", created_at=NOW + 5))
        await store.admit(admission("run-3", created_at=NOW + 9))
        await move(store, "run-1", Phase.RUNNING, region="beijing")

        assert await store.oldest_pending() == NOW + 5
