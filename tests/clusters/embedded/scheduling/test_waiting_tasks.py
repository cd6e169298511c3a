"""Tests what a cluster says that the tasks of an attempt wait for."""

from clusters.embedded.queueing.queue_settings import QueueSettings
from clusters.protocol import AttemptId
from clusters.task_waits import WAITS_MAXIMUM, TaskWait, WaitReason
from tests.clusters.embedded.scheduling.stepped_cluster import BROKEN, SteppedCluster, task
from waypost.workflow.task import Resources, Retry, SideEffects


def waits(cluster: SteppedCluster, run: str = "run") -> dict[str, TaskWait]:
    found = cluster.scheduler.waiting.of(AttemptId(run=run, shard=0, epoch=1), cluster.now)
    return {wait.task: wait for wait in found.waits}


def test_each_task_that_waits_is_listed_with_what_it_waits_for(cluster: SteppedCluster) -> None:
    """Needs, a condition, a pause, a processor. Not those that run or have ended."""
    cluster.create(
        task("first", resources=Resources(cpu=4.0), retry=Retry(limit=1, backoff_seconds=7.0), priority=9),
        task("second"),
        task("third", "second"),
        task("asked", when="true"),
    )
    assert {name: wait.reason for name, wait in waits(cluster).items()} == {
        "second": WaitReason.PROCESSOR,
        "third": WaitReason.NEEDS,
        "asked": WaitReason.CONDITION,
    }
    cluster.end("first", BROKEN)
    cluster.tick(2.0)
    assert waits(cluster)["first"] == TaskWait(task="first", reason=WaitReason.RETRY, left_seconds=5.0)
    assert "second" not in waits(cluster)


def test_a_task_that_waits_for_memory_is_listed_as_such(cluster: SteppedCluster) -> None:
    """And starts when the memory is free."""
    cluster.create(
        task("large", resources=Resources(memory_mib=3_000), priority=9),
        task("more", resources=Resources(memory_mib=2_000)),
    )
    assert waits(cluster)["more"].reason is WaitReason.MEMORY
    cluster.end("large")
    assert waits(cluster) == {}


def test_an_exclusive_attempt_waits_for_its_lease(cluster: SteppedCluster) -> None:
    """No gateway has granted it yet."""
    cluster.create(task("a"), side_effects=SideEffects.EXCLUSIVE)

    assert waits(cluster)["a"].reason is WaitReason.LEASE


def test_of_thousands_the_first_that_could_start_are_listed() -> None:
    """The rest are counted."""
    cluster = SteppedCluster(QueueSettings())
    cluster.create(*(task(f"n{i}", "a") for i in range(500)), task("a"), *(task(f"t{i}") for i in range(10)))
    found = cluster.scheduler.waiting.of(AttemptId(run="run", shard=0, epoch=1), 0.0)

    assert len(found.waits) == WAITS_MAXIMUM
    assert [wait.task for wait in found.waits[:7]] == [f"t{i}" for i in range(3, 10)]
    assert found.left_out == 500 + 7 - WAITS_MAXIMUM


def test_nothing_waits_in_an_attempt_that_is_over_or_unknown(cluster: SteppedCluster) -> None:
    """It was ended meanwhile, or never came."""
    cluster.create(task("a"))
    cluster.end("a")

    assert waits(cluster) == waits(cluster, "unknown") == {}
