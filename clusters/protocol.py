"""The messages between a gateway and a cluster, as frozen values that are sent as JSON.

An **attempt** is one hand-over of a shard to a cluster, named by (run, shard, epoch). Seconds named `uptime`
count on the cluster's monotonic clock from its `boot`; deadlines are in uptime: no wall clock decides them.
"""

from enum import StrEnum
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta, Struct

from clusters.cluster_status import ClusterStatus as ClusterStatus
from clusters.protocol_bounds import Name, Seq, Tries, Uptime, WallTime
from waypost.tracing.context import TraceContext
from waypost.workflow.instances import Instances
from waypost.workflow.secrets import SecretSpec
from waypost.workflow.stages import Ending
from waypost.workflow.task import Count, Places, Seconds, SideEffects, TaskSpec
from waypost.workflow.task_phase import TaskPhase

ERA_BITS: Final = 32
"""The number of bits of an epoch below its era: an epoch is `era << ERA_BITS | n`.

A restored store begins a new era, whose epochs outrank all older ones.
"""
OUTPUT_BYTES: Final = 64 * 1024
"""The most bytes of a task's output as JSON."""
OUTPUTS_BYTES: Final = 16 * 1_048_576
"""The most bytes of all outputs of a shard together, since they travel with its next attempt."""


class AttemptId(Struct, frozen=True, kw_only=True, gc=False, order=True):
    """The identity of one attempt of a shard: run, shard, and epoch, which only grows."""

    run: Name
    shard: Count
    epoch: Count

    def __str__(self) -> str:
        return f"{self.run}/{self.shard}, epoch {self.epoch}"


class TaskResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of a task that has ended or never runs: its phase, and its output.

    `output` is what the task wrote (64 KiB at most), or null; `reason` says why it failed or never ran.
    """

    task: str
    skipped: bool = False
    failure: TaskPhase | None = None
    """Failed, Omitted or Stopped, sent to clusters that know it alone; None: succeeded or skipped."""
    output: Any = None
    reason: str = ""
    instances: int | None = None
    """The number of instances of a task with `forEach` that succeeded; its output is the list of theirs."""

    @property
    def phase(self) -> TaskPhase:
        if self.failure is not None:
            return self.failure
        return TaskPhase.SKIPPED if self.skipped else TaskPhase.SUCCEEDED


class RunSpec(Struct, frozen=True, kw_only=True):
    """The description of a run that all its shards share: sent once per batch, not with each shard.

    Placeholders `${params.*}` are already filled in.
    """

    run: str
    tasks: tuple[TaskSpec, ...]
    params: dict[str, Any] = {}
    shard_count: Count = 1
    side_effects: SideEffects = SideEffects.IDEMPOTENT
    fail_fast: bool = True
    """Whether the first failure of a task ends those of its shard that run `onSuccess`."""
    priority: int = 5
    """The run's priority after policy has capped it; a higher one starts first among tasks of one key."""
    fairness_key: str = ""
    """The opaque name under which runs share the processors; each key has its share, whatever it runs."""
    fairness_weight: float = 1.0
    """The share of its key for each share of a key of weight 1."""
    semaphores: dict[str, Places] = {}
    """How many tasks that name a semaphore may run at once, by the semaphore's name."""
    period_seconds: Seconds | None = None
    """How often the workflow is submitted; None where it is not periodic."""
    span: TraceContext | None = None
    """The span of its submission; those of its attempts are children."""
    ending: Ending | None = None
    """How all else of the run has ended: an input of its stage `finally`, here a run of its own."""
    secrets: tuple[SecretSpec, ...] = ()
    """The secrets that its tasks get, without their values, which the cluster has itself."""


class Fence(Struct, frozen=True, kw_only=True, gc=False):
    """The deadline of a create: a cluster accepts it until `not_after`, an uptime of `boot`, in no other."""

    boot: str
    not_after: float


class ShardSpec(Struct, frozen=True, kw_only=True):
    """A request to create an attempt of a shard, with the results of the shard's earlier attempts.

    Tasks with a result do not run again. `tries` holds how often each unfinished task was started (at most
    `TRIES_CARRIED`, or the request is refused as `Invalid`), so that a failover grants no new retries. The
    gateway leaves out `results` that are lost with the old cluster's disk: those of region-scoped tasks that
    have run under another journal.
    """

    attempt: AttemptId
    item: Any = None
    fence: Fence
    expires_at: float | None = None
    """The uptime, in that boot, at which the run's deadline passes and the attempt ends as failed."""
    results: tuple[TaskResult, ...] = ()
    tries: dict[str, Count] = {}


class Renewal(Struct, frozen=True, kw_only=True, gc=False):
    """The gateway's grant of a run-lease, for request number `ask`, from whose time the lease counts."""

    attempt: AttemptId
    ask: Count


