"""Tests what follows from the outcome of a try: a retry, a failure, or a lost attempt."""

from typing import Any

import pytest

from clusters.embedded.scheduling.launch import Outcome
from clusters.embedded.scheduling.outcomes import is_retried, retry_pause
from clusters.protocol import AttemptEnded, AttemptEndKind, Batch, Fence, RunSpec, ShardSpec
from tests.clusters.embedded.scheduling.stepped_cluster import BROKEN, SteppedCluster, task
from waypost.workflow.task import Retry
from waypost.workflow.task_phase import TaskPhase


def test_a_failed_task_is_tried_again_after_its_pause(cluster: SteppedCluster) -> None:
    cluster.create(task("a", retry=Retry(limit=2, backoff_seconds=1.0, factor=3.0)))
    for pause in (1.0, 3.0):
        cluster.end("a", BROKEN)
        assert cluster.scheduler.next_timer == cluster.now + pause
        cluster.tick(pause)
        assert cluster.names == ["a"]
    cluster.end("a", BROKEN)
    assert cluster.events[-1].reason == "task a: exit code 1"


@pytest.mark.parametrize(("wall", "left"), [(1_010.0, 50.0), (500.0, 60.0), (9_000.0, 0.0)])
def test_a_pause_before_a_retry_outlives_a_crash(cluster: SteppedCluster, wall: float, left: float) -> None:
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


def test_a_fault_of_the_cluster_is_no_failure_of_the_task(cluster: SteppedCluster) -> None:
    """No place on its disk, no descriptors left: another cluster may have them."""
    cluster.create(task("a"), task("b"))
    cluster.end("a", Outcome(succeeded=False, lost=True, reason="too many open files"))
    cluster.end("b", Outcome(succeeded=False, killed=True))

    assert (cluster.events[-1].end, cluster.events[-1].reason) == (
        AttemptEndKind.LOST,
        "task a: too many open files",
    )


def test_the_outputs_of_a_shard_have_a_bound(cluster: SteppedCluster) -> None:
    """They all go with the next attempt.

    The task that passes it fails for good: running it again would not help.
    """
    names = [f"t{number:03}" for number in range(300)]
    cluster.create(*(task(name, retry=Retry(limit=9)) for name in names))
    whole = Outcome(succeeded=True, output="x" * (64 * 1024 - 2))
    for _ in range(256):
        cluster.end(cluster.names[0], whole)
    assert not any(isinstance(event, AttemptEnded) for event in cluster.events)

    cluster.end(cluster.names[0], whole)
    while cluster.names:
        cluster.end(cluster.names[0], Outcome(succeeded=False, killed=True))

    assert cluster.events[-1].end is AttemptEndKind.FAILED
    assert "more than 16 MiB" in cluster.events[-1].reason


def test_a_task_in_its_pause_says_why_and_until_when(cluster: SteppedCluster) -> None:
    """It does not run, and whoever waits for it wants to know what broke; without a pause too."""
    cluster.create(task("a", retry=Retry(limit=1, backoff_seconds=7.0)), task("b", retry=Retry(limit=1)))
    cluster.end("a", BROKEN)
    said = cluster.events[-1]
    assert (said.task, said.phase, said.tries, said.reason) == ("a", TaskPhase.RETRYING, 1, "exit code 1")
    assert said.next_try_at == said.ended_at + 7.0
    assert said.pause_seconds == 7.0
    # What the cluster has killed itself is no failure, and runs again at once.
    cluster.end("b", Outcome(succeeded=False, killed=True))
    assert cluster.events[-1] is said
    # The last try ends the task: nothing follows it.
    cluster.tick(7.0)
    cluster.end("a", BROKEN)
    phases = [event.phase for event in cluster.events if getattr(event, "task", "") == "a"]
    running = TaskPhase.RUNNING
    assert phases == [running, TaskPhase.RETRYING, running, TaskPhase.FAILED]


@pytest.mark.parametrize("tries", [1_000, 10_000])
def test_a_pause_after_very_many_tries_is_the_longest(tries: int) -> None:
    """Tries that the cluster itself has ended are not limited: their number must not overflow a float."""
    assert retry_pause(Retry(limit=100, backoff_seconds=1.0, factor=10.0, max_seconds=60.0), tries) == 60.0


def test_a_final_failure_is_not_tried_again(cluster: SteppedCluster) -> None:
    """Nobody knows whether a request whose answer was lost had its effect: it must not come twice."""
    cluster.create(task("a", retry=Retry(limit=5)))
    cluster.end("a", Outcome(succeeded=False, final=True, reason="no answer"))
    assert (cluster.events[-1].end, cluster.events[-1].reason) == (AttemptEndKind.FAILED, "task a: no answer")


FAILED_75 = Outcome(succeeded=False, exit_code=75)
TIMED_OUT = Outcome(succeeded=False, timed_out=True)
LOST = Outcome(succeeded=False, lost=True, reason="no disk")


@pytest.mark.parametrize(
    ("on", "outcome", "retried"),
    [
        (None, FAILED_75, True),
        (None, TIMED_OUT, True),
        (None, LOST, True),
        ((75,), FAILED_75, True),
        ((74, 76), FAILED_75, False),
        ((75,), TIMED_OUT, False),
        ((75,), Outcome(succeeded=False), False),
        (("failure",), FAILED_75, True),
        (("failure",), Outcome(succeeded=False), True),
        (("failure",), TIMED_OUT, False),
        (("failure",), LOST, False),
        (("timeout",), TIMED_OUT, True),
        (("timeout",), FAILED_75, False),
        (("timeout", "lost"), LOST, True),
    ],
)
def test_only_what_a_retry_names_is_tried_again(on: Any, outcome: Outcome, retried: bool) -> None:
    """A mistake in the task fails the same way each time; a service that is away is back soon."""
    assert is_retried(Retry(on=on), outcome) is retried


def test_a_failure_that_its_retry_does_not_name_fails_the_task_at_once(cluster: SteppedCluster) -> None:
    cluster.create(task("a", retry=Retry(limit=9, on=(75, "lost"))))
    cluster.end("a", FAILED_75)
    cluster.tick(1.0)
    assert cluster.names == ["a"]
    cluster.end("a", Outcome(succeeded=False, exit_code=1, reason="exit code 1"))

    assert (cluster.events[-1].end, cluster.events[-1].reason) == (
        AttemptEndKind.FAILED,
        "task a: exit code 1",
    )


def test_a_task_that_no_other_region_is_to_run_fails_where_it_cannot_run(cluster: SteppedCluster) -> None:
    cluster.create(task("a", retry=Retry(limit=9, on=("failure",))))
    cluster.end("a", LOST)

    assert (cluster.events[-1].end, cluster.events[-1].reason) == (AttemptEndKind.FAILED, "task a: no disk")


def test_jitter_shortens_each_pause_by_another_share(cluster: SteppedCluster) -> None:
    """Tasks that fail together must not come back together."""
    names = [f"t{number:02}" for number in range(40)]
    retry = Retry(limit=1, backoff_seconds=100.0, factor=1.0, max_seconds=100.0, jitter=0.5)
    cluster.create(*(task(name, retry=retry) for name in names))
    pauses = []
    while cluster.names:
        cluster.end(cluster.names[0], BROKEN)
        said = next(event for event in reversed(cluster.events) if event.phase is TaskPhase.RETRYING)
        pauses.append(said.next_try_at - said.ended_at)

    assert len(set(pauses)) == len(names)
    assert all(50.0 <= pause <= 100.0 for pause in pauses)
    assert min(pauses) < 60.0
    assert max(pauses) > 90.0
