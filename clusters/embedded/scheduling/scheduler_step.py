"""One step of the scheduler: the records to be journalled, and the actions to be taken after that."""

from dataclasses import dataclass, field

from msgspec import Struct

from clusters.embedded.ownership import Owner
from clusters.embedded.scheduling.launch import Launch
from clusters.protocol import AttemptId, JournalledEvent, LeaseAsked, RunSpec, ShardSpec, TaskResult


class TaskRecord(Struct, frozen=True, kw_only=True):
    """A task's row in the journal: how often it was started, its next try's time, and its result."""

    attempt: AttemptId
    task: str
    tries: int
    """The number of times that the task was started."""
    due: float = 0.0
    """End of the pause before the next try, in seconds since 1970; 0: no pause.

    Of all clocks only the wall clock goes on while the cluster is down.
    """
    result: TaskResult | None = None
    """The task's result; None: it is not finished."""


@dataclass(kw_only=True, slots=True)
class Step:
    """The decision of one call of the scheduler: records to journal, and actions to take only after that."""

    now: float
    """The cluster's uptime, in seconds."""
    wall: float
    """Seconds since 1970."""

    # Records

    runs: list[RunSpec] = field(default_factory=list)
    created: list[ShardSpec] = field(default_factory=list)
    tasks: list[TaskRecord] = field(default_factory=list)
    events: list[JournalledEvent] = field(default_factory=list)
    failures: list[tuple[AttemptId, str]] = field(default_factory=list)
    """Attempts of which a task has failed for good, and why."""
    tombstones: list[AttemptId] = field(default_factory=list)
    expired: list[AttemptId] = field(default_factory=list)
    """Ended attempts and tombstones past their retention: their rows are deleted."""
    acknowledged: int = 0
    """The last event seq that the gateway has committed; 0: unchanged."""
    incarnation: str = ""
    """The journal's new name; empty: unchanged. Resets `acknowledged`."""
    owner: Owner | None = None
    """The cluster's new owner; None: unchanged. Resets `acknowledged`, which the former owner had sent."""

    # Actions

    launches: list[Launch] = field(default_factory=list)
    kills: list[tuple[AttemptId, str]] = field(default_factory=list)
    """Tries to end, as (attempt, task)."""
    lease_requests: list[LeaseAsked] = field(default_factory=list)
    leases: list[tuple[AttemptId, float]] = field(default_factory=list)
    """Exclusive attempts whose lease was renewed, and the uptime at which it now ends."""
    evaluations: list[tuple[AttemptId, str]] = field(default_factory=list)
    """Tasks whose condition is to be evaluated, as (attempt, task); `Scheduler.record_conditions` takes the
    answers.
    """

    @property
    def has_records(self) -> bool:
        """Whether the step has any record to journal."""
        records = (
            self.runs
            or self.created
            or self.tasks
            or self.events
            or self.failures
            or self.tombstones
            or self.expired
        )
        return bool(records or self.acknowledged or self.incarnation or self.owner)
