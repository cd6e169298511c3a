"""Conformance tests of stores about cancellation, retry, newer decisions, regions and eras."""

from typing import Any

import pytest
from msgspec import structs

from gateway.core.history import HistoryEntry, HistoryKind, OperationDetail
from gateway.core.run import RunPhase
from gateway.core.shard_states import Orphan, Phase
from gateway.regions.region_condition import Taint
from gateway.steady_clock import MachineBoot
from gateway.store.acts import ActQuery
from gateway.store.interface import Cursor, RunQuery, Store
from tests.conformance.store_values import DAY, NOW, Open, admission, decision, kinds, known, move, task
from tests.gateway.core.history_entries import history_entry
from waypost.workflow.task_phase import TaskPhase


class OperationsConformance:
    """The part of `StoreConformance` about cancellation, retry, newer decisions, regions and eras."""

    async def test_a_wish_to_cancel_is_committed_once(self, store: Store) -> None:
        """The second one changes neither time nor history."""
        await store.admit(admission("run-1", shards=2))
        request = history_entry(HistoryKind.CANCEL_REQUESTED, run="run-1", at=NOW + 1, actor="ada")

        first = await store.cancel("run-1", at=NOW + 1, entry=request)
        second = await store.cancel("run-1", at=NOW + 2, entry=request)

        assert first is not None
        assert (first.phase, first.cancel_requested_at) == (RunPhase.CANCELLING, NOW + 1)
        assert second == first
        assert (await kinds(store, "run-1")).count("CancelRequested") == 1
        assert [shard.index for shard in await store.to_cancel(limit=9)] == [0, 1]

    async def test_acts_are_listed_newest_first_by_what_is_asked(self, store: Store) -> None:
        """What people had done, and nothing else of the history."""
        await store.admit(admission("run-1"))
        await move(store, "run-1", Phase.RUNNING)
        cancel = history_entry(HistoryKind.CANCEL_REQUESTED, run="run-1", at=NOW + 1, actor="ada")
        await store.cancel("run-1", at=NOW + 1, entry=cancel)
        for n, (region, actor) in enumerate([("beijing", "sre"), ("shanghai", "sre"), ("shenzhen", "ada")]):
            note = HistoryEntry(
                run="",
                kind=HistoryKind.CORDONED,
                at=NOW + 2 + n,
                actor=actor,
                detail=OperationDetail(region=region, decision_id="d"),
            )
            await store.add_taint(region, Taint.CORDONED, entry=note)

        async def found(**conditions: Any) -> list[str]:
            acts = await store.acts(ActQuery(**{"tenants": None, **conditions}))
            assert acts.next is None
            return [
                entry.detail.region if isinstance(entry.detail, OperationDetail) else entry.run
                for entry in acts.entries
            ]

        assert await found() == ["shenzhen", "shanghai", "beijing", "run-1"]
        assert await found(actor="ada") == ["shenzhen", "run-1"]
        assert await found(kinds=(HistoryKind.CANCEL_REQUESTED,)) == ["run-1"]
        assert await found(region="beijing") == ["beijing"]
        assert await found(run="run-1") == ["run-1"]
        assert await found(since=NOW + 3) == ["shenzhen", "shanghai"]
        assert await found(tenants=("nobody",)) == ["shenzhen", "shanghai", "beijing"]

    async def test_acts_come_in_pages(self, store: Store) -> None:
        """Each goes on where the one before ended."""
        for n in range(5):
            note = history_entry(HistoryKind.CORDONED, at=NOW + n, actor=f"sre-{n}")
            await store.add_taint(f"region-{n}", Taint.CORDONED, entry=note)

        first = await store.acts(ActQuery(tenants=None, limit=2))
        second = await store.acts(ActQuery(tenants=None, limit=2, before=first.next))
        third = await store.acts(ActQuery(tenants=None, limit=2, before=second.next))

        actors = [[entry.actor for entry in page.entries] for page in (first, second, third)]
        assert actors == [["sre-4", "sre-3"], ["sre-2", "sre-1"], ["sre-0"]]
        assert third.next is None

    async def test_what_has_ended_is_not_cancelled(self, store: Store) -> None:
        """Nor what never was."""
        await store.admit(admission("run-1"))
        await move(store, "run-1", Phase.SUCCEEDED)
        request = history_entry(HistoryKind.CANCEL_REQUESTED, run="run-1", at=NOW + 9)

        ended = await store.cancel("run-1", at=NOW + 9, entry=request)

        assert ended is not None
        assert (ended.phase, ended.cancel_requested_at) == (RunPhase.SUCCEEDED, None)
        assert "CancelRequested" not in await kinds(store, "run-1")
        assert await store.cancel("run-9", at=NOW, entry=request) is None

    async def test_a_retry_opens_what_ended_badly_and_keeps_the_rest(self, store: Store) -> None:
        """Fresh counts under the new decision; epochs, orphans and finished work stay (T13)."""
        await store.admit(admission("run-1", shards=4, deadline_at=NOW + 1))
        orphan = Orphan(region="shanghai", epoch=3)
        ended = (
            task("run-1", "a"),
            task("run-1", "b", TaskPhase.FAILED),
            task("run-1", "c", TaskPhase.SKIPPED),
            task("run-1", "d", TaskPhase.STOPPED),  # by a cancellation: it gets fresh tries like a failed one
        )
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
        assert [row.task for row in await store.tasks("run-1")] == ["a", "c"]
        assert len(await store.pending(now=NOW + 9, limit=9)) == 3

    async def test_a_retry_runs_what_policy_obliges_now(self, store: Store) -> None:
        """A document whose priority is capped by now, or that is now exclusive, must not run as before."""
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
        assert [run.id for run in (await store.runs(RunQuery(tenants=None, labels={"team": "b"}))).runs] == [
            "run-1"
        ]
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

    async def test_what_operators_say_of_a_region_stands_until_it_is_withdrawn(
        self, open_store: Open
    ) -> None:
        """Also when the gateway dies; saying it twice is saying it once, in the history too."""

        def note(kind: HistoryKind) -> HistoryEntry:
            return history_entry(kind, at=NOW, actor="sre")

        async with open_store() as store:
            assert await store.taints() == {}
            assert await store.add_taint("beijing", Taint.CORDONED, entry=note(HistoryKind.CORDONED)) is True
            assert await store.add_taint("beijing", Taint.CORDONED, entry=note(HistoryKind.CORDONED)) is False
            assert (
                await store.add_taint("beijing", Taint.FORGOTTEN, entry=note(HistoryKind.FORGET_REQUESTED))
                is True
            )
            assert (
                await store.add_taint("shanghai", Taint.FORGOTTEN, entry=note(HistoryKind.FORGET_REQUESTED))
                is True
            )
        async with open_store() as store:
            assert await store.taints() == {
                "beijing": {Taint.CORDONED, Taint.FORGOTTEN},
                "shanghai": {Taint.FORGOTTEN},
            }
            assert (
                await store.remove_taint("shanghai", Taint.CORDONED, entry=note(HistoryKind.UNCORDONED))
                is False
            )
            assert (
                await store.remove_taint("beijing", Taint.CORDONED, entry=note(HistoryKind.UNCORDONED))
                is True
            )
            assert await store.taints() == {"beijing": {Taint.FORGOTTEN}, "shanghai": {Taint.FORGOTTEN}}
            assert await kinds(store, "") == ["Cordoned", "ForgetRequested", "ForgetRequested", "Uncordoned"]

    async def test_a_regions_name_is_bound_to_the_first_journal_that_comes(self, open_store: Open) -> None:
        """A region that comes back without its journal is another one, until an operator says otherwise."""
        async with open_store() as store:
            assert await store.bind_incarnation("beijing", "j1") == "j1"
            assert await store.bind_incarnation("beijing", "j2") == "j1"
            assert await store.bind_incarnation("shanghai", "j2") == "j2"
            await store.record([], {"beijing": Cursor(incarnation="j1", seq=7)})
        release = history_entry(HistoryKind.JOURNAL_RELEASED, at=NOW, actor="sre")
        async with open_store() as store:
            assert await store.bind_incarnation("beijing", "j2") == "j1"
            assert await store.release_incarnation("beijing", entry=release) is True
            assert await store.release_incarnation("beijing", entry=release) is False
            assert await store.bind_incarnation("beijing", "j3") == "j3"
            begins = {"beijing": Cursor(incarnation="j3"), "shanghai": Cursor(incarnation="j2")}
            assert await store.cursors() == begins, "a copy must know whose its cursor is"
            await store.record([], {"beijing": Cursor(incarnation="j3", seq=9)})
            await store.release_incarnation("beijing", entry=release)
            await store.bind_incarnation("beijing", "j3")
            assert (await store.cursors())["beijing"].seq == 9, "the same journal goes on where it was"
            assert await kinds(store, "") == ["JournalReleased"] * 2

    async def test_a_store_knows_itself_and_its_copies_again(self, open_store: Open) -> None:
        """By its identity; a copy that was restored differs by the era, which only rises."""
        async with open_store() as store:
            identity = store.identity
            assert (store.era, identity != "") == (0, True)
            await store.raise_era(entry=history_entry(HistoryKind.STORE_RESTORED, at=NOW))
            assert store.era == 1
        async with open_store() as store:
            assert (store.identity, store.era) == (identity, 1)
            assert await kinds(store, "") == ["StoreRestored"]
            await store.check_writable()

    async def test_a_step_of_the_wall_clock_moves_what_waits(self, open_store: Open) -> None:
        """Once, by as much as it was set, and only where that can be known: not after another boot."""
        boot = MachineBoot(id="b1", at=NOW)
        async with open_store() as store:
            for name, deadline in (("run-1", NOW + 60), ("run-2", None), ("run-3", NOW + 60)):
                await store.admit(admission(name, deadline_at=deadline))
            await move(store, "run-1", Phase.PENDING, not_before=NOW + 5)
            await move(store, "run-3", Phase.FAILED, not_before=NOW + 5)
            assert await store.correct_times(boot) == 0.0
            assert await store.correct_times(structs.replace(boot, at=NOW + 1.5)) == 0.0
        async with open_store() as store:
            for step in (3600.0, 0.0):
                assert await store.correct_times(structs.replace(boot, at=NOW + 3600.0)) == step
            deadlines = [(await known(store, f"run-{n}")).deadline_at for n in (1, 2, 3)]
            assert deadlines == [NOW + 3660, None, NOW + 60], "that of a run that has ended is history"
            assert [shard.index for shard in await store.overdue(now=NOW + 3659, limit=9)] == []
            assert [shard.run for shard in await store.overdue(now=NOW + 3660, limit=9)] == ["run-1"]
            assert [shard.run for shard in await store.pending(now=NOW + 3604, limit=9)] == ["run-2"]
            (paused,) = await store.shards("run-1")
            assert paused.not_before == NOW + 3605
            for other in (
                MachineBoot(id="b2", at=NOW),
                MachineBoot(id="", at=0.0),
                MachineBoot(id="", at=NOW),
            ):
                assert await store.correct_times(other) == 0.0
            assert await store.correct_times(MachineBoot(id="b3", at=NOW)) == 0.0
            assert await store.correct_times(MachineBoot(id="b3", at=NOW - 3600.0)) == -3600.0
            assert (await known(store, "run-1")).deadline_at == NOW + 60
