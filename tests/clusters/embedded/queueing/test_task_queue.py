"""Tests the task queue: every policy against a slow model, starvation, shares of tenants, gates."""

import random
from collections import Counter

import pytest

from clusters.embedded.queueing.capacity import Capacity
from clusters.embedded.queueing.policies import QueuePolicy
from clusters.embedded.queueing.queue_settings import QueueSettings
from clusters.embedded.queueing.ready_task import ReadyTask
from clusters.embedded.queueing.task_queue import TaskQueue
from clusters.task_waits import WaitReason
from tests.clusters.embedded.queueing.ready_tasks import ready_task
from tests.clusters.embedded.queueing.reference_queue import ReferenceQueue


class RandomLoad:
    """Random tasks of a few tenants and runs, with all that the queue reads of them."""

    def __init__(self, seed: int) -> None:
        self.dice, self.number = random.Random(seed), 0

    def task(self, now: float) -> ReadyTask:
        dice = self.dice
        self.number += 1
        key = dice.choice("abc")
        run = f"{key}{dice.randrange(4)}"
        facts = random.Random(run)  # what all tasks of a run have in common
        return ready_task(
            f"t{self.number}",
            run=run,
            key=key,
            since=now,
            weight={"a": 1.0, "b": 2.5, "c": 0.5}[key],
            priority=facts.randrange(3),
            period=facts.choice([None, 10.0, 60.0]),
            deadline=facts.choice([float("inf"), 100.0, 1_000.0]),
            semaphores={"db": facts.randint(1, 3), "api": 2},
            semaphore=dice.choice([None, None, "db", "api"]),
            type=dice.choice(["process", "http"]),
            task_priority=dice.randrange(3),
            cpu=dice.choice([0.5, 1.0, 1.0, 3.0]),
            memory_mib=dice.choice([None, None, 100, 700, 1_000]),
            path=dice.randint(1, 4),
        )


@pytest.mark.parametrize("mib", [None, 1_000])
@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("policy", QueuePolicy)
def test_tasks_start_in_the_order_of_a_slow_and_obvious_queue(
    policy: QueuePolicy, seed: int, mib: int | None
) -> None:
    """Heaps, lazy entries and parked tasks change how long it takes, and nothing else."""
    settings = QueueSettings(policy=policy, aging_seconds=20.0, rates={"http": 0.5})
    load = RandomLoad(seed)
    dice, now, running = load.dice, 0.0, list[tuple[float, ReadyTask]]()
    queue = TaskQueue(Capacity(4.0, memory_mib=mib), settings)
    reference = ReferenceQueue(4_000, settings, mib or 0)
    waiting: dict[str, ReadyTask] = {}
    for _ in range(300):
        now += dice.choice([0.0, 0.125, 1.0, 3.0])
        queue.tick(now)
        reference.tick(now)
        match dice.randrange(8):
            case 0 | 1 | 2 | 3:
                task = load.task(now)
                waiting[task.task] = task
                queue.add(task)
                reference.add(task)
            case 4 if waiting:
                task = waiting.pop(dice.choice(sorted(waiting)))
                queue.withdraw(task.attempt, task.task, now)
                reference.withdraw(task.attempt, task.task, now)
            case _ if running:
                began, task = running.pop(dice.randrange(len(running)))
                queue.end(task.run, task.spec, now - began, now)
                reference.end(task, now - began, now)
        while (found := queue.next_task(now)) is not None:
            expected = reference.next_task(now)
            assert expected is not None and expected[1].task == found.task
            queue.start(now)
            reference.start(expected, now)
            running.append((now, waiting.pop(found.task)))
        assert reference.next_task(now) is None
        assert len(queue) == len(waiting)


@pytest.mark.parametrize("policy", QueuePolicy)
def test_no_task_starves(policy: QueuePolicy) -> None:
    """One of the lowest rank starts, though better ones come faster than they can be run."""
    queue = TaskQueue(Capacity(1.0), QueueSettings(policy=policy, aging_seconds=60.0))
    poor = ready_task("poor", run="poor", priority=0, since=0.0)
    queue.add(poor)
    for second in range(100):
        urgent = {"priority": 9, "deadline": second + 5.0, "period": 1.0, "since": second - 1e6}
        queue.add(ready_task(f"u{second}", run=f"urgent{second}", **urgent))
        queue.add(ready_task(f"v{second}", run=f"urgent{second}", **urgent))
        task = queue.next_task(float(second))
        assert task is not None
        if task.task == "poor":
            assert 60 <= second < 60 + 10
            return
        queue.start(float(second))
        queue.end(task.run, task.spec, 1.0, second + 1.0)
    pytest.fail("it never started")


def shares(
    weights: dict[str, float], seconds: dict[str, float], *, cpu: float, until: float = 2_000.0
) -> Counter[str]:
    """Returns the processor seconds of tenants that always have tasks waiting, each of its own length."""
    queue = TaskQueue(Capacity(cpu), QueueSettings())
    used, running, now, number = Counter[str](), list[tuple[float, ReadyTask]](), 0.0, 0

    def refill(key: str) -> None:
        nonlocal number
        number += 1
        priority = 9 if key == "b" else 0
        queue.add(ready_task(f"t{number}", run=key, key=key, weight=weights[key], priority=priority))

    for key in weights:
        for _ in range(50):
            refill(key)
    while now < until:
        while (task := queue.next_task(now)) is not None:
            queue.start(now)
            refill(task.key)
            running.append((now + seconds[task.key], task))
        running.sort(key=lambda one: one[0])
        now, task = running.pop(0)
        used[task.key] += seconds[task.key]  # type: ignore[assignment]
        queue.end(task.run, task.spec, seconds[task.key], now)
    return used


