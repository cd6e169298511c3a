"""How attempts share one cluster: its processors, its journal, its slots, and the gateway's ear."""

import random

import pytest

from clusters.embedded.scheduling.launch import Outcome
from clusters.embedded.scheduling.lease_requests import LEASE_SECONDS, REQUEST_SECONDS
from clusters.protocol import (
    AttemptEndKind,
    AttemptId,
    Batch,
    CreateOutcome,
    Fence,
    Renewal,
    RunSpec,
    ShardSpec,
)
from tests.clusters.embedded.scheduling.stepped_cluster import BROKEN, Cluster, attempt, task
from waypost.workflow.task import Resources, Retry, SideEffects


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_an_idle_cluster_has_all_of_its_processors(cluster: Cluster) -> None:
    """Fractions of them do not add up to nothing again: after a while a task that asks for all would wait for ever."""
    dice = random.Random(1)
    parts = [
        task(f"t{number}", resources=Resources(cpu=dice.choice([0.1, 0.2, 0.3, 0.7])))
        for number in range(300)
    ]
    cluster.create(*parts, task("all", *(part.name for part in parts), resources=Resources(cpu=4.0)))
    while cluster.running:
        cluster.end(dice.choice(cluster.names))

    assert cluster.events[-1].end is AttemptEndKind.SUCCEEDED


def test_a_small_run_is_not_kept_waiting_by_a_huge_one(cluster: Cluster) -> None:
    """Within a priority, runs take turns."""
    cluster.create(*(task(f"t{number}") for number in range(600)), run="huge")
    for _ in range(10):
        cluster.end(cluster.names[0])
    cluster.create(task("a"), task("b"), run="small")
    cluster.end(cluster.names[0])
    cluster.end(cluster.names[0])
    cluster.end(cluster.names[0])

    assert {"a", "b"} <= set(cluster.names)


def test_a_placeholder_that_names_nothing_ends_the_attempt(cluster: Cluster) -> None:
    """It shows only when the task is about to start; nobody would tell the attempt that nothing of it is left."""
    spec = task("a")
    spec.run["word"] = "${shard.item.x}"
    cluster.create(spec, item="text")

    assert cluster.events[-1].end is AttemptEndKind.FAILED


def test_a_fault_of_the_cluster_is_no_failure_of_the_task(cluster: Cluster) -> None:
    """No place on its disk, no descriptors left: another cluster may have them."""
    cluster.create(task("a"), task("b"))
    cluster.end("a", Outcome(succeeded=False, lost=True, reason="too many open files"))
    cluster.end("b", Outcome(succeeded=False, killed=True))

    assert (cluster.events[-1].end, cluster.events[-1].reason) == (
        AttemptEndKind.LOST,
        "task a: too many open files",
    )


def test_a_create_that_waits_for_the_journal_past_its_fence_is_not_taken(cluster: Cluster) -> None:
    """The gateway has given it up by then, and may have it run elsewhere."""
    fence = Fence(boot="boot-1", not_after=5.0)
    creates = tuple(
        ShardSpec(attempt=AttemptId(run=run, shard=0, epoch=1), fence=fence) for run in ("run", "other")
    )
    runs = tuple(
        RunSpec(run=run, tasks=(task("a", resources=Resources(cpu=4.0)),)) for run in ("run", "other")
    )
    late, soon = (
        cluster.scheduler.apply(Batch(runs=runs, creates=(create,)), 0.0, 0.0) for create in creates
    )
    assert [launch.attempt.run for launch in late[1].launches] == ["run"]
    soon[1].created = [ShardSpec(attempt=creates[1].attempt, fence=Fence(boot="boot-1", not_after=60.0))]

    cluster.scheduler.withdraw_late_creates([late[1], soon[1]], 5.1)
    for _, step in (late, soon):
        cluster.act(step)

    assert [
        (answer.outcome, answer.reason) for answer in cluster.scheduler.after_commit(late[0]).creates
    ] == [(CreateOutcome.REFUSED, "Late")]
    assert cluster.scheduler.after_commit(soon[0]) == soon[0]
    assert cluster.running == [(creates[1].attempt, "a")], "and the processors that it held are free"
    assert cluster.scheduler.status(5.1).held == 1


