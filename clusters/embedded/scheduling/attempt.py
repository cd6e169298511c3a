"""The state of one attempt of a shard in a cluster, and the task graph that all shards of its run share."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

from clusters.features import goes_on_after_failure
from clusters.protocol import DEADLINE_EXCEEDED, AttemptId, RunSpec, ShardSpec, TaskResult
from waypost.workflow.graph import longest_paths
from waypost.workflow.instances import instance_name, instance_of, task_of
from waypost.workflow.task import SideEffects, TaskSpec
from waypost.workflow.task_phase import TaskPhase
from waypost.workflow.trigger_rule import decide

NEVER = float("-inf")


class TaskGraph:
    """The tasks of one run and their dependencies, immutable and shared by all shards of the run."""

    def __init__(self, run: RunSpec) -> None:
        self.run = run
        self.tasks: dict[str, TaskSpec] = {task.name: task for task in run.tasks}
        self.need_counts = {task.name: len(task.needs) for task in run.tasks}
        self.goes_on_after_failure = goes_on_after_failure(run.tasks, fail_fast=run.fail_fast)
        """Whether its other tasks are decided about after a failure; else that ends the attempt."""
        self.tolerated = frozenset(task.name for task in run.tasks if task.continue_on_failure)
        self.dependents: dict[str, list[str]] = {name: [] for name in self.tasks}
        for task in run.tasks:
            for need in task.needs:
                self.dependents[need].append(task.name)
        self.paths = longest_paths(run.tasks)
        """The number of tasks on the longest path that begins with each task, where that is more than one."""


@dataclass(kw_only=True, slots=True)
class FanOut:
    """The instances of a task with `forEach` in one attempt, from the moment in which the task may run."""

    items: list[Any]
    left: int
    """The number of instances that have no result yet."""
    began: float
    """When it began, in seconds since 1970."""
    failure: str = ""
    """The first failure of an instance, as the reason of its task; empty while there is none."""
    next: int = 0
    """The index of the first instance that was never queued, or may have been taken off the queue."""
    ends_others: bool = False
    """Whether its other instances are being ended, since one has failed for good."""


@dataclass(kw_only=True, slots=True, repr=False)
class Attempt:
    """The state of one attempt of a shard in a cluster: its waiting, running and finished tasks, and its end.

    In the journal are `spec`, `finished`, `tries`, `failure`, `end_seq` and `ended_at`; the other fields are
    lost when the cluster's process ends.
    """

    spec: ShardSpec
    graph: TaskGraph
    finished: dict[str, TaskResult]
    """The results of the tasks that have ended or never run, by name, those of earlier epochs included."""
    tries: dict[str, int]
    """The number of times that each task was started, tries of earlier epochs included."""
    shard_values: dict[str, Any] = field(init=False)
    """The values of `shard` in placeholders and conditions: index, count and item."""
    unmet_needs: dict[str, int] = field(init=False)
    """For each task without a result, the number of tasks that it needs and that have none either."""
    output_bytes: int = field(init=False)
    """The size of all outputs in `finished`, as JSON, in bytes."""
    awake: bool = True
    """Whether its tasks may start; false after a restart, until the gateway creates the attempt again."""
    running: dict[str, float] = field(default_factory=dict)
    """The tasks with a try under way, and when the try began, in seconds since 1970."""
    started: dict[str, float] = field(default_factory=dict)
    """The uptimes at which the tries under way began."""
    evaluating: set[str] = field(default_factory=set)
    """The tasks whose condition is being evaluated. Not journalled: a restart evaluates it again."""
    queued: set[str] = field(default_factory=set)
    """The tasks that wait for a processor."""
    due: dict[str, float] = field(default_factory=dict)
    """The tasks that wait for a time (an uptime): the end of a pause before a retry, or the next tick."""
    interrupted_pauses: dict[str, float] = field(default_factory=dict)
    """The pauses before a retry that a restart interrupted, and the end of each in seconds since 1970."""
    undecided: deque[str] | None = None
    """The tasks that may have become ready, while they are decided about; None at any other time."""
    fan_outs: dict[str, FanOut] = field(default_factory=dict)
    """The tasks with `forEach` that have begun. Not journalled: after a restart each begins again."""
    instances: int = field(init=False)
    """The number of instances that its tasks have had, those of earlier epochs included."""
    failure: str = ""
    """The reason for which the attempt will end as failed or lost: the first; empty while there is none."""
    ending: bool = False
    """Whether no task of the attempt starts any more, because of `failure`."""
    lost: bool = False
    """Whether the failure is one of this cluster, not of a task: another cluster may resume the attempt."""
    stopped: bool = False
    """Whether the gateway ended or replaced the attempt: no task starts, and no event reports its end."""
    end_seq: int = 0
    """The seq of the event that reported the attempt's end; 0 until then."""
    ended_at: float = 0.0
    """The time of the attempt's end, in seconds since 1970; 0 until then."""
    expires_at: float | None = None
    """The uptime at which the run's deadline passes, by the newest create; None for no deadline."""
    lease_until: float = NEVER
    """The uptime at which the attempt's run-lease ends. Exclusive attempts only, as the two fields below."""
    next_lease_request_at: float = NEVER
    """The uptime at which the attempt's lease is requested again."""
    lease_requests: dict[int, float] = field(default_factory=dict)
    """The lease requests that may still be granted, by number, and the uptime at which each was made."""

    def __post_init__(self) -> None:
        self.shard_values = {
            "index": self.id.shard,
            "count": self.run.shard_count,
            "item": self.spec.item,
        }
        self.output_bytes = sum(map(size_of, self.finished.values()))
        self.instances = sum([result.instances or 0 for result in self.finished.values()])
        self.unmet_needs = dict(self.graph.need_counts)
        for name in self.finished:
            self.unmet_needs.pop(name, None)
        # No task waits for what an earlier epoch has finished.
        for name in self.finished:
            for dependent in self.dependents.get(name, ()):
                if dependent in self.unmet_needs:
                    self.unmet_needs[dependent] -= 1
        self.failure = self.failure or self._first_failure()
        # After a failure that is read from the journal; its deadline has passed for all of its tasks.
        self.ending = bool(self.failure) and (
            not self.graph.goes_on_after_failure or self.failure == DEADLINE_EXCEEDED
        )

    def _first_failure(self) -> str:
        """Returns the first failure among the results of earlier attempts, which are in the order of it."""
        failed = (
            f"task {result.task}: {result.reason}"
            for result in self.spec.results
            if result.failure is TaskPhase.FAILED
            and result.task not in self.graph.tolerated
            # An instance has failed: its task decides, when it begins again.
            and instance_of(result.task) is None
        )
        return next(failed, "")

    def __repr__(self) -> str:
        if self.end_seq:
            state = f"ended with event {self.end_seq}"
        elif self.stopped:
            state = "stopped"
        else:
            state = "awake" if self.awake else "asleep"
        parts = [
            f"Attempt({self.id}: {state}",
            f"{len(self.finished)} of {len(self.tasks)} finished",
            f"running {sorted(self.running)}",
            f"queued {sorted(self.queued)}",
            f"due {self.due}",
        ]
        if self.evaluating:
            parts.append(f"evaluating {sorted(self.evaluating)}")
        if self.exclusive:
            parts.append(f"lease until {self.lease_until:.3f}")
        if self.failure:
            parts.append(f"{'lost' if self.lost else 'failed'}: {self.failure}")
        return ", ".join(parts) + ")"

    @property
    def run(self) -> RunSpec:
        return self.graph.run

    @property
    def tasks(self) -> dict[str, TaskSpec]:
        return self.graph.tasks

    def task(self, name: str) -> TaskSpec:
        """Returns the task of the document that `name` is, or is an instance of."""
        task = self.graph.tasks.get(name)
        return self.graph.tasks[task_of(name)] if task is None else task

    @property
    def dependents(self) -> dict[str, list[str]]:
        return self.graph.dependents

    @property
    def id(self) -> AttemptId:
        return self.spec.attempt

    @property
    def shard(self) -> tuple[str, int]:
        return (self.spec.attempt.run, self.spec.attempt.shard)

    @property
    def exclusive(self) -> bool:
        return self.run.side_effects is SideEffects.EXCLUSIVE

    @property
    def over(self) -> bool:
        """Returns whether the attempt has ended or was stopped, so that none of its tasks starts any more.

        Processes of a stopped attempt may still be left.
        """
        return self.stopped or self.end_seq > 0

    @property
    def succeeded(self) -> bool:
        return self.end_seq > 0 and not self.failure

    def finish(self, result: TaskResult) -> None:
        """Adds the result of a task, or of an instance: what needs the task waits for it no longer."""
        self.finished[result.task] = result
        self.output_bytes += size_of(result)
        self.unmet_needs.pop(result.task, None)
        for dependent in self.dependents.get(result.task, ()):
            if dependent in self.unmet_needs:
                self.unmet_needs[dependent] -= 1

    def ends_early(self, task: str) -> bool:
        """Returns whether a task is ended, or never begun, because another has failed (`failFast`).

        An instance of a task that has failed, or fails since another instance has, is ended, too.
        """
        instance = instance_of(task)
        if instance is not None and (instance[0] in self.finished or self.fails_with_instance(instance[0])):
            return True
        return bool(self.failure) and self.run.fail_fast and self.task(task).runs in (None, "onSuccess")

    def fails_with_instance(self, task: str) -> bool:
        """Returns whether an instance has failed of a `task` that does not let its others go on then."""
        fan_out = self.fan_outs.get(task)
        if fan_out is None or not fan_out.failure:
            return False
        return self.run.fail_fast and not self.tasks[task].continue_on_failure

    def why_stopped(self, task: str) -> str:
        """Returns why a task or an instance is ended: the first failure, or that of another instance."""
        fan_out = self.fan_outs.get(task_of(task))
        return self.failure or (fan_out.failure if fan_out is not None else "")

    def result_without_run(self, task: TaskSpec) -> TaskResult | None:
        """Decides about `task`, all of whose needs have a result: None if it may run, else its result."""
        unrun = decide(
            task,
            {need: self.finished[need].phase for need in task.needs},
            tolerated=self.graph.tolerated,
            failure=self.failure if self.run.fail_fast else "",
        )
        if unrun is None:
            return None
        skipped = unrun.phase is TaskPhase.SKIPPED
        failure = None if skipped else unrun.phase
        return TaskResult(task=task.name, skipped=skipped, failure=failure, reason=unrun.reason)

    def outputs_for(self, task: TaskSpec) -> dict[str, Any]:
        """Returns the outputs of the tasks that `task` needs, by name; each of them must have a result."""
        return {need: self._output_of(self.finished[need]) for need in task.needs}

    def _output_of(self, result: TaskResult) -> Any:
        if result.instances is None:
            return result.output
        names = (instance_name(result.task, index) for index in range(result.instances))
        return [self.finished[name].output for name in names]


def size_of(result: TaskResult) -> int:
    """Returns the size in bytes of a task result's output as JSON; 0 where the result has no output."""
    return 0 if result.output is None else len(msgspec.json.encode(result.output))
