"""What a gateway and a cluster say to each other: frozen values, the same in memory and on the wire.

An **attempt** is one hand-over of one shard to one cluster, named by (run, shard, epoch). Seconds named `uptime` are counted
on the cluster's own monotonic clock since its `boot`, so that no wall clock decides anything.
"""

from enum import StrEnum
from typing import Any, Final, TypeAlias

from msgspec import Struct

from waypost.workflow.task import Count, SideEffects, TaskSpec

ERA_BITS: Final = 32
"""An epoch is `era << ERA_BITS | n`: a restored store raises its era, and every epoch of it outranks all older ones."""


class AttemptId(Struct, frozen=True, kw_only=True, gc=False, order=True):
    """One hand-over of a shard."""

    run: str
    shard: Count
    epoch: Count

    def __str__(self) -> str:
        return f"{self.run}/{self.shard}, epoch {self.epoch}"


class TaskResult(Struct, frozen=True, kw_only=True):
    """What a finished task left behind; `output` is the JSON that it wrote (64 KiB at most) or null."""

    task: str
    skipped: bool = False
    output: Any = None


class RunSpec(Struct, frozen=True, kw_only=True):
    """What all shards of a run share: sent once a batch, however many shards go with it. `${params.*}` is already rendered."""

    run: str
    tasks: tuple[TaskSpec, ...]
    params: dict[str, Any] = {}
    shard_count: Count = 1
    side_effects: SideEffects = SideEffects.IDEMPOTENT


class Fence(Struct, frozen=True, kw_only=True, gc=False):
    """Until when a create may be taken: an uptime of one boot of the cluster. Another boot never takes it."""

    boot: str
    not_after: float


class ShardSpec(Struct, frozen=True, kw_only=True):
    """One attempt to create, with what earlier epochs finished: those tasks are not run again.

    `tries` holds how often unfinished tasks were already started, so that a failover grants no new retries.
    `results` of a task that must be made again (a `region` result of another journal) are left out by the gateway.
    """

    attempt: AttemptId
    item: Any = None
    fence: Fence
    results: tuple[TaskResult, ...] = ()
    tries: dict[str, Count] = {}


class Renewal(Struct, frozen=True, kw_only=True, gc=False):
    """The gateway's grant of the run-lease that the cluster asked for as `ask`; it counts from the asking."""

    attempt: AttemptId
    ask: Count


class Batch(Struct, frozen=True, kw_only=True):
    """Everything a gateway has to say to one cluster in one call. Each item has its own answer; repeating is harmless.

    Tombstones are journalled before creates are looked at. `acknowledged` is the last event seq whose effects are committed, in the
    journal `incarnation`: another one takes nothing of the batch. An empty batch is the probe: it is for whichever journal is there,
    and takes the same road, commit included.
    """

    incarnation: str = ""

    runs: tuple[RunSpec, ...] = ()
    creates: tuple[ShardSpec, ...] = ()
    renewals: tuple[Renewal, ...] = ()
    tombstones: tuple[AttemptId, ...] = ()
    acknowledged: Count = 0


class CreateOutcome(StrEnum):
    """What became of a create."""

    CREATED = "Created"
    EXISTS = "Exists"
    """Already there under our own identity: as good as created (the resend after a lost answer)."""
    REFUSED = "Refused"
    """Will never be taken under this epoch and fence; `reason` says why."""
    UNKNOWN = "Unknown"
    """No answer came: set by the caller, never by a cluster. Ask again."""


class CreateAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """`reason` of a refusal: `Late`, `OtherBoot`, `Tombstoned`, `OldEpoch`, `OldEra`, `Full`, `Invalid`, `Unsupported`.

    `detail` says it in a sentence, where the word is not enough.
    """

    attempt: AttemptId
    outcome: CreateOutcome
    reason: str = ""
    detail: str = ""


class TombstoneAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """`gone`: the tombstone is durable AND no process of the attempt is left. Otherwise ask again."""

    attempt: AttemptId
    gone: bool


class ClusterStatus(Struct, frozen=True, kw_only=True):
    """A cluster's word about itself. `slots` counts attempts that it will hold at once, `held` those it holds now, `queued` tasks that
    are ready and wait for a processor.
    """

    region: str
    incarnation: str
    boot: str
    uptime: float
    slots: int
    held: int
    seq: int
    """The newest event it has journalled."""
    queued: int = 0
    executors: tuple[str, ...] = ()
    cpu: float | None = None
    """Its processors: a task that asks for more never starts there. None: it does not say."""


class BatchAnswers(Struct, frozen=True, kw_only=True):
    """One answer per item of the batch, in the batch's order."""

    status: ClusterStatus
    creates: tuple[CreateAnswer, ...] = ()
    tombstones: tuple[TombstoneAnswer, ...] = ()


class TaskPhase(StrEnum):
    """How far a task is; one that was never started has none."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    SKIPPED = "Skipped"
    FAILED = "Failed"
    """For good: its own retries are used up."""
    STOPPED = "Stopped"
    """Its attempt is over, and it was not: said by the store, never by a cluster."""


class Hello(Struct, frozen=True, kw_only=True, tag="hello"):
    """First on every stream, and the answer to `attempts()`: who the journal is, and every attempt it knows that has not ended.

    Each is (attempt, awake): not awake is an attempt found in the journal after a restart, which starts nothing until it is created again.
    """

    status: ClusterStatus
    attempts: tuple[tuple[AttemptId, bool], ...]


class Beat(Struct, frozen=True, kw_only=True, tag="beat"):
    """Once a second: the stream is alive."""

    status: ClusterStatus


class LeaseAsked(Struct, frozen=True, kw_only=True, tag="lease"):
    """An exclusive attempt wants its run-lease, now or again. Not journalled: it is asked again."""

    attempt: AttemptId
    ask: int


class TaskChanged(Struct, frozen=True, kw_only=True, tag="task"):
    """A task started (`phase` Running, once per try) or finished. Journalled; comes after those of the tasks it needs.

    Times are the cluster's wall clock, in seconds since 1970, for people and for durations within one cluster, never for fencing.
    """

    seq: int
    attempt: AttemptId
    task: str
    phase: TaskPhase
    tries: int
    started_at: float
    ended_at: float | None = None
    output: Any = None
    reason: str = ""


class AttemptEndKind(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    """A task failed for good."""
    LOST = "Lost"
    """The cluster could not carry on (no disk, executor gone, lease ended): worth another attempt."""


class AttemptEnded(Struct, frozen=True, kw_only=True, tag="ended"):
    """Every task is done or given up, and no process of the attempt is left. Journalled, after its tasks' events."""

    seq: int
    attempt: AttemptId
    end: AttemptEndKind
    reason: str = ""


JournalledEvent: TypeAlias = TaskChanged | AttemptEnded
"""The events that have a `seq`: a stream repeats them from the cursor on until the gateway acknowledges them."""

ClusterEvent: TypeAlias = Hello | Beat | LeaseAsked | JournalledEvent
"""Everything that a stream carries."""


class LogChunk(Struct, frozen=True, kw_only=True):
    """Bytes that one try of a task wrote (both streams in order), decoded with replacement. `offset` is where the next chunk begins."""

    text: str
    offset: int