def test_a_create_that_is_sent_again_late_finds_its_attempt(cluster: Cluster) -> None:
    """The first answer was lost: the attempt runs, whatever the fence says by now."""
    fence = Fence(boot="boot-1", not_after=1.0)
    cluster.create(task("a"), fence=fence)
    cluster.now = 2.0
    assert cluster.create(task("a"), fence=fence) == CreateOutcome.EXISTS
    cluster.end("a")
    cluster.apply(acknowledged=cluster.scheduler.seq)
    assert cluster.create(task("a"), fence=fence) == CreateOutcome.EXISTS
    assert len(cluster.launched) == 1


def test_what_has_ended_and_is_acknowledged_takes_no_memory(cluster: Cluster) -> None:
    """Thousands of runs end each day; their tasks and results are the gateway's."""
    cluster.create(task("a"))
    cluster.end("a")
    cluster.apply(acknowledged=cluster.scheduler.seq)

    assert not cluster.scheduler._attempts.by_id
    assert cluster.scheduler.shards == {("run", 0)}
    cluster.crash()
    assert not cluster.scheduler._attempts.by_id
    assert cluster.create(task("a"), fence=Fence(boot="boot-1", not_after=0.0)) == CreateOutcome.EXISTS


def test_shards_of_one_run_share_its_tasks(cluster: Cluster) -> None:
    """A thousand shards of ten thousand tasks would not fit."""
    fence, run = Fence(boot="boot-1", not_after=5.0), RunSpec(run="run", tasks=(task("a"), task("b", "a")))
    for shard in (0, 1):
        again = RunSpec(run=run.run, tasks=run.tasks)
        cluster.apply(
            runs=(again,),
            creates=(ShardSpec(attempt=AttemptId(run="run", shard=shard, epoch=1), fence=fence),),
        )

    plans = {id(attempt.graph) for attempt in cluster.scheduler._attempts.by_id.values()}
    assert len(plans) == 1


