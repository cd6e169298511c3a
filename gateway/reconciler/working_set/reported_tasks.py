"""Finds the task that a cluster's event is about, checks that it may be in that phase, and makes its row."""

from typing import Final

from clusters.protocol import TaskChanged
from gateway.core.run import FailedTry, TaskRow
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.tracked_shard import TrackedShard
from waypost.workflow.instances import INSTANCES_MAXIMUM, instance_name, instance_of
from waypost.workflow.task import TaskSpec
from waypost.workflow.task_phase import TaskPhase
from waypost.workflow.trigger_rule import may_be_in

NEVER_OF_INSTANCES: Final = frozenset({TaskPhase.SKIPPED, TaskPhase.OMITTED})
"""The phases that only a task has, never an instance of it."""


def reported_task(tracked: TrackedShard, event: TaskChanged) -> TaskSpec | None:
    """Returns the task of the document that `event` reports, or of which it reports an instance.

    None where the run has no such task, or the task may not be in that phase yet.
    """
    instance = None
    task = tracked.run.tasks.get(event.task)
    if task is None:
        instance = instance_of(event.task)
        task = None if instance is None else tracked.run.tasks.get(instance[0])
    if task is None:
        return None
    if instance is not None:
        return task if _instance_may_be(tracked, task, event) else None
    if not may_be_in(event.phase, task, tracked.tasks, tracked.run.tasks, stops=tracked.stops_others):
        return None
    return task if task.for_each is None or _fan_out_may_be(tracked, task, event) else None


def _instance_may_be(tracked: TrackedShard, task: TaskSpec, event: TaskChanged) -> bool:
    if task.for_each is None or event.phase in NEVER_OF_INSTANCES:
        return False
    # Without a bound a cluster could grow the store for ever.
    if event.task not in tracked.tasks and tracked.instances >= INSTANCES_MAXIMUM:
        return False
    # The others are stopped when one has failed their task.
    if event.phase is TaskPhase.STOPPED and tracked.tasks.get(task.name) is TaskPhase.FAILED:
        return True
    return may_be_in(event.phase, task, tracked.tasks, tracked.run.tasks, stops=tracked.stops_others)


def _fan_out_may_be(tracked: TrackedShard, task: TaskSpec, event: TaskChanged) -> bool:
    """Returns whether a task with `forEach` may be in the reported phase, by what is known of its instances.

    It succeeds after all of them: its output is the list of theirs.
    """
    if event.phase is not TaskPhase.SUCCEEDED:
        return event.phase is not TaskPhase.RETRYING
    if event.instances is None or event.output is not None:
        return False
    names = (instance_name(task.name, index) for index in range(event.instances))
    return all(tracked.tasks.get(name) is TaskPhase.SUCCEEDED for name in names)


def task_row(tracked: TrackedShard, region: Region, event: TaskChanged, failed: FailedTry | None) -> TaskRow:
    """Returns the row of the store for the task, or instance of one, that `event` reports."""
    return TaskRow(
        run=tracked.shard.run,
        shard=tracked.shard.index,
        task=event.task,
        phase=event.phase,
        epoch=event.attempt.epoch,
        region=region.name,
        incarnation=region.incarnation,
        tries=event.tries,
        started_at=event.started_at,
        ended_at=event.ended_at,
        next_try_at=event.next_try_at,
        output=event.output,
        reason=event.reason,
        last_failure=failed,
        instances=event.instances,
    )
