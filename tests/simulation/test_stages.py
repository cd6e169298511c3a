"""Tests in virtual time when the stages of a run begin and end, and what they are given."""

import pytest
from msgspec import UNSET, structs

from clusters.protocol import RunSpec
from gateway.core.history import HistoryKind
from gateway.core.shard_states import Phase
from gateway.documents.workflow import Metadata, Shards, Spec, Workflow
from gateway.reconciler.working_set import stages
from tests.gateway.core.history_entries import history_entry
from tests.simulation.scenario import cut, heal, run
from tests.simulation.world import World
from waypost.workflow.stages import COLLECT_SHARD, FINALLY_SHARD, FailedTask
from waypost.workflow.task import TaskSpec


def delay(name: str, seconds: float, *needs: str, failing: float = 0.0) -> TaskSpec:
    return TaskSpec(name=name, type="delay", run={"seconds": seconds, "failing": failing}, needs=needs)


def staged(
    main: TaskSpec, final: TaskSpec, *, shards: int = 1, collect: bool = False, seconds: float = 600.0
) -> Workflow:
    spec = Spec(
        tasks=(main,),
        collect=(delay("c", 1.0, "t"),) if collect else UNSET,
        final=(final,),
        finally_seconds=seconds,
        shards=Shards(count=shards),
    )
    return Workflow(api_version="waypost/v1", kind="Workflow", metadata=Metadata(name="w"), spec=spec)


def phase(world: World, index: int = FINALLY_SHARD) -> Phase:
    return world.shards["run-000", index].phase


async def until(world: World, index: int, *phases: Phase, seconds: float = 60.0) -> float:
    """Runs the world until a shard is in one of these phases; returns the time that it took."""
    began = world.timeline.now
    while phase(world, index) not in phases:
        assert world.timeline.now < began + seconds, world.shards
        await world.tick()
    return world.timeline.now - began


async def cancel(world: World) -> None:
    entry = history_entry(HistoryKind.CANCEL_REQUESTED, run="run-000", at=world.now.wall)
    await world.store.cancel("run-000", at=world.now.wall, entry=entry)


def sent(world: World, name: str) -> RunSpec:
    """Returns the run, as a cluster got it, under which it knows a stage of `run-000`."""
    attempts = (a for cluster in world.clusters.values() for a in cluster.journal.attempts.values())
    return next(attempt.run for attempt in attempts if attempt.run.run == f"run-000.{name}")


async def test_finally_learns_how_all_else_has_ended(world: World) -> None:
    """Which tasks of which shards failed, and of the rest only that it failed."""
    await world.submit(staged(delay("t", 1.0, failing=1.0), delay("f", 1.0), shards=2, collect=True))
    await until(world, FINALLY_SHARD, Phase.SUCCEEDED)

    ending = sent(world, "finally").ending
    assert ending is not None
    assert ending.status == "Failed"
    assert [(one.shard, one.task) for one in ending.failed] == [(0, "t"), (1, "t")]
    assert phase(world, COLLECT_SHARD) is Phase.CANCELLED
    stored = await world.store.run("run-000")
    assert stored is not None
    assert stored.phase == "Failed"


async def test_finally_is_ended_at_its_own_deadline(world: World) -> None:
    """A run must end though what cleans up hangs."""
    await world.submit(staged(delay("t", 1.0), delay("f", 300.0), seconds=10.0))
    await until(world, FINALLY_SHARD, Phase.RUNNING)
    took = await until(world, FINALLY_SHARD, Phase.FAILED)

    assert 8.0 < took < 15.0
    assert world.shards["run-000", FINALLY_SHARD].reason == "DeadlineExceeded"
    stored = await world.store.run("run-000")
    assert stored is not None
    assert stored.phase == "Failed"


async def test_clusters_end_finally_at_its_own_deadline(world: World) -> None:
    """That of the run has passed when it begins: its cluster would end it at once."""
    main = staged(delay("t", 300.0), delay("f", 5.0), seconds=60.0)
    await world.submit(structs.replace(main, spec=structs.replace(main.spec, deadline_seconds=5.0)))
    await until(world, FINALLY_SHARD, Phase.RUNNING)
    name = world.shards["run-000", FINALLY_SHARD].region or ""
    cluster = world.clusters[name]
    (spec,) = (one.spec for one in cluster.journal.attempts.values() if one.run.run == "run-000.finally")

    assert spec.expires_at is not None
    left = spec.expires_at - (world.timeline.now - cluster.booted_at)
    assert 55.0 < left < 61.0
    await until(world, FINALLY_SHARD, Phase.SUCCEEDED)
    stored = await world.store.run("run-000")
    assert stored is not None
    assert stored.phase == "Failed"


async def test_a_second_cancellation_ends_finally_and_the_first_does_not(world: World) -> None:
    """The gateway is killed in between: what is due is in the store alone."""
    await world.submit(staged(delay("t", 300.0), delay("f", 60.0)))
    await until(world, 0, Phase.RUNNING)
    await cancel(world)
    await until(world, 0, Phase.CANCELLED)
    world.kill_gateway()
    await world.start_gateway()
    await until(world, FINALLY_SHARD, Phase.RUNNING)
    await run(world, 5)
    assert phase(world) is Phase.RUNNING
    await cancel(world)
    await until(world, FINALLY_SHARD, Phase.CANCELLED)
    assert not any(cluster.alive() for cluster in world.clusters.values())