class Batch(Struct, frozen=True, kw_only=True):
    """One request of a gateway to a cluster: attempts to end (tombstones), attempts to start, lease grants.

    Repeating it is harmless. Each create request and each tombstone has an answer of its own. Tombstones are
    journalled before create requests are handled. `acknowledged` is the last event seq whose effects the
    gateway has committed. A cluster whose journal is not `incarnation` refuses the whole batch. An empty
    batch is the probe: any journal accepts it, and it is committed like any other.
    """

    incarnation: str = ""
    runs: tuple[RunSpec, ...] = ()
    creates: tuple[ShardSpec, ...] = ()
    renewals: tuple[Renewal, ...] = ()
    tombstones: tuple[AttemptId, ...] = ()
    acknowledged: Count = 0


class CreateOutcome(StrEnum):
    """The kinds of answer to a create request, which asks a cluster to start an attempt."""

    CREATED = "Created"
    EXISTS = "Exists"
    """The attempt existed already: the create was sent again after a lost answer. As good as created."""
    REFUSED = "Refused"
    """The create is never accepted under this epoch and fence; `reason` says why."""
    UNKNOWN = "Unknown"
    """No answer came, so the create is sent again. Set by the caller, never by a cluster."""


OTHER_TENANT: Final = "OtherTenant"
"""The reason of a cluster that isolates nothing, and has tasks of another fairness key."""


class CreateAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """The answer to one create request: whether the attempt was started, and if not, why.

    `reason` of a refusal: `Late`, `OtherBoot`, `Tombstoned`, `OldEpoch`, `OldEra`, `Full`, `Invalid`,
    `Unsupported` or `OtherTenant`; `detail` explains it in a sentence where that word is not enough.
    """

    attempt: AttemptId
    outcome: CreateOutcome
    reason: Annotated[str, Meta(max_length=128)] = ""
    detail: str = ""


class TombstoneAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """The answer to one tombstone (an order to end an attempt): whether the attempt is gone.

    `gone`: the tombstone is durable AND no process of the attempt is left. Where it is false, the gateway
    sends the tombstone again.
    """

    attempt: AttemptId
    gone: bool


class BatchAnswers(Struct, frozen=True, kw_only=True):
    """The answers to a `Batch`, in its order: one per create request and one per tombstone."""

    status: ClusterStatus
    creates: tuple[CreateAnswer, ...] = ()
    tombstones: tuple[TombstoneAnswer, ...] = ()


class Hello(Struct, frozen=True, kw_only=True, tag="hello"):
    """The first event of every stream, and the answer to `attempts()`: the cluster's status and attempts.

    `attempts` are those that have not ended or whose end the gateway has not acknowledged, each as (attempt,
    awake). One that is not awake starts no task until the gateway creates it again, such as one that was
    found in the journal after a restart.
    """

    status: ClusterStatus
    attempts: Annotated[tuple[tuple[AttemptId, bool], ...], Meta(max_length=50_000)]


class Beat(Struct, frozen=True, kw_only=True, tag="beat"):
    """The heartbeat event, sent once a second on a stream without other events, with the cluster's status."""

    status: ClusterStatus


class LeaseAsked(Struct, frozen=True, kw_only=True, tag="lease"):
    """The event by which an exclusive attempt requests its run-lease or its renewal; it is not journalled."""

    attempt: AttemptId
    ask: Count


class TaskChanged(Struct, frozen=True, kw_only=True, tag="task", omit_defaults=True):
    """The event that a task has started, is to be retried, or has ended or was skipped.

    It is journalled, after those of the tasks that it needs; each execution begins with `phase` Running. All
    times are the cluster's wall clock, in seconds since 1970: for people and for durations within it.
    """

    seq: Seq
    attempt: AttemptId
    task: Name
    phase: TaskPhase
    tries: Tries
    started_at: WallTime
    ended_at: WallTime | None = None
    next_try_at: WallTime | None = None
    pause_seconds: Uptime | None = None
    output: Any = None
    reason: str = ""
    instances: Instances | None = None


DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
"""The reason of an attempt that failed because its run's deadline has passed."""
LEASE_ENDED: Final = "its run-lease ended: no gateway renewed it"
"""The reason of an exclusive attempt whose run-lease ended; the tries killed for that do not count."""


class AttemptEndKind(StrEnum):
    """The ways in which an attempt of a shard ends: succeeded, failed or lost."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    """The attempt failed because a task failed for good."""
    LOST = "Lost"
    """The cluster could not go on (disk full, executor gone, lease expired); another attempt may succeed."""


class AttemptEnded(Struct, frozen=True, kw_only=True, tag="ended"):
    """The event that an attempt of a shard has ended, with none of its processes left.

    It is journalled, after the events of its tasks, all of which are finished or given up.
    """

    seq: Seq
    attempt: AttemptId
    end: AttemptEndKind
    reason: str = ""


JournalledEvent: TypeAlias = TaskChanged | AttemptEnded
"""The events with a `seq`, which are kept and sent again until the gateway acknowledges them."""

ClusterEvent: TypeAlias = Hello | Beat | LeaseAsked | JournalledEvent
"""The events that a stream carries, journalled or not."""


class LogChunk(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a task's log, with text: bytes that are not UTF-8 are replaced. `offset` is its end."""

    text: Annotated[str, Meta(min_length=1, max_length=1_048_576)]
    offset: Count
    written_at: WallTime | None = None
    """When it was written, by the cluster's clock, where that was asked for and is known."""
