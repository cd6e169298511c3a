"""Runs a task with `forEach` as instances, one for each item, and gives the task its result.

An instance (`export[0]`) has tries, a log, events and a journalled result of its own, like a task. The items
are not journalled: what they are rendered from is.
"""

from typing import Any, Protocol

from clusters.embedded.scheduling.attempt import Attempt, FanOut
from clusters.embedded.scheduling.event_reports import EventReports
from clusters.embedded.scheduling.scheduler_step import Step
from clusters.protocol import TaskResult
from waypost.workflow.instances import INSTANCES_MAXIMUM, instance_name, task_of
from waypost.workflow.placeholders import PlaceholderError, render
from waypost.workflow.task import TaskSpec
from waypost.workflow.task_phase import TaskPhase

FILLED_CHARACTERS = 1_048_576
"""The most characters that outputs may add to the items of a `forEach` that is written as a list."""
ENDED = (TaskPhase.SUCCEEDED, TaskPhase.FAILED)
"""The phases in which an instance has a result; one that was stopped runs again in another attempt."""


class TaskLife(Protocol):
    """The interface by which a fan-out queues its instances and ends its task: `AttemptLifecycle`."""

    def enqueue(self, attempt: Attempt, task: str, now: float) -> None: ...

    def dequeue(self, attempt: Attempt, task: str, now: float) -> None: ...

    def finish_task(self, attempt: Attempt, result: TaskResult, began: float, step: Step) -> None: ...

    def fail_task(self, attempt: Attempt, task: str, reason: str, began: float, step: Step) -> None: ...


