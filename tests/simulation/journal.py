"""The journal of a model cluster: its attempts, and the starts of their tasks."""

from dataclasses import dataclass, field

from clusters.protocol import AttemptEnded, AttemptId, RunSpec, ShardSpec, TaskChanged
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

    `awake`, `running` and the lease are in memory, and lost in a restart.
    """

    spec: ShardSpec
    run: RunSpec
    finished: dict[str, TaskPhase]
    tries: dict[str, int]
    ended: bool = False
    awake: bool = True
    running: dict[str, tuple[float, Start]] = field(default_factory=dict)
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
