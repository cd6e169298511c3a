"""What the scheduler knows of an attempt, and what one step of it asks the outside to do."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from clusters.embedded.scheduling.ownership import Owner
from clusters.protocol import AttemptEnded, AttemptId, LeaseAsked, RunSpec, ShardSpec, TaskChanged, TaskResult
from waypost.workflow.task import SideEffects, TaskSpec

NEVER = float("-inf")


class Launch(Struct, frozen=True, kw_only=True):
    """One try of one task, ready to run: placeholders are filled in, `input` is the JSON that the task may read."""

    attempt: AttemptId
    task: TaskSpec
    tries: int
    input: dict[str, Any]
    exclusive: bool


class Outcome(Struct, frozen=True, kw_only=True):
    """How a try ended. `killed`: by us, which is no fault of the task. `lost`: this cluster cannot run it, another may."""

    succeeded: bool
    output: Any = None
    reason: str = ""
    killed: bool = False
    lost: bool = False


class TaskState(Struct, frozen=True, kw_only=True):
    """A task's row in the journal: how often it was started, when it is due again, and its result once it has one."""

    attempt: AttemptId
    task: str
    tries: int
    due: float = 0.0
    """Wall clock of the end of the pause before the next try: no other clock goes on when the cluster does not."""
    result: TaskResult | None = None


class Past(Struct, frozen=True, kw_only=True, gc=False):
    """What is still known of an attempt when the gateway has acknowledged its end."""

    end_seq: int
    at: float
    """Wall clock of its end."""
    succeeded: bool


class Plan:
    """A run's tasks, shared by all of its shards."""

    def __init__(self, run: RunSpec) -> None:
        self.run = run
        self.tasks: dict[str, TaskSpec] = {task.name: task for task in run.tasks}
        self.needs = {task.name: len(task.needs) for task in run.tasks}
        self.dependents: dict[str, list[str]] = {name: [] for name in self.tasks}
        for task in run.tasks:
            for need in task.needs:
                self.dependents[need].append(task.name)


def size_of(result: TaskResult) -> int:
    """Bytes of a result's output, as JSON."""
    return 0 if result.output is None else len(msgspec.json.encode(result.output))


@dataclass(kw_only=True, slots=True)
class Step:
    """What has changed, to be journalled in one transaction BEFORE anything in the second half is done."""

    now: float
    """The cluster's uptime."""
    wall: float
    """Seconds since 1970, for people."""

    runs: list[RunSpec] = field(default_factory=list)
    attempts: list[ShardSpec] = field(default_factory=list)
    tasks: list[TaskState] = field(default_factory=list)
    events: list[TaskChanged | AttemptEnded] = field(default_factory=list)
    failures: list[tuple[AttemptId, str]] = field(default_factory=list)
    """Attempts of which a task has failed for good, and why."""
    tombstones: list[AttemptId] = field(default_factory=list)
    forgotten: list[AttemptId] = field(default_factory=list)
    """Attempts and tombstones that nobody can ask for any more."""
    acknowledged: int = 0
    incarnation: str = ""
    owner: Owner | None = None
    """Another one from now on; what the one before has acknowledged counts no more."""
    condition_steps: int = 0
    """What the conditions evaluated in it took, in the steps of `waypost.workflow.conditions`."""

    launches: list[Launch] = field(default_factory=list)
    kills: list[tuple[AttemptId, str]] = field(default_factory=list)
    asks: list[LeaseAsked] = field(default_factory=list)
    leases: list[tuple[AttemptId, float]] = field(default_factory=list)
    """Exclusive attempts whose lease now ends at this uptime."""

    @property
    def durable(self) -> bool:
        """Is there anything to write?"""
        written = (
            self.runs
            or self.attempts
            or self.tasks
            or self.events
            or self.failures
            or self.tombstones
            or self.forgotten
        )
        return bool(written or self.acknowledged or self.incarnation or self.owner)


@dataclass(kw_only=True, slots=True)
class Attempt:
    """One attempt. `awake`, `running`, `due` and the lease are of this boot; the rest is journalled."""

    spec: ShardSpec
    plan: Plan
    finished: dict[str, TaskResult]
    tries: dict[str, int]
    missing: dict[str, int] = field(default_factory=dict)
    """How many of its needs each unfinished task still waits for."""
    output_bytes: int = 0
    """What the results hold together, as JSON."""
    awake: bool = True
    running: dict[str, float] = field(default_factory=dict)
    """When each try began, by the cluster's wall clock."""
    queued: set[str] = field(default_factory=set)
    due: dict[str, float] = field(default_factory=dict)
    """Retries that wait for their back-off, by uptime."""
    paused: dict[str, float] = field(default_factory=dict)
    """Those that did so when the cluster ended, by the wall clock."""
    failed: str = ""
    """A task failed for good, or the attempt is lost: why. The rest is being stopped."""
    lost: bool = False
    """This cluster could not carry on: no fault of a task."""
    stopped: bool = False
    """Tombstoned or superseded: nothing more starts."""
    end_seq: int = 0
    """The event that told of its end; 0 while it goes on."""
    at: float = 0.0
    """Wall clock of its creation, then of its end."""
    lease_until: float = NEVER
    ask_at: float = NEVER
    """When its lease is to be asked for again."""
    asked: dict[int, float] = field(default_factory=dict)
    """The asks that may still be answered, and when each was made."""

    @property
    def run(self) -> RunSpec:
        return self.plan.run

    @property
    def tasks(self) -> dict[str, TaskSpec]:
        return self.plan.tasks

    @property
    def dependents(self) -> dict[str, list[str]]:
        return self.plan.dependents

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
        return self.stopped or self.end_seq > 0

    @property
    def succeeded(self) -> bool:
        return self.end_seq > 0 and not self.missing

    def prepare(self) -> None:
        """Counts what each unfinished task waits for."""
        self.output_bytes = sum(map(size_of, self.finished.values()))
        self.missing = dict(self.plan.needs)
        for name in self.finished:
            self.missing.pop(name, None)
        for name in self.finished:
            for dependent in self.dependents.get(name, ()):
                if dependent in self.missing:
                    self.missing[dependent] -= 1