async def test_finally_goes_elsewhere_when_its_region_is_lost(world: World) -> None:
    """As any shard: under its next epoch; and its first attempt is ended when the region is back."""
    await world.submit(staged(delay("t", 1.0), delay("f", 20.0)))
    await until(world, FINALLY_SHARD, Phase.RUNNING)
    lost = world.shards["run-000", FINALLY_SHARD].region or ""
    cut(world, lost)
    await until(world, FINALLY_SHARD, Phase.SUCCEEDED, seconds=120)
    shard = world.shards["run-000", FINALLY_SHARD]
    assert (shard.epoch, shard.failovers, [orphan.region for orphan in shard.orphans]) == (2, 1, [lost])
    heal(world, lost)
    await run(world, 20)
    assert not any(cluster.alive() for cluster in world.clusters.values())


async def test_finally_does_not_wait_for_what_runs_where_nobody_can_end_it(world: World) -> None:
    """A lost region may never come back: it is waited for no longer than the run itself."""
    await world.submit(staged(delay("t", 8.0), delay("f", 1.0)))
    await until(world, 0, Phase.RUNNING)
    cut(world, world.shards["run-000", 0].region or "")
    await until(world, 0, Phase.SUCCEEDED, seconds=120)
    assert world.shards["run-000", 0].orphans
    assert await until(world, FINALLY_SHARD, Phase.SUCCEEDED) < 5.0


async def test_outputs_that_are_too_large_fail_collect(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cluster could take them; what comes last learns why."""
    monkeypatch.setattr(stages, "OUTPUTS_BYTES", 3)
    await world.submit(staged(delay("t", 1.0), delay("f", 1.0), shards=2, collect=True))
    await until(world, FINALLY_SHARD, Phase.SUCCEEDED)

    collect = world.shards["run-000", COLLECT_SHARD]
    assert (collect.phase, collect.reason) == (Phase.FAILED, stages.TOO_LARGE)
    assert [start.task for start in world.starts].count("c") == 0
    ending = sent(world, "finally").ending
    assert ending is not None
    assert ending.failed == (FailedTask(shard="collect", task=None, reason=stages.TOO_LARGE),)


async def test_collect_gets_the_main_tasks_as_finished_ones(world: World) -> None:
    """With a list of their outputs by shard; its cluster runs none of them once more."""
    await world.submit(staged(delay("t", 1.0), delay("f", 1.0), shards=3, collect=True))
    await until(world, COLLECT_SHARD, Phase.SUCCEEDED)

    assert [task.name for task in sent(world, "collect").tasks] == ["t", "c"]
    assert [start.task for start in world.starts].count("t") == 3
    assert [row.task for row in await world.store.tasks("run-000", COLLECT_SHARD)] == ["c"]


async def test_collect_learns_of_failures_that_its_run_tolerates(world: World) -> None:
    """The failed task counts as Failed there, and what needs it runs as within a shard."""
    main = structs.replace(delay("t", 1.0, failing=1.0), continue_on_failure=True)
    await world.submit(staged(main, delay("f", 1.0), shards=2, collect=True))
    await until(world, COLLECT_SHARD, Phase.SUCCEEDED)

    assert [start.task for start in world.starts].count("c") == 1
    (attempt,) = (
        attempt
        for cluster in world.clusters.values()
        for attempt in cluster.journal.attempts.values()
        if attempt.run.run == "run-000.collect"
    )
    (result,) = attempt.spec.results
    assert (result.task, result.failure, result.reason) == ("t", "Failed", "failed in 2 of 2 shards")
    assert attempt.run.tasks[0].continue_on_failure


async def test_a_retry_lets_finally_run_once_more_about_the_new_end(world: World) -> None:
    """Its tasks had succeeded: they are about another end now."""
    await world.submit(staged(delay("t", 30.0), delay("f", 1.0)))
    await until(world, 0, Phase.RUNNING)
    await cancel(world)
    await until(world, FINALLY_SHARD, Phase.SUCCEEDED)
    stored = await world.store.run("run-000")
    assert stored is not None
    reopened = history_entry(HistoryKind.REOPENED, run="run-000", at=world.now.wall)
    assert await world.store.retry("run-000", run=stored, decision=world._decision("d2"), entry=reopened)
    await world.note_retry(world.store, "run-000")
    assert phase(world) is Phase.WAITING
    await until(world, FINALLY_SHARD, Phase.SUCCEEDED)

    again = await world.store.run("run-000")
    assert again is not None
    assert again.phase == "Succeeded"
    assert [start.task for start in world.starts].count("f") == 2


async def test_a_stage_that_cannot_be_read_ends_its_run_and_nothing_else(world: World) -> None:
    """An older version had taken it: the gateway goes on, and the run is over."""
    unreadable = structs.replace(delay("f", 1.0), run={"seconds": 1.0, "failing": 0.0, "x": "${params.gone}"})
    await world.submit(staged(delay("t", 1.0), unreadable))
    await until(world, FINALLY_SHARD, Phase.QUARANTINED)
    stored = await world.store.run("run-000")
    assert stored is not None
    assert stored.phase == "Failed"
    await world.submit(staged(delay("t", 1.0), delay("f", 1.0)))
    await run(world, 10)
    assert world.shards["run-001", FINALLY_SHARD].phase is Phase.SUCCEEDED
