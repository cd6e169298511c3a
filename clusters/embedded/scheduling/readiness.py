"""Decides which tasks of an attempt may start; changes nothing."""

from enum import StrEnum

from msgspec import Struct

from clusters.embedded.scheduling.attempt import Attempt
from clusters.embedded.scheduling.lease_requests import lease_is_ending
from waypost.workflow.conditions import MAXIMUM_STEPS, ConditionError, bind
from waypost.workflow.task import TaskSpec

CONDITION_STEPS_AT_ONCE = 500_000
"""Most steps of conditions in one step of the scheduler, about 10 ms.

Probes, renewals and all other attempts wait meanwhile.
"""


class NextAction(StrEnum):
    """The action on a task whose needs are met."""

    QUEUE = "Queue"
    SKIP = "Skip"
    """Its condition is false."""
    FAIL = "Fail"
    """Its condition cannot be evaluated."""
    POSTPONE = "Postpone"
    """The conditions of this step have cost enough: the next tick goes on."""


class Readiness(Struct, frozen=True, kw_only=True, gc=False):
    """The decision on one task, and the cost of its condition."""

    action: NextAction
    condition_steps: int = 0
    """The cost of evaluating the condition, in steps of `waypost.workflow.conditions`."""
    reason: str = ""
    """The reason for a failure; else empty."""


QUEUE = Readiness(action=NextAction.QUEUE)
POSTPONE = Readiness(action=NextAction.POSTPONE)


def may_start_tasks(attempt: Attempt, now: float, *, leftovers: bool) -> bool:
    """Whether tasks of `attempt` may start.

    `leftovers`: a stopped attempt of its shard has processes left.
    """
    if not attempt.awake or attempt.over:
        return False
    # Two attempts of one shard never overlap within a cluster: they share the workspace.
    if leftovers:
        return False
    return not (attempt.exclusive and lease_is_ending(attempt, now))


def waits_for_nothing(attempt: Attempt, task: str) -> bool:
    """Whether the task is unfinished, has all that it needs, and is not on its way already."""
    return (
        attempt.unmet_needs.get(task) == 0
        and task not in attempt.running
        and task not in attempt.queued
        and task not in attempt.due
        and not attempt.failure
    )


def readiness_of(attempt: Attempt, task: TaskSpec, steps_spent: int) -> Readiness:
    """The decision on a task that waits for nothing.

    `steps_spent`: the cost of conditions in this step of the scheduler so far.
    """
    if task.when is None:
        return QUEUE
    if steps_spent >= CONDITION_STEPS_AT_ONCE:
        return POSTPONE
    steps = 0
    try:
        bound = bind(
            task.when,
            outputs=attempt.outputs_for(task),
            params=attempt.run.params,
            shard=attempt.shard_values,
        )
        steps = bound.steps
        holds = bound.evaluate()
    except ConditionError as error:
        # One that fails may have taken as long as any.
        return Readiness(
            action=NextAction.FAIL, condition_steps=steps + MAXIMUM_STEPS, reason=f"when: {error}"
        )
    return Readiness(action=NextAction.QUEUE if holds else NextAction.SKIP, condition_steps=steps)
