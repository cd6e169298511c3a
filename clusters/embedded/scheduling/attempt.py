"""One attempt of a shard as this cluster holds it, and the task graph that all shards of its run share."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from clusters.protocol import AttemptId, RunSpec, ShardSpec, TaskResult
from waypost.workflow.task import SideEffects, TaskSpec

NEVER = float("-inf")


class TaskGraph:
    """The tasks of one run and their dependencies. Immutable: all shards of the run share one graph."""

    def __init__(self, run: RunSpec) -> None:
        self.run = run
        self.tasks: dict[str, TaskSpec] = {task.name: task for task in run.tasks}
        self.need_counts = {task.name: len(task.needs) for task in run.tasks}
        self.dependents: dict[str, list[str]] = {name: [] for name in self.tasks}
        for task in run.tasks:
            for need in task.needs:
                self.dependents[need].append(task.name)


@dataclass(kw_only=True, slots=True, repr=False)
class Attempt:
    """The state of one attempt.

    Journalled are `spec`, `finished`, `tries`, `failure`, `end_seq` and `ended_at`; the rest is of one boot.
    """

    spec: ShardSpec
    graph: TaskGraph
    finished: dict[str, TaskResult]
    """Results by task, those of earlier epochs included."""
    tries: dict[str, int]
    """How often each task was started, tries of earlier epochs included."""
    shard_values: dict[str, Any] = field(init=False)
    """The values of `shard` in placeholders and conditions."""
    unmet_needs: dict[str, int] = field(init=False)
    """For each unfinished task, how many tasks that it needs are unfinished too."""
    output_bytes: int = field(init=False)
    """Size of all outputs in `finished`, as JSON."""
    awake: bool = True
    """Whether its tasks may start; false for one found in the journal, until it is created again."""
    running: dict[str, float] = field(default_factory=dict)
    """Tasks with a try under way, and when the try began, in seconds since 1970."""
    evaluating: set[str] = field(default_factory=set)
    """Tasks whose condition is being evaluated. Not journalled: it is evaluated again."""
    queued: set[str] = field(default_factory=set)
    """Tasks that wait for a processor."""
    due: dict[str, float] = field(default_factory=dict)
    """Tasks that wait for an uptime: the end of a pause before a retry, or the next tick."""
    interrupted_pauses: dict[str, float] = field(default_factory=dict)
    """Pauses before a retry that a restart has interrupted, and the end of each in seconds since 1970."""
    failure: str = ""
    """The reason for which the attempt will end as failed or lost; empty while it goes on."""
    lost: bool = False
    """Whether the failure is one of this cluster, not of a task: another cluster may carry on."""
    stopped: bool = False
    """Whether it is tombstoned or superseded: no task of it starts any more, and no event reports its end."""
    end_seq: int = 0
    """The seq of the event that reported its end; 0 until then."""
    ended_at: float = 0.0
    """The time of its end, in seconds since 1970; 0 until then."""
    expires_at: float | None = None
    """The uptime at which its run's deadline passes, as the newest create says; None: there is none."""
    lease_until: float = NEVER
    """The uptime at which its run-lease ends. Exclusive attempts only, as the two fields below."""
    next_lease_request_at: float = NEVER
    """The uptime at which its lease is requested again."""
    lease_requests: dict[int, float] = field(default_factory=dict)
    """Requests that may still be granted, by number, and the uptime at which each was made."""

    def __post_init__(self) -> None:
        self.shard_values = {
            "index": self.id.shard,
            "count": self.run.shard_count,
            "item": self.spec.item,
        }
        self.output_bytes = sum(map(size_of, self.finished.values()))
        self.unmet_needs = dict(self.graph.need_counts)
        for name in self.finished:
            self.unmet_needs.pop(name, None)
        for name in self.finished:
            for dependent in self.dependents.get(name, ()):
                if dependent in self.unmet_needs:
                    self.unmet_needs[dependent] -= 1

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
        """Whether the attempt has ended or was stopped, so that none of its tasks starts any more.

        Processes of a stopped attempt may still be left.
        """
        return self.stopped or self.end_seq > 0

    @property
    def succeeded(self) -> bool:
        return self.end_seq > 0 and not self.unmet_needs

    def outputs_for(self, task: TaskSpec) -> dict[str, Any]:
        """The outputs of the tasks that `task` needs, all of them finished."""
        return {need: self.finished[need].output for need in task.needs}


def size_of(result: TaskResult) -> int:
    """The bytes of a result's output, as JSON; 0 where there is none."""
    return 0 if result.output is None else len(msgspec.json.encode(result.output))
