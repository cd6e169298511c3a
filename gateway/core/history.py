"""The history of a run: each entry has a kind from an enum and a typed detail.

The store keeps an entry's detail as JSON. `explain`, the event stream and the command line show `{"kind":
..., "detail": {...}}`. A kind, and the field names of its detail, are therefore public: add, never rename.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from clusters.protocol import TaskPhase
from gateway.core.run import RunPhase
from gateway.core.shard_states import Event, Phase


class HistoryKind(StrEnum):
    """Every kind of entry. The first group has the names of the events in `shard_states.TRANSITIONS`."""

    INTENDED = "Intended"
    CONFIRMED = "Confirmed"
    REFUSED = "Refused"
    REGION_LOST = "RegionLost"
    REGION_BACK = "RegionBack"
    ABANDONED = "Abandoned"
    COMPLETED = "Completed"
    FAILED = "Failed"
    LOST = "Lost"
    EXHAUSTED = "Exhausted"
    UNCONFIRMED = "Unconfirmed"
    CANCELLED = "Cancelled"
    STOPPED = "Stopped"
    EXPIRED = "Expired"
    UNREADABLE = "Unreadable"

    PLACED = "Placed"
    """A region was chosen for a shard; `Intended` follows."""
    UNPLACEABLE = "Unplaceable"
    """A shard waits, and why; written once for each new reason."""
    TASK_FINISHED = "TaskFinished"
    REAPED = "Reaped"
    """A region confirmed that nothing of an orphan runs there any more."""
    FORGOTTEN = "Forgotten"
    """An orphan was struck off the list because an operator gave up its region."""

    ACCEPTED = "Accepted"
    REOPENED = "Reopened"
    """An operator's retry: the run's shards that did not succeed are Pending again (T13)."""
    CANCEL_REQUESTED = "CancelRequested"
    RUN_PHASE = "RunPhase"
    """The phase of the run, derived from its shards, changed."""

    JOURNAL_RELEASED = "JournalReleased"
    CORDONED = "Cordoned"
    UNCORDONED = "Uncordoned"
    FORGET_REQUESTED = "ForgetRequested"
    REGION_RETURNED = "RegionReturned"
    """A forgotten region answers again, which ends the order to forget it."""
    STORE_RESTORED = "StoreRestored"
    """A region proved that the store is a copy older than what it has acknowledged: a new era begins."""


class Detail(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an entry says beyond its kind. Which fields it has depends on the kind."""


class TransitionDetail(Detail, frozen=True, kw_only=True, rename={"before": "from", "after": "to"}):
    """A shard moved by the table. `epoch` is that of the shard after the event."""

    reason: str = ""
    before: Phase
    after: Phase
    epoch: int
    region: str | None
    """The region of the attempt that the event is about; None: the shard has none."""


class PlacementDetail(Detail, frozen=True, kw_only=True):
    """Where the next attempt of a shard goes, and what every region was worth at that moment."""

    region: str
    epoch: int
    scores: dict[str, float]
    """Expected seconds until served, by region, lower is better (`gateway/regions/scores.py`)."""
    rejected: dict[str, str]
    """Why a region was not taken, by region."""
    decision_id: str
    """The decision that permits the region."""
    remade: tuple[str, ...] = ()
    """Finished tasks that run again because their results are held by another region."""


class UnplaceableDetail(Detail, frozen=True, kw_only=True):
    """Why a shard has no region now."""

    reason: str
    rejected: dict[str, str] | None = None
    """Why each region was not taken, by region; None: no region was looked at."""


class TaskDetail(Detail, frozen=True, kw_only=True):
    """A task is over, in the shard's current attempt."""

    task: str
    phase: TaskPhase
    epoch: int
    region: str
    tries: int
    seconds: float | None
    """From its start to its end on the cluster's clock; None where the cluster gives no end."""
    reason: str = ""


class OrphanDetail(Detail, frozen=True, kw_only=True):
    """The attempt of the shard that is listed as an orphan no more."""

    region: str
    epoch: int


class SubmissionDetail(Detail, frozen=True, kw_only=True):
    """Who submitted or retried the run, and the decision that let it in."""

    subject: str
    issuer: str
    client: str
    decision_id: str
    revision: str
    """Of the policy bundle."""
    rules: tuple[str, ...]
    """Ids of the rules that allowed it."""
    regions: tuple[str, ...]
    """Where the decision permits the run."""
    trace_id: str


class CancellationDetail(Detail, frozen=True, kw_only=True):
    """The decision that let somebody cancel the run."""

    decision_id: str
    revision: str
    rules: tuple[str, ...]
    trace_id: str


class RunPhaseDetail(Detail, frozen=True, kw_only=True, rename={"before": "from", "after": "to"}):
    """The derived phase of the run, before and after."""

    before: RunPhase
    after: RunPhase


class OperationDetail(Detail, frozen=True, kw_only=True):
    """What an operator ordered for a region. The entry's `run` is empty."""

    region: str
    decision_id: str


class RegionDetail(Detail, frozen=True, kw_only=True):
    """Something the gateway found out about a region. The entry's `run` is empty."""

    region: str


DETAILS: Final[Mapping[HistoryKind, type[Detail]]] = {
    # Event.RETRIED has no kind: a retry is one `Reopened` entry of the run, not an entry for each shard.
    **{HistoryKind(event): TransitionDetail for event in Event if event is not Event.RETRIED},
    HistoryKind.PLACED: PlacementDetail,
    HistoryKind.UNPLACEABLE: UnplaceableDetail,
    HistoryKind.TASK_FINISHED: TaskDetail,
    HistoryKind.REAPED: OrphanDetail,
    HistoryKind.FORGOTTEN: OrphanDetail,
    HistoryKind.ACCEPTED: SubmissionDetail,
    HistoryKind.REOPENED: SubmissionDetail,
    HistoryKind.CANCEL_REQUESTED: CancellationDetail,
    HistoryKind.RUN_PHASE: RunPhaseDetail,
    HistoryKind.JOURNAL_RELEASED: OperationDetail,
    HistoryKind.CORDONED: OperationDetail,
    HistoryKind.UNCORDONED: OperationDetail,
    HistoryKind.FORGET_REQUESTED: OperationDetail,
    HistoryKind.REGION_RETURNED: RegionDetail,
    HistoryKind.STORE_RESTORED: RegionDetail,
}
"""The shape of each kind's detail, for stores to decode. `HistoryEntry` raises `TypeError` for another."""


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """One thing that happened to a run or a region."""

    run: str
    """Empty for what happened to a region."""
    kind: HistoryKind
    at: float
    """In wall-clock seconds since 1970."""
    shard: int | None = None
    """None for what happened to the run as a whole."""
    actor: str = "gateway"
    """The subject who asked for it, or the gateway itself."""
    detail: Detail
    seq: int = 0
    """Its place in the order of things, given by the store; 0 before it is stored."""

    def __post_init__(self) -> None:
        # An entry whose detail has another shape could be written, and never read back.
        if type(self.detail) is not DETAILS[self.kind]:
            raise TypeError(
                f"{self.kind} has {DETAILS[self.kind].__name__}, not {type(self.detail).__name__}"
            )

    @property
    def decision_id(self) -> str | None:
        """The policy decision behind it; None where there is none."""
        match self.detail:
            case PlacementDetail() | SubmissionDetail() | CancellationDetail() | OperationDetail() as decided:
                return decided.decision_id
            case _:
                return None