class FanOuts:
    """Begins fan-outs, queues their instances within `maxParallel`, and decides when all is done."""

    def __init__(self, life: TaskLife, reports: EventReports) -> None:
        self._life, self._reports = life, reports

    def begin(self, attempt: Attempt, task: TaskSpec, step: Step) -> None:
        """Queues a task that may run now, or the first of its instances; fails it where its list is none.

        Instances that ended in an earlier attempt, or before a restart, keep their results.
        """
        if task.for_each is None:
            self._life.enqueue(attempt, task.name, step.now)
            return
        try:
            items = _items(attempt, task)
        except PlaceholderError as error:
            self._life.fail_task(attempt, task.name, f"forEach: {error}", step.wall, step)
            return
        fan_out = FanOut(items=items, left=0, began=step.wall)
        for index in range(len(items)):
            result = attempt.finished.get(instance_name(task.name, index))
            if result is None or result.phase not in ENDED:
                fan_out.left += 1
            elif result.phase is TaskPhase.FAILED and not fan_out.failure:
                fan_out.failure = f"{result.task}: {result.reason}"
        attempt.fan_outs[task.name] = fan_out
        attempt.instances += len(items)
        self._reports.task(attempt, task.name, TaskPhase.RUNNING, step.wall, step, instances=len(items))
        self.queue_again(attempt, task.name, step)

    def after_instance(self, attempt: Attempt, result: TaskResult, step: Step) -> None:
        """Queues further instances of a task, or ends it, after one of them has ended with `result`."""
        name = task_of(result.task)
        fan_out = attempt.fan_outs.get(name)
        # Its task has failed: what was stopped for that changes nothing.
        if fan_out is None or name in attempt.finished:
            return
        if result.phase in ENDED:
            fan_out.left -= 1
        if result.phase is TaskPhase.FAILED and not fan_out.failure:
            fan_out.failure = f"{result.task}: {result.reason}"
        if not self.decide(attempt, name, step):
            task = attempt.tasks[name]
            # Without a bound all were queued when it began.
            self._queue_next(attempt, task, fan_out, step, places=0 if task.max_parallel is None else 1)

    def take_up(self, attempt: Attempt, name: str, step: Step) -> bool:
        """Queues what waits for nothing of a fan-out that has begun; returns whether `name` belongs to one.

        `name` is that of a task or of an instance.
        """
        if name in attempt.fan_outs:
            if name not in attempt.finished:
                self.queue_again(attempt, name, step)
            return True
        task = task_of(name)
        if task == name:
            return False
        if task in attempt.fan_outs and task not in attempt.finished and _is_startable(attempt, name):
            self._life.enqueue(attempt, name, step.now)
        return True

    def queue_again(self, attempt: Attempt, name: str, step: Step) -> None:
        """Queues all instances of a fan-out that may start, also those that were taken off the queue."""
        if self.decide(attempt, name, step):
            return
        task, fan_out = attempt.tasks[name], attempt.fan_outs[name]
        fan_out.next = 0
        places = len(fan_out.items) if task.max_parallel is None else task.max_parallel
        self._queue_next(attempt, task, fan_out, step, places=places - len(_active(attempt, name)))

    def decide(self, attempt: Attempt, name: str, step: Step) -> bool:
        """Gives the task of a fan-out its result, if it has one; returns whether it may start no others."""
        fan_out = attempt.fan_outs[name]
        if attempt.fails_with_instance(name):
            if not fan_out.ends_others:
                fan_out.ends_others = True
                self._end_others(attempt, name, step)
            # What runs after a failure begins when the others have ended; else all of the attempt ends now.
            if not attempt.graph.goes_on_after_failure or not _active(attempt, name):
                self._life.fail_task(attempt, name, fan_out.failure, fan_out.began, step)
        elif attempt.ends_early(name):
            if not _active(attempt, name):
                reason = TaskResult(task=name, failure=TaskPhase.STOPPED, reason=attempt.failure)
                self._life.finish_task(attempt, reason, fan_out.began, step)
        elif fan_out.left:
            return False
        elif fan_out.failure:
            self._life.fail_task(attempt, name, fan_out.failure, fan_out.began, step)
        else:
            result = TaskResult(task=name, instances=len(fan_out.items))
            self._life.finish_task(attempt, result, fan_out.began, step)
        return True

    def _queue_next(
        self, attempt: Attempt, task: TaskSpec, fan_out: FanOut, step: Step, *, places: int
    ) -> None:
        while places > 0 and fan_out.next < len(fan_out.items):
            name = instance_name(task.name, fan_out.next)
            fan_out.next += 1
            if _is_startable(attempt, name):
                self._life.enqueue(attempt, name, step.now)
                places -= 1

    def _end_others(self, attempt: Attempt, name: str, step: Step) -> None:
        """Ends the other instances of a task that fails: kills those that run, and starts no others."""
        for other in _active(attempt, name):
            if other in attempt.running:
                step.kills.append((attempt.id, other))
            self._life.dequeue(attempt, other, step.now)
            attempt.due.pop(other, None)


def _items(attempt: Attempt, task: TaskSpec) -> list[Any]:
    """Returns the items of a task's `forEach` in this shard.

    Raises `PlaceholderError` where it is no list, or where the shard would have too many instances.
    """
    values = {"shard": attempt.shard_values, "tasks": attempt.outputs_for(task)}
    # A list that a placeholder names is not copied, however long it is.
    maximum = None if isinstance(task.for_each, str) else FILLED_CHARACTERS
    items = render(task.for_each, values, last=True, maximum=maximum)
    if not isinstance(items, list | tuple):
        raise PlaceholderError(f"{task.for_each} is no list")
    total = attempt.instances + len(items)
    if total > INSTANCES_MAXIMUM:
        raise PlaceholderError(
            f"it has {len(items)} items, with which this shard would have {total} instances of tasks;"
            f" {INSTANCES_MAXIMUM} are allowed"
        )
    return list(items)


def _active(attempt: Attempt, task: str) -> list[str]:
    """Returns the instances of a task that run, or wait for a processor or for their next try."""
    names = {**attempt.running, **dict.fromkeys(attempt.queued), **attempt.due}
    return [name for name in names if name != task and task_of(name) == task]


def _is_startable(attempt: Attempt, name: str) -> bool:
    result = attempt.finished.get(name)
    return (
        (result is None or result.phase not in ENDED)
        and name not in attempt.running
        and name not in attempt.queued
        and name not in attempt.due
        and not attempt.ending
    )
