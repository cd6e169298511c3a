"""Decides what follows for a task and its attempt after an execution (try) of the task; changes nothing."""

import hashlib
from typing import TypeAlias

from msgspec import Struct

from clusters.embedded.scheduling.attempt import Attempt, size_of
from clusters.embedded.scheduling.launch import Outcome
from clusters.embedded.scheduling.lease_requests import lease_is_ending
from clusters.protocol import OUTPUTS_BYTES, TaskResult
from waypost.workflow.task import Retry


class FinishTask(Struct, frozen=True, kw_only=True):
    """The consequence of an execution (try) that succeeded: the task is finished, with this result."""

    result: TaskResult


class RetryTask(Struct, frozen=True, kw_only=True):
    """The consequence of an execution (try) that failed or was killed: the task runs again after a pause."""

    pause_seconds: float
    reason: str = ""
    """The reason why the try failed; empty for a try that the cluster itself killed."""


class FailTask(Struct, frozen=True, kw_only=True):
    """The consequence of a failure that may not be retried: the task has failed for good."""

    reason: str


class StopTask(Struct, frozen=True, kw_only=True):
    """The consequence of an execution that was ended because another task has failed (`failFast`)."""


class LoseAttempt(Struct, frozen=True, kw_only=True):
    """The consequence of a task that this cluster is unable to execute: the attempt is lost.

    The task does not count as failed, and another cluster may run it.
    """

    reason: str


class LoseLease(Struct, frozen=True, kw_only=True):
    """The consequence of an execution killed because the run-lease ended: the attempt is lost.

    Executions killed so do not use up the tasks' retries.
    """


class NoConsequence(Struct, frozen=True, kw_only=True):
    """The consequence of an execution's end in an attempt that is being ended anyway: none."""


Consequence: TypeAlias = (
    FinishTask | RetryTask | FailTask | StopTask | LoseAttempt | LoseLease | NoConsequence
)
"""The decision about a task and its attempt after a try has ended."""


def consequence_of(outcome: Outcome, attempt: Attempt, task: str, now: float) -> Consequence:
    """Decides what follows from the `outcome` of an execution of the task `task` of `attempt`."""
    if attempt.stopped:
        return NoConsequence()
    if outcome.succeeded:
        # Also where another task has failed meanwhile: the next attempt need not run this one again.
        result = TaskResult(task=task, output=outcome.output)
        if attempt.output_bytes + size_of(result) > OUTPUTS_BYTES:
            # Trying again would not help: the outputs would be as large.
            return FailTask(reason=f"the outputs of this shard have more than {OUTPUTS_BYTES >> 20} MiB")
        return FinishTask(result=result)
    if attempt.ending or attempt.ends_early(task):
        return NoConsequence() if attempt.ending else StopTask()
    return _after_bad_end(outcome, attempt, task, now)


def _after_bad_end(outcome: Outcome, attempt: Attempt, task: str, now: float) -> Consequence:
    """Decides what follows from a try that has failed, was killed, or which the cluster could not run."""
    retry, tries = attempt.task(task).retry, attempt.tries[task]
    if outcome.lost:
        if not is_retried(retry, outcome):
            return FailTask(reason=outcome.reason)
        return LoseAttempt(reason=f"task {task}: {outcome.reason}")
    if outcome.killed and attempt.exclusive and attempt.awake and lease_is_ending(attempt, now):
        return LoseLease()
    if outcome.killed:
        # By the cluster itself: no failure of the task, so it runs again at once, whatever its retry limit.
        return RetryTask(pause_seconds=0.0)
    if outcome.final or tries > retry.limit or not is_retried(retry, outcome):
        return FailTask(reason=outcome.reason)
    pause = retry_pause(retry, tries) * (1 - retry.jitter * _chance(attempt, task, tries))
    return RetryTask(pause_seconds=pause, reason=outcome.reason)


def is_retried(retry: Retry, outcome: Outcome) -> bool:
    """Returns whether `retry.on` names the way in which a try failed; by default it names all."""
    if retry.on is None:
        return True
    if outcome.timed_out:
        return "timeout" in retry.on
    if outcome.lost:
        return "lost" in retry.on
    return "failure" in retry.on or outcome.exit_code in retry.on


def retry_pause(retry: Retry, tries: int) -> float:
    """Returns the seconds of pause after execution number `tries`, without jitter: exponential back-off.

    The pause grows by `retry.factor` with each execution, and is `retry.max_seconds` at most.
    """
    # Tries that the cluster killed itself are not limited: the power of many would overflow.
    return min(retry.backoff_seconds * retry.factor ** min(tries - 1, 100), retry.max_seconds)


def _chance(attempt: Attempt, task: str, tries: int) -> float:
    """Returns a number from 0 to 1 that differs between shards, tasks and tries as if by chance.

    The same try always has the same one: the scheduler draws no random numbers.
    """
    digest = hashlib.sha256(f"{attempt.id} {task} {tries}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32
