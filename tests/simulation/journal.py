"""The journal of a model cluster: its attempts, and the starts of their tasks."""

from dataclasses import dataclass, field
from typing import Any

from clusters.protocol import AttemptEnded, AttemptEndKind, AttemptId, RunSpec, ShardSpec, TaskChanged
from waypost.workflow.task_phase import TaskPhase


@dataclass
class Start:
    """One execution of a task in the simulated world; `ended` is None while it runs."""

    region: str
    attempt: AttemptId
    task: str
    exclusive: bool
    began: float
    ended: float | None = None


@dataclass
class Attempt:
    """An attempt in a model cluster's journal.

    `awake`, `running`, `fan_outs` and the lease are in memory, and lost in a restart.
    """

    spec: ShardSpec
    run: RunSpec
    finished: dict[str, TaskPhase]
    tries: dict[str, int]
    outputs: dict[str, Any] = field(default_factory=dict)
    """The outputs of finished tasks that have one."""
    ended: bool = False
    failed: bool = False
    """Whether a task has failed, so that the attempt will; in the journal."""
    awake: bool = True
    running: dict[str, tuple[float, Start]] = field(default_factory=dict)
    fan_outs: dict[str, int] = field(default_factory=dict)
    """The tasks with `forEach` that have begun, with the number of their instances."""
    lease_until: float = float("-inf")
    asked: dict[int, float] = field(default_factory=dict)
    asked_at: float = float("-inf")


@dataclass
class Journal:
    """The state of a model cluster that survives a SIGKILL."""

    incarnation: str
    seq: int = 0
    acknowledged: int = 0
    era: int = 0
    events: list[TaskChanged | AttemptEnded] = field(default_factory=list)
    attempts: dict[AttemptId, Attempt] = field(default_factory=dict)
    tombstones: set[AttemptId] = field(default_factory=set)
    highest: dict[tuple[str, int], int] = field(default_factory=dict)

    def report_task(
        self,
        identity: AttemptId,
        attempt: Attempt,
        task: str,
        phase: TaskPhase,
        now: float,
        instances: int | None = None,
    ) -> None:
        self.seq += 1
        event = TaskChanged(
            seq=self.seq,
            attempt=identity,
            task=task,
            phase=phase,
            tries=attempt.tries.get(task, 0),
            started_at=now,
            ended_at=None if phase is TaskPhase.RUNNING else now,
            next_try_at=now if phase is TaskPhase.RETRYING else None,
            output=attempt.outputs.get(task) if phase is TaskPhase.SUCCEEDED else None,
            instances=instances,
        )
        self.events.append(event)

    def report_end(self, identity: AttemptId, end: AttemptEndKind) -> None:
        self.seq += 1
        self.events.append(AttemptEnded(seq=self.seq, attempt=identity, end=end))
