"""The values `Launch` (one execution of a task, for an executor to run) and `Outcome` (how it ended)."""

from typing import Any, Final

from msgspec import Struct, structs

from clusters.embedded.scheduling.attempt import Attempt
from clusters.embedded.secrets.values import NO_SECRETS, Secrets
from clusters.protocol import AttemptId
from waypost.tracing.context import TraceContext
from waypost.workflow.artifacts import FILLED_IN, is_artifact
from waypost.workflow.instances import instance_of
from waypost.workflow.placeholders import FILLED_CHARACTERS, PlaceholderError, render
from waypost.workflow.secrets import SecretSpec, secrets_of
from waypost.workflow.task import TaskSpec

LARGE_INPUT_BYTES: Final = 64 * 1024
"""The size from which on an input is written on a thread, so that the event loop need not wait for it."""


class Launch(Struct, frozen=True, kw_only=True):
    """One execution (try) of a task, with everything that an executor needs to run it."""

    attempt: AttemptId
    task: TaskSpec
    """The task with all placeholders filled in, and without the fields that no executor reads."""
    tries: int
    """The number of this try, counted from 1 over all epochs."""
    input: dict[str, Any]
    """The JSON input of the task: params, shard, source, target, and outputs of earlier tasks."""
    large_input: bool = False
    """Whether `input` may have more than `LARGE_INPUT_BYTES` as JSON, by the outputs of its attempt."""
    exclusive: bool
    fairness_key: str = ""
    """The key of its run, else the run's name: what serves one key must not serve another after it."""
    secret_specs: tuple[SecretSpec, ...] = ()
    """The secrets that the task gets, without their values."""
    secrets: Secrets = NO_SECRETS
    """The secrets with their values, for the executor alone: empty until the try begins."""
    span: TraceContext | None = None
    """The span of this try; None if the gateway gave the run none."""
    waited_seconds: float = 0.0
    """The seconds for which the task was ready before this try."""


class Outcome(Struct, frozen=True, kw_only=True):
    """The outcome of a task's execution: success with an output, or failure, with a sentence as `reason`."""

    succeeded: bool
    output: Any = None
    reason: str = ""
    killed: bool = False
    """Whether the cluster itself ended the try (lease, order of the gateway, shutdown): no failure."""
    final: bool = False
    """Whether a failed task must not be tried again: in vain, or because its effect must not come twice."""
    lost: bool = False
    """Whether this cluster cannot run the task (disk full, no descriptors left); another may."""
    timed_out: bool = False
    """Whether the try took longer than the task's `timeoutSeconds`."""
    exit_code: int | None = None
    """The exit code of a command that failed, 128 + N for signal N as shells have it; None for no command."""

    @property
    def word(self) -> str:
        """Returns the outcome as a word for metrics: Succeeded, Failed, Killed or Lost."""
        if self.succeeded:
            return "Succeeded"
        return "Killed" if self.killed else "Lost" if self.lost else "Failed"


def next_launch(attempt: Attempt, name: str, waited_seconds: float) -> Launch:
    """Builds the next execution of a task or instance, with the placeholders of its shard filled in.

    Raises `PlaceholderError` for a placeholder that is malformed, or names a value that the shard or the
    outputs of the tasks that it needs lack, where outputs would add too much, and where they would make an
    artifact of what was none when policy saw it.
    """
    task = attempt.task(name)
    shard, outputs, each = attempt.shard_values, attempt.outputs_for(task), _item_values(attempt, name)
    values = {"shard": shard, "tasks": outputs, **each}
    parts = (task.run, task.source, task.target)
    run, source, target = render(parts, values, last=True, maximum=FILLED_CHARACTERS)
    if any(is_artifact(a) and not is_artifact(b) for a, b in ((source, task.source), (target, task.target))):
        raise PlaceholderError(FILLED_IN)
    tries, of_run = attempt.tries.get(name, 0) + 1, attempt.run.span
    # Only what an executor reads: when, needs and priority have had their effect.
    rendered = TaskSpec(
        name=name,
        type=task.type,
        run=run,
        timeout_seconds=task.timeout_seconds,
        outputs=task.outputs,
        resources=task.resources,
        retry=task.retry,
    )
    return Launch(
        attempt=attempt.id,
        task=rendered,
        tries=tries,
        input={
            "params": attempt.run.params,
            "shard": shard,
            "source": source,
            "target": target,
            "outputs": outputs,
            **each,
        }
        | _ending_of(attempt)
        | _phases_for(attempt, task),
        large_input=attempt.output_bytes > LARGE_INPUT_BYTES,
        exclusive=attempt.exclusive,
        fairness_key=attempt.run.fairness_key or attempt.run.run,
        secret_specs=secrets_of(task, attempt.run.secrets),
        span=of_run and of_run.of_attempt(*attempt.shard, attempt.id.epoch).of_try(name, tries),
        waited_seconds=waited_seconds,
    )


def _phases_for(attempt: Attempt, task: TaskSpec) -> dict[str, Any]:
    """Returns the part of the input that says how what a task needs has ended, where that is not known."""
    if not attempt.graph.goes_on_after_failure:
        return {}
    return {"phases": {need: attempt.finished[need].phase for need in task.needs}}


def _ending_of(attempt: Attempt) -> dict[str, Any]:
    """Returns the inputs of a task of `finally`: `status`, `reason` and `failed`; none for any other task."""
    return {} if attempt.run.ending is None else structs.asdict(attempt.run.ending)


def _item_values(attempt: Attempt, name: str) -> dict[str, Any]:
    """Returns the item and the index of an instance; nothing for a task without instances."""
    instance = instance_of(name)
    if instance is None:
        return {}
    task, index = instance
    return {"item": attempt.fan_outs[task].items[index], "index": index}