@pytest.mark.parametrize("cpu", [1.0, 4.0, 32.0])
@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_two_tenants_share_the_processors_by_weight_whatever_they_run(cpu: float, weight: float) -> None:
    """Not by starts: who runs long tasks would have nearly all. Priority counts within a tenant."""
    used = shares({"a": weight, "b": 1.0}, {"a": 1.0, "b": 20.0}, cpu=cpu)

    assert used["a"] / used["b"] == pytest.approx(weight, rel=0.08)


def test_a_tenant_of_endless_tasks_takes_no_processor_from_anothers_share() -> None:
    """What they have used so far would count when they end: by then it would be too late."""
    used = shares({"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 1e6}, cpu=4.0, until=100.0)

    assert used["a"] == pytest.approx(200.0, rel=0.03)


def test_a_semaphore_bounds_the_tasks_of_one_tenant_alone() -> None:
    """Its name is the tenant's; other tasks pass those that wait for it."""
    queue = TaskQueue(Capacity(100.0), QueueSettings())
    for number in range(5):
        for key in "ab":
            queue.add(ready_task(f"{key}{number}", run=key, key=key, semaphore="db", semaphores={"db": 2}))
    queue.add(ready_task("free", run="a", key="a"))
    started = run_all(queue)

    assert sorted(started) == ["a0", "a1", "b0", "b1", "free"]
    wait = queue.wait_of(ready_task("a2", run="a").attempt, "a2", 7.0)
    assert (wait.reason, wait.name, wait.taken, wait.places) == (WaitReason.SEMAPHORE, "db", 2, 2)
    assert wait.seconds == 7.0

    ended = started["a0"]
    queue.end(ended.run, ended.spec, 1.0, 1.0)
    assert sorted(run_all(queue)) == ["a2"]


def run_all(queue: TaskQueue, now: float = 0.0) -> dict[str, ReadyTask]:
    """Starts all tasks that may start, and returns them by name."""
    started = {}
    while (task := queue.next_task(now)) is not None:
        queue.start(now)
        started[task.task] = task
    return started


def test_one_that_is_withdrawn_leaves_its_place_to_the_next() -> None:
    """A parked task would wait for ever where the one that was to start before it is cancelled."""
    queue = TaskQueue(Capacity(1.0), QueueSettings())
    for name in ("first", "second", "third"):
        queue.add(ready_task(name, semaphore="db", semaphores={"db": 1}))
    first = run_all(queue)["first"]
    queue.add(ready_task("other", run="other", key="other"))
    queue.end(first.run, first.spec, 1.0, 1.0)
    queue.withdraw(first.attempt, "second", 1.0)

    assert list(run_all(queue)) == ["other"]
    queue.end(first.run, ready_task("other").spec, 1.0, 1.0)
    assert list(run_all(queue)) == ["third"]


def test_a_rate_spreads_the_starts_of_one_tenants_executor() -> None:
    """A burst of one second, then so many a second; other tenants and executors go on."""
    queue = TaskQueue(Capacity(100.0), QueueSettings(rates={"http": 2.0}))
    for number in range(5):
        queue.add(ready_task(f"a{number}", run="a", key="a", type="http"))
    queue.add(ready_task("b", run="b", key="b", type="http"))
    queue.add(ready_task("p", run="a", key="a"))
    assert sorted(run_all(queue)) == ["a0", "a1", "b", "p"]
    assert queue.next_timer == 0.5
    assert queue.wait_of(ready_task("a2", run="a").attempt, "a2", 0.1).left_seconds == pytest.approx(0.4)

    for now, name in ((0.5, "a2"), (1.0, "a3"), (1.5, "a4")):
        queue.tick(now)
        assert list(run_all(queue, now)) == [name]
    assert queue.next_timer is None


def test_what_only_waits_does_not_stand_behind_what_needs_processors() -> None:
    """A delay holds no processor, and so waits for none."""
    queue = TaskQueue(Capacity(1.0, waiting={"delay"}), QueueSettings())
    for number in range(3):
        queue.add(ready_task(f"p{number}"))
        queue.add(ready_task(f"d{number}", type="delay"))

    assert sorted(run_all(queue)) == ["d0", "d1", "d2", "p0"]


def test_a_queue_is_full_at_its_bound() -> None:
    """The gateway then places nothing more there."""
    queue = TaskQueue(Capacity(1.0), QueueSettings(tasks=2))
    queue.add(ready_task("a"))
    assert not queue.full
    queue.add(ready_task("b"))
    assert queue.full


def test_who_waits_is_told_for_what() -> None:
    """A tenant that has its share waits for the others, else for a processor."""
    queue = TaskQueue(Capacity(2.0), QueueSettings())
    for number in range(4):
        queue.add(ready_task(f"a{number}", run="a", key="a"))
    assert len(run_all(queue)) == 2
    queue.add(ready_task("b", run="b", key="b"))

    a, b = ready_task("x", run="a").attempt, ready_task("x", run="b").attempt
    assert queue.wait_of(a, "a3", 3.0).reason is WaitReason.TURN
    assert queue.wait_of(a, "a3", 3.0).ahead == 1
    assert queue.wait_of(b, "b", 3.0).reason is WaitReason.PROCESSOR


@pytest.mark.parametrize(
    "wrong",
    [{"aging_seconds": -1.0}, {"rates": {"http": 0.0}}, {"rates": {"http": float("inf")}}, {"tasks": 0}],
)
def test_a_setting_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    """At the start, by name."""
    option = next(iter(wrong)).replace("_", "-").removesuffix("s")
    with pytest.raises(ValueError, match=f"--queue-{option}"):
        QueueSettings(**wrong)  # type: ignore[arg-type]
