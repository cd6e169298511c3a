"""Tests the ready queue: the order in which tasks get processors, and how many a cluster reports."""

import random

from clusters.embedded.queueing.capacity import Capacity
from clusters.embedded.queueing.policies import QueuePolicy
from clusters.embedded.queueing.queue_settings import QueueSettings
from clusters.embedded.queueing.unacknowledged_events import (
    PATIENCE_SECONDS,
    REPORTS_UNDER_WAY,
    UNDER_WAY_ALONE,
)
from clusters.protocol import AttemptEndKind, AttemptId
from tests.clusters.embedded.scheduling.stepped_cluster import BROKEN, SteppedCluster, task
from waypost.workflow.task import Resources, TaskSpec


def queued(cluster: SteppedCluster) -> int:
    return cluster.scheduler.status(cluster.now).queued


def test_an_idle_cluster_has_all_of_its_processors(cluster: SteppedCluster) -> None:
    """Sums of fractions drift: after a while a task that asks for all of them would wait for ever."""
    dice = random.Random(1)
    parts = [
        task(f"t{number}", resources=Resources(cpu=dice.choice([0.1, 0.2, 0.3, 0.7])))
        for number in range(300)
    ]
    cluster.create(*parts, task("all", *(part.name for part in parts), resources=Resources(cpu=4.0)))
    while cluster.running:
        cluster.end(dice.choice(cluster.names))

    assert cluster.events[-1].end is AttemptEndKind.SUCCEEDED


def test_a_small_run_is_not_kept_waiting_by_a_huge_one(cluster: SteppedCluster) -> None:
    """Within a priority, runs take turns."""
    cluster.create(*(task(f"t{number}") for number in range(600)), run="huge")
    for _ in range(10):
        cluster.end(cluster.names[0])
    cluster.create(task("a"), task("b"), run="small")
    cluster.end(cluster.names[0])
    cluster.end(cluster.names[0])
    cluster.end(cluster.names[0])

    assert {"a", "b"} <= set(cluster.names)


def started(cluster: SteppedCluster, count: int) -> list[str]:
    """Ends `count` of the running tasks, and returns the names of the tasks that start then."""
    before = len(cluster.launched)
    for _ in range(count):
        cluster.end(cluster.names[0])
    return [name for _, name in cluster.launched[before:]]


def whole(name: str, priority: int = 5) -> TaskSpec:
    """Returns a task that takes all of the cluster's processors, so that tasks run one after the other."""
    return task(name, resources=Resources(cpu=4.0), priority=priority)


def test_the_runs_priority_comes_before_its_tasks(cluster: SteppedCluster) -> None:
    """A run that policy caps would otherwise pass others by the priorities of its tasks."""
    cluster.create(whole("running"))
    cluster.create(whole("low-9", 9), whole("low-1", 1), run="low", priority=1)
    cluster.create(whole("high-0", 0), whole("high-7", 7), run="high", priority=7)

    assert started(cluster, 4) == ["high-7", "high-0", "low-9", "low-1"]


def test_keys_take_turns_whatever_their_priority_and_number(cluster: SteppedCluster) -> None:
    """One tenant's backlog delays another's task by a turn, however long and urgent it is."""
    cluster.create(*(whole(f"flood-{n}", 9) for n in range(300)), run="flood", key="noisy", priority=9)
    assert len(started(cluster, 20)) == 20
    cluster.create(whole("a", 0), whole("b", 0), run="small", key="quiet", priority=0)

    assert [name for name in started(cluster, 4) if not name.startswith("flood")] == ["a", "b"]
    assert all(name.startswith("flood") for name in started(cluster, 4))


def test_a_key_that_was_idle_has_no_turns_saved_up(cluster: SteppedCluster) -> None:
    """Else a tenant that comes back after a day would hold up those that were at work."""
    cluster.create(*(whole(f"a-{n}") for n in range(50)), run="a", key="a")
    started(cluster, 30)
    cluster.create(*(whole(f"b-{n}") for n in range(50)), run="b", key="b")

    assert sum(name.startswith("b") for name in started(cluster, 10)) == 5


def test_a_key_has_turns_by_its_weight(cluster: SteppedCluster) -> None:
    """Three turns for one, where policy says so."""
    cluster.create(whole("running"))
    cluster.create(*(whole(f"a-{n}") for n in range(50)), run="a", key="a", weight=3.0)
    cluster.create(*(whole(f"b-{n}") for n in range(50)), run="b", key="b")

    assert sum(name.startswith("a") for name in started(cluster, 40)) == 30


def test_what_is_ready_and_finds_no_processor_is_queued(cluster: SteppedCluster) -> None:
    """Not what runs, nor what waits for other tasks."""
    cluster.create(*(task(f"t{n}") for n in range(7)), task("last", "t0"))
    assert queued(cluster) == 3

    cluster.end("t0")
    assert queued(cluster) == 3, "one more has started, and the last one is ready"
    for n in range(1, 7):
        cluster.end(f"t{n}")
    assert queued(cluster) == 0


def test_what_is_given_up_waits_no_more(cluster: SteppedCluster) -> None:
    """A run that was cancelled or has failed must not make its region look busy until others are through."""
    cluster.create(*(task(f"t{n}") for n in range(9)))
    cluster.create(*(task(f"u{n}") for n in range(9)), run="other")
    assert queued(cluster) == 14

    cluster.apply(tombstones=(AttemptId(run="other", shard=0, epoch=1),))
    assert queued(cluster) == 5
    cluster.end("t0", BROKEN)
    assert queued(cluster) == 0


