"""Decides which tasks of an attempt may start, and how they queue; changes nothing."""

import msgspec

from clusters.embedded.queueing.ready_task import NEVER_ENDS, ReadyTask
from clusters.embedded.scheduling.attempt import Attempt
from clusters.embedded.scheduling.lease_requests import lease_is_ending
from waypost.condition_evaluation.messages import ConditionQuestion
from waypost.workflow.conditions import selected
from waypost.workflow.instances import task_of


def may_start_tasks(attempt: Attempt, now: float, *, leftovers: bool) -> bool:
    """Returns whether `attempt` may start tasks at all: it is awake, not over, and holds its run-lease.

    Only an exclusive attempt needs a run-lease, which must not be about to end. No attempt may start tasks
    while a stopped one of its shard still has processes (`leftovers`): they share the workspace.
    """
    if not attempt.awake or attempt.over:
        return False
    # Two attempts of one shard never overlap within a cluster: they share the workspace.
    if leftovers:
        return False
    return not (attempt.exclusive and lease_is_ending(attempt, now))


def waits_for_nothing(attempt: Attempt, task: str) -> bool:
    """Returns whether a task can be decided about: what it needs has ended, and nothing holds it up.

    That is not so while it is queued, runs or pauses before a retry, or once its attempt is ending.
    """
    return (
        attempt.unmet_needs.get(task) == 0
        and task not in attempt.fan_outs
        and task not in attempt.running
        and task not in attempt.evaluating
        and task not in attempt.queued
        and task not in attempt.due
        and not attempt.ending
    )


def condition_question(attempt: Attempt, task: str) -> ConditionQuestion | None:
    """Returns the condition of `task` with the values that it reads; None if it needs no evaluation."""
    spec = attempt.tasks[task]
    if spec.when is None or task not in attempt.evaluating:
        return None
    outputs = selected(spec.when, "tasks", attempt.outputs_for(spec))
    ending = attempt.run.ending
    seen = (
        {}
        if ending is None
        else {"status": ending.status, "failed": msgspec.to_builtins(list(ending.failed))}
    )
    return ConditionQuestion(
        text=spec.when,
        shard=attempt.shard_values,
        outputs=outputs,
        phases={name: attempt.finished[name].phase.value for name in outputs},
        ending={name: value for name, value in seen.items() if name in spec.when},
    )


def ready_task(attempt: Attempt, name: str, now: float) -> ReadyTask:
    """Returns the entry of the queue for a task, or an instance of one, that may run from `now` on."""
    return ReadyTask(
        attempt=attempt.id,
        task=name,
        run=attempt.run,
        spec=attempt.task(name),
        path=attempt.graph.paths.get(task_of(name), 1),
        deadline=NEVER_ENDS if attempt.expires_at is None else attempt.expires_at,
        since=now,
    )