def test_a_run_is_looked_through_once_a_batch(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many shards of it come: everybody else waits meanwhile."""
    seen: list[RunSpec | None] = []

    def mismatch(run: RunSpec | None) -> None:
        seen.append(run)

    monkeypatch.setattr(cluster.scheduler._capabilities, "mismatch", mismatch)
    fence = Fence(boot="boot-1", not_after=5.0)
    creates = tuple(
        ShardSpec(attempt=AttemptId(run="run", shard=shard, epoch=1), fence=fence) for shard in range(3)
    )
    cluster.apply(runs=(RunSpec(run="run", tasks=(task("a"),)),), creates=creates)

    assert len(seen) == 1


def test_an_ask_of_another_boot_grants_nothing(cluster: Cluster) -> None:
    """A grant that was held up on its way counts from a time that this boot knows nothing of."""
    cluster.create(task("a"), side_effects=SideEffects.EXCLUSIVE)
    (asked,) = cluster.tick(0.0).lease_requests
    cluster.crash()
    cluster.create(task("a"), side_effects=SideEffects.EXCLUSIVE)
    assert cluster.tick(0.0).lease_requests
    cluster.apply(renewals=(Renewal(attempt=attempt(1), ask=asked.ask),))

    assert cluster.names == []


def test_a_lease_is_asked_for_in_time_however_time_is_rounded(cluster: Cluster) -> None:
    """And asks that nobody answers are not remembered for ever."""
    cluster.create(task("a"), side_effects=SideEffects.EXCLUSIVE)
    cluster.now = 0.1
    asks = 0
    for _ in range(100):
        asks += len(cluster.tick(0.0).lease_requests)
        assert cluster.scheduler.next_timer is not None
        cluster.now = cluster.scheduler.next_timer
    assert asks == 100
    assert (
        len(cluster.scheduler._attempts.by_id[attempt(1)].lease_requests)
        <= LEASE_SECONDS / REQUEST_SECONDS + 1
    )


def test_who_comes_later_hears_of_the_leases_that_are_waited_for(cluster: Cluster) -> None:
    """Until they are granted."""
    cluster.create(task("a"), side_effects=SideEffects.EXCLUSIVE)
    (asked,) = cluster.tick(0.0).lease_requests
    assert cluster.scheduler.pending_lease_requests() == [asked]
    cluster.apply(renewals=(Renewal(attempt=attempt(1), ask=asked.ask),))
    assert cluster.scheduler.pending_lease_requests() == []


def test_a_cluster_that_closes_starts_nothing_more(cluster: Cluster) -> None:
    """What it ends makes room; nobody may take it."""
    cluster.create(*(task(f"t{number}") for number in range(8)))
    cluster.scheduler.close()
    while cluster.running:
        cluster.end(cluster.names[0], Outcome(succeeded=False, killed=True))
    cluster.tick(1.0)

    assert len(cluster.launched) == 4


def test_what_failed_for_good_is_not_tried_again_after_a_crash(cluster: Cluster) -> None:
    """The rest of the attempt was still being stopped: it ends as failed when the gateway asks for it again."""
    cluster.create(task("a"), task("b"))
    cluster.end("a", BROKEN)
    cluster.crash()
    assert cluster.create(task("a"), task("b")) == CreateOutcome.EXISTS

    assert cluster.names == []
    assert (cluster.events[-1].end, cluster.events[-1].reason) == (
        AttemptEndKind.FAILED,
        "task a: exit code 1",
    )


@pytest.mark.parametrize(("wall", "left"), [(1_010.0, 50.0), (500.0, 60.0), (9_000.0, 0.0)])
def test_a_pause_before_a_retry_outlives_a_crash(cluster: Cluster, wall: float, left: float) -> None:
    """What broke may need it; and a wall clock that was set meanwhile makes it no longer than it is."""
    paused = task("a", retry=Retry(limit=3, backoff_seconds=60.0))
    cluster.create(paused)
    identity, name = cluster.running.pop()
    cluster.act(cluster.scheduler.record_outcome(identity, name, BROKEN, 0.0, 1_000.0))
    cluster.crash()
    create = ShardSpec(attempt=identity, fence=Fence(boot="boot-2", not_after=5.0))
    _, step = cluster.scheduler.apply(
        Batch(runs=(RunSpec(run="run", tasks=(paused,)),), creates=(create,)), 0.0, wall
    )
    cluster.act(step)

    assert cluster.names == []
    assert cluster.scheduler.next_timer == left
    cluster.tick(left)
    assert cluster.names == ["a"]


def test_a_restored_journal_keeps_no_plans_of_its_own(cluster: Cluster) -> None:
    """A retry that was due under the old name would never come, and hold the attempt for ever."""
    cluster.create(task("a"))
    cluster.act(cluster.scheduler.change_incarnation("new", 0.0, 0.0))
    cluster.end("a", Outcome(succeeded=False, killed=True))
    cluster.tick(1.0)
    cluster.create(task("a"))

    assert cluster.names == ["a"]


def test_a_restored_journal_has_no_lease(cluster: Cluster) -> None:
    """It was given to the one that it is a copy of."""
    cluster.create(task("a"), side_effects=SideEffects.EXCLUSIVE)
    (asked,) = cluster.tick(0.0).lease_requests
    cluster.apply(renewals=(Renewal(attempt=attempt(1), ask=asked.ask),))
    cluster.act(cluster.scheduler.change_incarnation("new", 0.0, 0.0))
    cluster.end("a", Outcome(succeeded=False, killed=True))
    cluster.create(task("a"), side_effects=SideEffects.EXCLUSIVE)

    assert cluster.names == []
    assert cluster.tick(0.0).lease_requests
