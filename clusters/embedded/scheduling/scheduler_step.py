"""The types of what a scheduler starts from, and of its decisions (steps), which the journal keeps.

A step has records to journal, and actions to take after that.
"""

from dataclasses import dataclass, field

from msgspec import Struct

from clusters.embedded.ownership import Owner
from clusters.embedded.scheduling.attempt import Attempt
from clusters.embedded.scheduling.launch import Launch
from clusters.embedded.scheduling.retention import EndedAttempt
from clusters.protocol import AttemptId, JournalledEvent, LeaseAsked, RunSpec, ShardSpec, TaskResult


class TaskRecord(Struct, frozen=True, kw_only=True):
    """A task's row in the journal: its number of executions (tries), the time of the next, its result."""

    attempt: AttemptId
    task: str
    tries: int
    """The number of times that the task was started."""
    due: float = 0.0
    """The end of the pause before the next try, in seconds since 1970; 0 for no pause.

    Of all clocks only the wall clock goes on while the cluster is down.
    """
    result: TaskResult | None = None
    """The task's result; None while the task is not finished."""


@dataclass(kw_only=True)
class RecoveredState:
    """The state of a cluster after a restart; its default values are the state of a new cluster."""

    incarnation: str
    owner: Owner = field(default_factory=Owner)
    seq: int = 0
    """The sequence number (seq) of the newest event."""
    acknowledged: int = 0
    """The seq of the last event whose effects the gateway has committed."""
    attempts: list[Attempt] = field(default_factory=list)
    """The attempts that go on, and those whose end is not acknowledged yet."""
    ended: dict[AttemptId, EndedAttempt] = field(default_factory=dict)
    """The attempts whose end was acknowledged."""
    tombstones: dict[AttemptId, float] = field(default_factory=dict)
    """The times, in seconds since 1970, at which the gateway ordered attempts to end (tombstones)."""
    highest: dict[tuple[str, int], int] = field(default_factory=dict)
    """The newest epoch for which a create or an order to end was taken here, by (run, shard)."""
    tenants: frozenset[str] = frozenset()
    """The fairness keys of which the cluster has tasks or files."""


@dataclass(kw_only=True, slots=True)
class Step:
    """The decision made by one call of the scheduler: records to journal, then actions to carry out.

    No action is carried out before the records are durable.
    """

    now: float
    """The cluster's uptime at the call, in seconds."""
    wall: float
    """The wall-clock time of the call, in seconds since 1970."""

    # Records

    runs: list[RunSpec] = field(default_factory=list)
    tenants: list[str] = field(default_factory=list)
    """The fairness keys of which the cluster had no files before."""
    tenants_gone: bool = False
    """Whether the cluster has no files of any key any more."""
    created: list[ShardSpec] = field(default_factory=list)
    tasks: list[TaskRecord] = field(default_factory=list)
    events: list[JournalledEvent] = field(default_factory=list)
    failures: list[tuple[AttemptId, str]] = field(default_factory=list)
    """The attempts of which a task has failed for good, each with the reason."""
    tombstones: list[AttemptId] = field(default_factory=list)
    expired: list[AttemptId] = field(default_factory=list)
    """The ended attempts and tombstones (orders to end one) past retention, whose rows are deleted."""
    acknowledged: int = 0
    """The last event seq that the gateway has committed; 0 where it is unchanged."""
    incarnation: str = ""
    """The journal's new name; empty where it is unchanged. Resets `acknowledged`."""
    owner: Owner | None = None
    """The cluster's new owner; None where it is unchanged.

    Resets `acknowledged`, which the former owner had sent.
    """

    # Actions

    launches: list[Launch] = field(default_factory=list)
    kills: list[tuple[AttemptId, str]] = field(default_factory=list)
    """The tries to kill, as (attempt, task)."""
    lease_requests: list[LeaseAsked] = field(default_factory=list)
    leases: list[tuple[AttemptId, float]] = field(default_factory=list)
    """The exclusive attempts whose lease was renewed, and the uptime at which it now ends."""
    evaluations: list[tuple[AttemptId, str]] = field(default_factory=list)
    """The tasks whose condition is to be evaluated, as (attempt, task).

    `Scheduler.record_conditions` takes the answers.
    """

    @property
    def has_records(self) -> bool:
        """Returns whether the scheduler decision (step) has any record to write to the journal."""
        records = (
            self.runs
            or self.created
            or self.tasks
            or self.events
            or self.failures
            or self.tombstones
            or self.expired
            or self.tenants
            or self.tenants_gone
        )
        return bool(records or self.acknowledged or self.incarnation or self.owner)
