"""Runs and the results of their tasks, as stored. The life of a shard is in `shard_states.py`."""

from enum import StrEnum
from typing import Any

from msgspec import Struct

from clusters.protocol import TaskPhase
from gateway.core.principal import Principal


class RunPhase(StrEnum):
    """The phases of a run, derived from those of its shards by `run_phase` in `gateway/store/rules.py`."""

    PENDING = "Pending"
    RUNNING = "Running"
    CANCELLING = "Cancelling"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the run has ended: only a retry leaves such a phase."""
        return self in (RunPhase.SUCCEEDED, RunPhase.FAILED, RunPhase.CANCELLED)


class Run(Struct, frozen=True, kw_only=True):
    """An accepted workflow. Times are wall-clock seconds since 1970."""

    id: str
    tenant: str
    name: str
    subject: str
    issuer: str
    principal: Principal | None = None
    """The caller whom policy last let this run in for, as it was then: its submitter, or who tried it again.

    None: the run is older than this field.
    """
    labels: dict[str, str] = {}
    phase: RunPhase = RunPhase.PENDING
    priority: int
    shard_count: int
    task_count: int = 1
    """The number of tasks in one shard, which is the same in all."""
    weight: float = 1.0
    """How many turns its tenant has for each turn of a tenant of weight 1."""
    workflow: bytes
    """The canonical JSON of the document; empty where runs are listed."""
    created_at: float
    deadline_at: float | None = None
    cancel_requested_at: float | None = None
    finished_at: float | None = None
    decision_id: str
    """The id of the decision in force: that of the acceptance or retry, or a newer one about placement."""
    decided_at: float
    permitted: tuple[str, ...]
    """Regions that the decision in force permits."""
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    """SHA-256 of the canonical document: the same key with another one is refused."""


class FailedTry(Struct, frozen=True, kw_only=True, gc=False):
    """A try of a task that failed and was, or is to be, followed by another."""

    tries: int
    """The number of the try."""
    ended_at: float | None
    reason: str


class TaskRow(Struct, frozen=True, kw_only=True):
    """The stored state of one task of one shard: the newest report by an attempt that was current then.

    Times are wall-clock seconds since 1970, on the cluster's clock.
    """

    run: str
    shard: int
    task: str
    phase: TaskPhase
    epoch: int
    region: str
    incarnation: str
    """The journal of the region that holds the result."""
    tries: int
    started_at: float
    ended_at: float | None = None
    next_try_at: float | None = None
    """When the next try begins; None unless the task is Retrying."""
    output: Any = None
    reason: str = ""
    last_failure: FailedTry | None = None
    """The last try that failed and was not the task's end; None: there is none."""

    @property
    def over(self) -> bool:
        """Whether the task's attempt starts no further try of it."""
        return self.phase not in (TaskPhase.RUNNING, TaskPhase.RETRYING)

    @property
    def finished(self) -> bool:
        """Whether the task is finished and need not run again."""
        return self.phase in (TaskPhase.SUCCEEDED, TaskPhase.SKIPPED)


def new_run_id(milliseconds: int, chance: bytes) -> str:
    """The id of a new run: 12 hexadecimal digits of `milliseconds` since 1970, then `chance` (8 bytes).

    Ids sort by time.
    """
    return milliseconds.to_bytes(6, "big").hex() + chance.hex()
