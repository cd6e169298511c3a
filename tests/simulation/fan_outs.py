"""What a model cluster does with a task that runs once for each item of a list (`forEach`)."""

import re

from tests.simulation.journal import Attempt
from waypost.workflow.instances import instance_name, task_of
from waypost.workflow.task import TaskSpec
from waypost.workflow.task_phase import TaskPhase

OUTPUT = re.compile(r"\$\{tasks\.(\w+)\.output\}")
ENDED = (TaskPhase.SUCCEEDED, TaskPhase.FAILED)


def item_count(attempt: Attempt, task: TaskSpec) -> int | None:
    """Returns the number of items of a task's `forEach`; None where what it names is no list."""
    if not isinstance(task.for_each, str):
        return len(task.for_each or ())
    found = OUTPUT.fullmatch(task.for_each)
    assert found is not None, task.for_each
    items = attempt.outputs.get(found[1])
    return len(items) if isinstance(items, list) else None


def startable(attempt: Attempt, task: TaskSpec) -> list[str]:
    """Returns the instances of a task that has begun which may start now, within `maxParallel`."""
    if (failed(attempt, task) and ends_others(attempt, task)) or task.name in attempt.finished:
        return []
    names = [instance_name(task.name, index) for index in range(attempt.fan_outs[task.name])]
    ready = [
        name for name in names if attempt.finished.get(name) not in ENDED and name not in attempt.running
    ]
    if task.max_parallel is None:
        return ready
    return ready[: max(0, task.max_parallel - len(running(attempt, task)))]


def running(attempt: Attempt, task: TaskSpec) -> list[str]:
    return [name for name in attempt.running if name != task.name and task_of(name) == task.name]


def failed(attempt: Attempt, task: TaskSpec) -> bool:
    """Returns whether an instance of a task that has begun has failed for good."""
    names = (instance_name(task.name, index) for index in range(attempt.fan_outs[task.name]))
    return any(attempt.finished.get(name) is TaskPhase.FAILED for name in names)


def ends_others(attempt: Attempt, task: TaskSpec) -> bool:
    """Returns whether the first failed instance of a task ends its others."""
    return attempt.run.fail_fast and not task.continue_on_failure


def all_ended(attempt: Attempt, task: TaskSpec) -> bool:
    names = (instance_name(task.name, index) for index in range(attempt.fan_outs[task.name]))
    return all(attempt.finished.get(name) in ENDED for name in names)