def test_a_restarted_cluster_queues_nothing_until_attempts_are_created_again(cluster: SteppedCluster) -> None:
    """What it found in its journal is asleep."""
    cluster.create(*(task(f"t{n}") for n in range(9)))
    cluster.crash()
    assert queued(cluster) == 0

    cluster.create(*(task(f"t{n}") for n in range(9)))
    assert queued(cluster) == 5


def run_ahead(cluster: SteppedCluster, until: int = 1_000) -> int:
    """Ends tasks of the run `flood` until no further task starts, or `until` have started.

    Returns how many have started.
    """
    before = len(cluster.launched)
    while len(cluster.launched) - before < until and (
        names := [name for attempt, name in cluster.running if attempt.run == "flood"]
    ):
        cluster.end(names[0])
    return len(cluster.launched) - before


def test_who_is_ahead_of_the_gateway_waits_for_it_and_nobody_else(cluster: SteppedCluster) -> None:
    """All reports come in one stream: those of a large run would come before everybody else's."""
    cluster.create(task("first"), run="before", key="quiet")
    cluster.end("first")
    cluster.apply(acknowledged=1)
    cluster.create(*(task(f"t{n}") for n in range(600)), run="flood", key="loud")
    assert run_ahead(cluster) < REPORTS_UNDER_WAY

    cluster.create(task("other"), run="small", key="quiet")
    assert cluster.names == ["other"]

    cluster.apply(acknowledged=cluster.scheduler.seq)
    assert 0 < run_ahead(cluster) < REPORTS_UNDER_WAY


def test_who_is_alone_may_be_further_ahead(cluster: SteppedCluster) -> None:
    """There is nobody whose reports come later for it."""
    cluster.create(task("first"), run="before", key="loud")
    cluster.end("first")
    cluster.apply(acknowledged=1)
    cluster.create(*(task(f"t{n}") for n in range(900)), run="flood", key="loud")

    assert UNDER_WAY_ALONE // 2 - 5 < run_ahead(cluster) < UNDER_WAY_ALONE


def test_a_gateway_that_is_away_holds_up_no_work(cluster: SteppedCluster) -> None:
    """Neither one that has never acknowledged anything, nor one that has stopped."""
    cluster.create(*(task(f"t{n}") for n in range(200)), run="flood", key="loud")
    assert run_ahead(cluster, 150) == 150

    cluster.apply(acknowledged=cluster.scheduler.seq)
    cluster.create(*(task(f"u{n}") for n in range(900)), run="flood-2", key="loud")
    while cluster.running:
        cluster.end(cluster.names[0])
    held = len(cluster.launched)
    cluster.tick(PATIENCE_SECONDS / 2)
    assert len(cluster.launched) == held
    assert cluster.scheduler.next_timer == PATIENCE_SECONDS

    cluster.tick(PATIENCE_SECONDS / 2)
    while cluster.running:
        cluster.end(cluster.names[0])
    assert len(cluster.launched) == 1_100


def test_tasks_that_only_wait_occupy_no_processor() -> None:
    """A pause of an hour must not keep a command from a processor."""
    processors = Capacity(1.0, waiting=frozenset({"delay"}))
    for number in range(1_000):
        pause = TaskSpec(name=f"d{number}", type="delay", run={"seconds": 3600})
        assert processors.has_room_for(pause)
        processors.acquire(pause)
    command = TaskSpec(name="a", type="process", run={"command": ["true"]})
    assert processors.busy == 0.0
    processors.acquire(command)
    assert processors.has_room_for(pause)
    assert not processors.has_room_for(command)
    processors.close()
    processors.release(command)
    assert not processors.has_room_for(pause)


def test_a_full_queue_takes_no_further_attempt_and_says_so() -> None:
    """The gateway sees no free slot there, and places elsewhere; what is held goes on."""
    cluster = SteppedCluster(QueueSettings(tasks=3))
    cluster.create(*(whole(f"t{n}") for n in range(5)))
    status = cluster.scheduler.status(cluster.now)
    assert (status.slots, status.held, status.queued) == (1, 1, 4)
    assert cluster.create(whole("other"), run="other") == "Full"

    started(cluster, 2)
    assert cluster.scheduler.status(cluster.now).slots == 3
    assert cluster.create(whole("other"), run="other") == "Created"


def test_a_run_with_a_deadline_comes_first_where_deadlines_count() -> None:
    """The cluster's settings choose the policy."""
    cluster = SteppedCluster(QueueSettings(policy=QueuePolicy.EDF))
    cluster.create(whole("running"))
    cluster.create(whole("late"), run="late", expires_at=500.0, priority=9)
    cluster.create(whole("soon"), run="soon", expires_at=100.0, priority=0)

    assert started(cluster, 2) == ["soon", "late"]


def test_the_task_with_the_longest_path_behind_it_comes_first(cluster: SteppedCluster) -> None:
    """What the end of the run waits for begins early."""
    tail = [whole("c1"), task("c2", "c1"), task("c3", "c2")]
    cluster.create(whole("running"))
    cluster.create(whole("a"), whole("b"), *tail, task("b2", "b"), run="graph")

    assert started(cluster, 1) == ["c1"]
