"""The features that clusters report in their status, and those that a run asks for.

A cluster gets no run that asks for a feature it does not report: it would refuse, or ignore, fields that it
does not know.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from waypost.workflow.artifacts import is_artifact
from waypost.workflow.task import TaskSpec

AFTER_FAILURE: Final = "after-failure"
"""The feature of a cluster that goes on after a task's failure as the document says.

It knows `runs`, `continueOnFailure`, `whenSkipped` and `failFast`, phases in conditions, and failed results.
"""
RETRY_CAUSES: Final = "retry-causes"
"""The feature of a cluster that knows `retry.on` and `retry.jitter`."""
SECRETS: Final = "secrets"
"""The feature of a cluster that gives secrets to tasks, if its settings say where they are."""
ENDING: Final = "ending"
"""The feature of a cluster that gives the tasks of `finally` the end of all else (`RunSpec.ending`)."""
FOR_EACH: Final = "for-each"
"""The feature of a cluster that runs a task once for each item of a list (`forEach`)."""
OUTPUTS: Final = "outputs"
"""The feature of a cluster that fills in outputs of tasks, and checks them by their schemas."""
SEMAPHORES: Final = "semaphores"
"""The feature of a cluster that counts how many tasks of a semaphore run (`spec.semaphores`)."""
ARTIFACTS: Final = "artifacts"
"""The feature of a cluster that fetches and stores files, from and to where its settings permit it."""
FEATURES: Final = (AFTER_FAILURE, RETRY_CAUSES, SECRETS, ENDING, FOR_EACH, OUTPUTS, SEMAPHORES, ARTIFACTS)
"""The features of the embedded cluster of this version."""


def features_asked(
    tasks: Sequence[TaskSpec], *, fail_fast: bool, secrets: bool, of_finally: bool = False
) -> frozenset[str]:
    """Returns the features that a cluster must have to run these tasks as their document says.

    `of_finally`: they are tasks of the stage `finally`, which run whatever fails beside them.
    """
    found = {AFTER_FAILURE, ENDING} if of_finally else set[str]()
    if asks_after_failure(tasks, fail_fast=fail_fast):
        found.add(AFTER_FAILURE)
    if any(task.retry.on is not None or task.retry.jitter for task in tasks):
        found.add(RETRY_CAUSES)
    if secrets or any(task.secrets is not None for task in tasks):
        found.add(SECRETS)
    if any(task.for_each is not None for task in tasks):
        found.add(FOR_EACH)
    if any(task.semaphore is not None for task in tasks):
        found.add(SEMAPHORES)
    if any(task.outputs is not None or _reads_outputs(task) for task in tasks):
        found.add(OUTPUTS)
    if any(is_artifact(task.source) or is_artifact(task.target) for task in tasks):
        found.add(ARTIFACTS)
    return frozenset(found)


def asks_after_failure(tasks: Iterable[TaskSpec], *, fail_fast: bool) -> bool:
    """Returns whether the feature `AFTER_FAILURE` is among those that a run asks for."""
    # One expression without calls: it is asked about ten thousand tasks whenever their run is placed.
    return not fail_fast or any(
        # Also `onSuccess`: a cluster that does not know the field takes no request with it.
        task.runs is not None
        or task.continue_on_failure
        or task.when_skipped != "run"
        # Also where `phase` is a name in an output: then it is placed in a cluster that is new enough.
        or (task.when is not None and "phase" in task.when)
        for task in tasks
    )


def goes_on_after_failure(tasks: Iterable[TaskSpec], *, fail_fast: bool) -> bool:
    """Returns whether a task's failure may leave something to decide in its shard, but to end it."""
    return not fail_fast or any(map(_depends_on_failures, tasks))


def _depends_on_failures(task: TaskSpec) -> bool:
    return task.runs not in (None, "onSuccess") or task.continue_on_failure or task.when_skipped != "run"


def _reads_outputs(task: TaskSpec) -> bool:
    """Returns whether a placeholder of the task may read an output."""
    # A task that needs none cannot read any; encoding is quicker than a walk.
    return bool(task.needs) and b"${tasks." in msgspec.json.encode((task.run, task.source, task.target))
