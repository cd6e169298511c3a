"""What a model cluster keeps: its journal, the attempts in it, and what the world saw of their tasks."""

from dataclasses import dataclass, field

from clusters.protocol import AttemptEnded, AttemptId, RunSpec, ShardSpec, TaskChanged, TaskPhase


@dataclass
class Start:
    """One execution of a task, as the world saw it: `ended` None while it runs."""

    region: str
    attempt: AttemptId
    task: str
    exclusive: bool
    began: float
    ended: float | None = None


@dataclass
class Attempt:
    """Journalled, but for `awake`, `running` and the lease, which a restart takes away."""

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
    """What survives a SIGKILL."""

    incarnation: str
    seq: int = 0
    acknowledged: int = 0
    era: int = 0
    events: list[TaskChanged | AttemptEnded] = field(default_factory=list)
    attempts: dict[AttemptId, Attempt] = field(default_factory=dict)
    tombstones: set[AttemptId] = field(default_factory=set)
    highest: dict[tuple[str, int], int] = field(default_factory=dict)
