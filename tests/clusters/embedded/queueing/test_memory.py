"""Tests that tasks wait for the memory that they ask for, and that tenants share it."""

import pytest

from clusters.embedded.queueing.capacity import Capacity
from clusters.embedded.queueing.queue_settings import QueueSettings
from clusters.embedded.queueing.task_queue import TaskQueue
from clusters.task_waits import WaitReason
from tests.clusters.embedded.queueing.ready_tasks import ready_task
from tests.clusters.embedded.queueing.test_task_queue import run_all


def queue_of(cpu: float, memory_mib: int | None, **more: object) -> TaskQueue:
    return TaskQueue(Capacity(cpu, memory_mib=memory_mib, **more), QueueSettings())  # type: ignore[arg-type]


def test_no_more_memory_is_asked_for_than_there_is() -> None:
    """Though processors are free; what ends leaves its memory to the next."""
    queue = queue_of(8.0, 1_000)
    for name, mib in (("a", 600), ("b", 400), ("c", 500), ("d", None)):
        queue.add(ready_task(name, memory_mib=mib))
    started = run_all(queue)
    assert list(started) == ["a", "b"]
    assert queue.memory_busy == 1_000

    queue.end(started["b"].run, started["b"].spec, 1.0, 1.0)
    assert list(run_all(queue, 1.0)) == []
    queue.end(started["a"].run, started["a"].spec, 1.0, 1.0)
    assert list(run_all(queue, 1.0)) == ["c", "d"]


def test_who_waits_for_memory_is_told_so() -> None:
    """With what is asked for, taken, and there; and who stands behind such a task is told its name."""
    queue = queue_of(8.0, 1_000)
    for name, mib in (("a", 600), ("b", 500), ("c", None)):
        queue.add(ready_task(name, memory_mib=mib))
    run_all(queue)
    attempt = ready_task("a").attempt
    first, second = (queue.wait_of(attempt, name, 7.0) for name in "bc")

    assert (first.reason, first.name, first.seconds) == (WaitReason.MEMORY, "", 7.0)
    assert (first.asked, first.taken, first.places) == (500, 600, 1_000)
    assert (second.reason, second.name, second.asked) == (WaitReason.MEMORY, "b", 500)


def test_who_asks_for_memory_alone_has_no_more_than_a_share() -> None:
    """Half of the memory counts like half of the processors; who asks for processors alone gets those."""
    queue = queue_of(8.0, 8_000)
    for number in range(8):
        queue.add(ready_task(f"m{number}", run="m", key="m", cpu=0.01, memory_mib=2_000))
        queue.add(ready_task(f"c{number}", run="c", key="c", cpu=1.0))
    started = list(run_all(queue))

    # In turn, each by its larger part of the cluster: a task of `m` counts as two of `c`.
    assert started[:6] == ["m0", "c0", "c1", "m1", "c2", "c3"]
    assert sum(name[0] == "m" for name in started) == 4
    assert sum(name[0] == "c" for name in started) == 7


def test_what_only_waits_takes_no_memory() -> None:
    """Whatever its resources say, as with processors."""
    queue = queue_of(1.0, 100, waiting={"delay"})
    for number in range(3):
        queue.add(ready_task(f"d{number}", type="delay", memory_mib=100))
    assert len(run_all(queue)) == 3


@pytest.mark.parametrize("memory_mib", [500, 1_000])
def test_a_cluster_that_was_restarted_with_less_runs_what_it_has_alone(memory_mib: int) -> None:
    """It took the task before, and would else run nothing at all any more."""
    queue = queue_of(8.0, memory_mib)
    for name in ("a", "b"):
        queue.add(ready_task(name, memory_mib=2_000))
    started = run_all(queue)
    assert list(started) == ["a"]
    queue.end(started["a"].run, started["a"].spec, 1.0, 1.0)
    assert queue.memory_busy == 0
    assert list(run_all(queue, 1.0)) == ["b"]


def test_memory_is_not_counted_where_there_is_no_bound() -> None:
    """As in a cluster of an earlier version."""
    queue = queue_of(8.0, None)
    for name in "ab":
        queue.add(ready_task(name, memory_mib=1 << 30))
    assert len(run_all(queue)) == 2


def test_a_closed_queue_starts_nothing() -> None:
    """Not even what needs nothing."""
    queue = queue_of(8.0, 100, waiting={"delay"})
    queue.add(ready_task("d", type="delay"))
    queue.close()
    assert run_all(queue) == {}
