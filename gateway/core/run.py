"""The stored data types of runs and of their tasks' results. Shards are in `shard_states.py`."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct, structs

from gateway.core.principal import Principal
from waypost.tracing.context import TraceContext
from waypost.workflow.instances import instance_name
from waypost.workflow.task_phase import TaskPhase

WebhookUrl: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?(/[!-~]*)?$(?!\n)",
        max_length=1_024,
        description="the address of a webhook: https, a host, without a user or password",
    ),
]
EndPhase: TypeAlias = Literal["Succeeded", "Failed", "Cancelled"]


class Notify(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, gc=False):
    """A webhook that is called when a run has ended, and after which ends."""

    url: WebhookUrl
    on: Annotated[
        tuple[EndPhase, ...],
        Meta(min_length=1, max_length=3, description="After which ends. By default after every one."),
    ] = ("Succeeded", "Failed", "Cancelled")


class RunPhase(StrEnum):
    """The phase of a run from its acceptance to its end, as it follows from the phases of its shards.

    `run_phase` in `gateway/store/rules.py` derives it.
    """

    PENDING = "Pending"
    RUNNING = "Running"
    CANCELLING = "Cancelling"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the run has ended; only a retry moves it out of a terminal phase."""
        return self in (RunPhase.SUCCEEDED, RunPhase.FAILED, RunPhase.CANCELLED)


class Run(Struct, frozen=True, kw_only=True):
    """One accepted workflow as the store keeps it. Times are wall-clock seconds since 1970."""

    id: str
    tenant: str
    name: str
    subject: str
    issuer: str
    principal: Principal | None = None
    """The caller for whom policy last allowed this run: its submitter, or the one who retried it.

    None: the run is older than this field.
    """
    labels: dict[str, str] = {}
    phase: RunPhase = RunPhase.PENDING
    priority: int
    shard_count: int
    task_count: int = 1
    """The number of tasks in one main shard, which is the same in all."""
    stage_tasks: tuple[int, int] = (0, 0)
    """The numbers of tasks in the stages `collect` and `finally`."""
    finally_seconds: float = 600.0
    """The time limit of the stage `finally`, from its beginning."""
    weight: float = 1.0
    """The tenant's weight: its turns for each turn of a tenant of weight 1."""
    workflow: bytes
    """The canonical JSON of the workflow document; empty in a listing of runs."""
    created_at: float
    deadline_at: float | None = None
    cancel_requested_at: float | None = None
    finally_deadline_at: float | None = None
    """The deadline of the stage `finally`; None: it has not begun."""
    finally_cancelled_at: float | None = None
    """The time at which a cancellation was requested while `finally` was under way."""
    finished_at: float | None = None
    decision_id: str
    """The id of the policy decision in force: that of the acceptance, retry or latest placement."""
    decided_at: float
    permitted: tuple[str, ...]
    """The names of the regions that the decision in force permits."""
    idempotency_key: str | None = None
    released: str = ""
    """The released version that it runs, such as `nightly@3`; empty for a document that was sent whole."""
    requested: bytes = b""
    """The SHA-256 of a submission by name: under the same Idempotency-Key it may get another version."""
    span: TraceContext | None = None
    """The span of the request that submitted it, in which its attempts are; None: older than this field."""
    fingerprint: bytes = b""
    """The SHA-256 of the canonical document; another document under the same Idempotency-Key is refused."""

    @property
    def has_stages(self) -> bool:
        """Whether the run has a shard of its own for `collect` or `finally`."""
        return any(self.stage_tasks)


class FailedTry(Struct, frozen=True, kw_only=True, gc=False):
    """One failed execution (try) of a task within an attempt: its number, end and reason."""

    tries: int
    """The number of the failed try, counted from 1."""
    ended_at: float | None
    reason: str


class TaskRow(Struct, frozen=True, kw_only=True):
    """The stored state of one task of one shard, as the shard's attempt at that time last reported it.

    Times are wall-clock seconds since 1970, on the cluster's clock.
    """

    run: str
    shard: int
    task: str
    phase: TaskPhase
    epoch: int
    region: str
    incarnation: str
    """The incarnation of the journal (of the region) that holds the task's result."""
    tries: int
    started_at: float
    ended_at: float | None = None
    next_try_at: float | None = None
    """The start time of the next try; None unless the task is Retrying.

    It is a time of the gateway's clock, if the cluster says how long the pause is.
    """
    output: Any = None
    reason: str = ""
    last_failure: FailedTry | None = None
    """The last failed try that another try followed; None if there is none."""
    instances: int | None = None
    """The number of instances of a task with `forEach`, once it has begun."""

    @property
    def over(self) -> bool:
        """Whether the task has ended, well or badly: its attempt never starts it again."""
        return self.phase not in (TaskPhase.RUNNING, TaskPhase.RETRYING)

    @property
    def finished(self) -> bool:
        """Whether the task has succeeded or was skipped, so that it need not run again."""
        return self.phase in (TaskPhase.SUCCEEDED, TaskPhase.SKIPPED)

    @property
    def failed(self) -> bool:
        """Whether the task has failed for good, or never runs because of one that has.

        Only a retry of the run lets it run again. A task that was Stopped is decided about again.
        """
        return self.phase in (TaskPhase.FAILED, TaskPhase.OMITTED)


class Notification(Struct, frozen=True, kw_only=True):
    """A message that is to be delivered: a run has ended in `phase`, of which a webhook is informed."""

    id: str
    """The id of the message, the same at each try to deliver it."""
    run: str
    tenant: str
    url: str
    host: str
    phase: RunPhase
    at: float
    """The time of the run's end, in seconds since 1970."""
    tries: int = 0
    """How often it was tried to deliver it."""


def new_run_id(milliseconds: int, chance: bytes) -> str:
    """Makes a new run id, which sorts by time: `milliseconds` since 1970 in hexadecimal, then `chance`.

    `chance` is 8 random bytes.
    """
    return milliseconds.to_bytes(6, "big").hex() + chance.hex()


def with_lists_of_instances(rows: Sequence[TaskRow]) -> Sequence[TaskRow]:
    """Returns the rows of tasks, with their output where that is the list of their instances' outputs.

    It is left out where a row of an instance is not among `rows`, or all rows are without outputs.
    """
    if not any(row.instances for row in rows):
        return rows
    known = {(row.shard, row.task): row for row in rows}
    return [
        structs.replace(row, output=_list_of_instances(row, known)) if row.instances else row for row in rows
    ]


def _list_of_instances(row: TaskRow, known: dict[tuple[int, str], TaskRow]) -> Any:
    if row.phase is not TaskPhase.SUCCEEDED:
        return None
    names = (instance_name(row.task, index) for index in range(row.instances or 0))
    found = [known.get((row.shard, name)) for name in names]
    outputs = [one.output for one in found if one is not None]
    if len(outputs) < len(found) or all(output is None for output in outputs):
        return None
    # Outputs may be JSON that is not decoded.
    return Raw(msgspec.json.encode(outputs)) if any(isinstance(o, Raw) for o in outputs) else outputs
