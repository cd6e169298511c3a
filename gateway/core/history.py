"""The entries of a run's history: their kinds, as an enum, and the typed detail of each kind.

The store keeps an entry's detail as JSON. `explain`, the event stream and the command line show `{"kind":
..., "detail": {...}}`. A kind, and the field names of its detail, are therefore public: add, never rename.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from gateway.core.history_details import BundleRefusedDetail as BundleRefusedDetail
from gateway.core.history_details import DeploymentDetail as DeploymentDetail
from gateway.core.history_details import Detail as Detail
from gateway.core.history_details import ExceptionDetail as ExceptionDetail
from gateway.core.history_details import NotificationDetail as NotificationDetail
from gateway.core.history_details import OperationDetail as OperationDetail
from gateway.core.history_details import PolicyDetail as PolicyDetail
from gateway.core.history_details import RegionEventDetail as RegionEventDetail
from gateway.core.history_details import RestoreDetail as RestoreDetail
from gateway.core.history_details import RoutingDetail as RoutingDetail
from gateway.core.history_details import RunPhaseDetail as RunPhaseDetail
from gateway.core.history_details import TrailArchivedDetail as TrailArchivedDetail
from gateway.core.history_details import WorkflowDetail as WorkflowDetail
from gateway.core.shard_states import Event, Phase
from waypost.workflow.task_phase import TaskPhase


class HistoryKind(StrEnum):
    """The kind of a history entry: what happened. `Begun` to `Unreadable` are the events of shards."""

    BEGUN = "Begun"
    OMITTED = "Omitted"
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
    EXPIRY_ENFORCED = "ExpiryEnforced"
    UNREADABLE = "Unreadable"

    PLACED = "Placed"
    """A region was chosen for a shard; an `Intended` entry follows."""
    UNPLACEABLE = "Unplaceable"
    """A shard waits because no region fits it; the entry is written once for each new reason."""
    TASK_FINISHED = "TaskFinished"
    TASK_RETRYING = "TaskRetrying"
    """A try of a task failed, and another follows after a pause."""
    REAPED = "Reaped"
    """A region confirmed that nothing of an orphan runs there any more."""
    FORGOTTEN = "Forgotten"
    """An orphaned attempt was taken off its shard's list because an operator gave up its region."""

    ACCEPTED = "Accepted"
    REOPENED = "Reopened"
    """An operator retried the run: its shards that did not succeed are Pending again (T13)."""
    CANCEL_REQUESTED = "CancelRequested"
    NOTIFIED = "Notified"
    NOTIFICATION_FAILED = "NotificationFailed"
    RUN_PHASE = "RunPhase"
    """The phase of the run changed; it is derived from the phases of its shards."""

    JOURNAL_RELEASED = "JournalReleased"
    CORDONED = "Cordoned"
    UNCORDONED = "Uncordoned"
    FORGET_REQUESTED = "ForgetRequested"
    ROUTING_APPLIED = "RoutingApplied"
    ROUTING_ROLLED_BACK = "RoutingRolledBack"
    POLICY_UPLOADED = "PolicyUploaded"
    POLICY_SHADOWED = "PolicyShadowed"
    POLICY_CANARIED = "PolicyCanaried"
    POLICY_ACTIVATED = "PolicyActivated"
    POLICY_ROLLED_BACK = "PolicyRolledBack"
    POLICY_STEP_ASKED = "PolicyStepAsked"
    POLICY_STEP_APPROVED = "PolicyStepApproved"
    POLICY_APPROVAL_REFUSED = "PolicyApprovalRefused"
    """Somebody tried to approve their own request, or to approve twice; likewise for a policy exception."""
    BUNDLE_REFUSED = "BundleRefused"
    """Somebody whom policy permits to upload bundles uploaded one that the gateway did not take."""
    WORKFLOW_APPLIED = "WorkflowApplied"
    WORKFLOW_CANARIED = "WorkflowCanaried"
    WORKFLOW_PROMOTED = "WorkflowPromoted"
    WORKFLOW_ABORTED = "WorkflowAborted"
    """A version's canary was ended without a verdict."""
    WORKFLOW_ROLLED_BACK = "WorkflowRolledBack"
    DEPLOYMENT_ROLLED_BACK = "DeploymentRolledBack"
    """Another system was asked to roll an external deployment back."""
    EXCEPTION_ASKED = "ExceptionAsked"
    EXCEPTION_APPROVED = "ExceptionApproved"
    EXCEPTION_REVOKED = "ExceptionRevoked"
    EXCEPTION_APPROVAL_REFUSED = "ExceptionApprovalRefused"
    REGION_RETURNED = "RegionReturned"
    """A forgotten region answers again, which cancels the order to forget it."""
    BACKUP_RESTORED = "BackupRestored"
    """Somebody put the store back from a backup with `waypost restore`; the next start begins a new era."""
    TRAIL_ARCHIVED = "TrailArchived"
    """The oldest part of the audit trail was written to an archive, and is deleted once this is sealed."""
    STORE_RESTORED = "StoreRestored"
    """The store was found to be an old copy of itself, by regions or an operator, so a new era begins."""


class TransitionDetail(Detail, frozen=True, kw_only=True, rename={"before": "from", "after": "to"}):
    """History detail: a shard's move from one phase to another. `epoch` numbers its attempt afterwards."""

    reason: str = ""
    before: Phase
    after: Phase
    epoch: int
    failover: bool = False
    """Whether the shard left its region because of the region; such transitions are counted as failovers."""
    region: str | None
    """The region of the attempt that the event is about; None if the shard has no region."""
    seconds: float | None = None
    """The duration of the attempt, from its placement to its end by this event; None for other events."""


class PlacementDetail(Detail, frozen=True, kw_only=True):
    """History detail: the region chosen for a shard's next attempt, and the reasons against the others."""

    region: str
    epoch: int
    scores: dict[str, float]
    """The score of each region: expected seconds until an attempt is served (`gateway/regions/scores.py`)."""
    rejected: dict[str, str]
    """The reason against each region that was passed over, by region."""
    decision_id: str
    """The id of the policy decision that permits the region."""
    remade: tuple[str, ...] = ()
    """Finished tasks that run again because their results are held by another region."""
    routing: int = 0
    """The number of the routing revision in force; 0: none, the settings alone count."""


class UnplaceableDetail(Detail, frozen=True, kw_only=True):
    """History detail: the reason why no region can take a shard now, in one sentence and for each region."""

    reason: str
    rejected: dict[str, str] | None = None
    """The reason against each region, by region name; None if no region was looked at."""


class TaskDetail(Detail, frozen=True, kw_only=True):
    """History detail: a task of the shard's current attempt ended, or one try failed and is repeated."""

    task: str
    phase: TaskPhase
    epoch: int
    region: str
    tries: int
    seconds: float | None
    """The task's duration in seconds on the cluster's clock; None if the cluster reports no end."""
    reason: str = ""
    next_try_at: float | None = None
    """The start of the next try, in seconds since 1970 on the cluster's clock; None without a next try."""


class OrphanDetail(Detail, frozen=True, kw_only=True):
    """History detail: an orphan left its shard's list, because it ended or its region was given up."""

    region: str
    epoch: int


class SubmissionDetail(Detail, frozen=True, kw_only=True):
    """History detail: the caller who submitted or retried the run, and the policy decision allowing it."""

    subject: str
    issuer: str
    client: str
    decision_id: str
    revision: str
    """The revision of the policy bundle."""
    rules: tuple[str, ...]
    """The ids of the policy rules that allowed the run."""
    regions: tuple[str, ...]
    """The names of the regions in which the decision permits the run."""
    trace_id: str


class CancellationDetail(Detail, frozen=True, kw_only=True):
    """History detail: the policy decision that allowed the cancellation of the run."""

    decision_id: str
    revision: str
    rules: tuple[str, ...]
    trace_id: str


OF_RETRIES: Final = frozenset({Event.RETRIED, Event.REARMED})
"""The events of shards that have no kind of history entry."""
POLICY_KINDS: Final = tuple(kind for kind in HistoryKind if kind.startswith("Policy"))
WORKFLOW_KINDS: Final = tuple(kind for kind in HistoryKind if kind.startswith("Workflow"))
"""The kinds of history entries about released workflows."""

EXCEPTION_KINDS: Final = tuple(kind for kind in HistoryKind if kind.startswith("Exception"))
"""The kinds of history entries about policy exceptions."""
OPERATION_KINDS: Final = (
    HistoryKind.JOURNAL_RELEASED,
    HistoryKind.CORDONED,
    HistoryKind.UNCORDONED,
    HistoryKind.FORGET_REQUESTED,
)
"""The kinds of history entries about operators' orders for regions: cordon, uncordon, forget, replace."""

ROUTING_KINDS: Final = (HistoryKind.ROUTING_APPLIED, HistoryKind.ROUTING_ROLLED_BACK)
"""The kinds of history entries about routing revisions."""

DETAILS: Final[Mapping[HistoryKind, type[Detail]]] = {
    # A retry is one `Reopened` entry of the run, not an entry for each shard.
    **{HistoryKind(event): TransitionDetail for event in Event if event not in OF_RETRIES},
    HistoryKind.PLACED: PlacementDetail,
    HistoryKind.UNPLACEABLE: UnplaceableDetail,
    HistoryKind.TASK_FINISHED: TaskDetail,
    HistoryKind.TASK_RETRYING: TaskDetail,
    HistoryKind.REAPED: OrphanDetail,
    HistoryKind.FORGOTTEN: OrphanDetail,
    HistoryKind.ACCEPTED: SubmissionDetail,
    HistoryKind.REOPENED: SubmissionDetail,
    HistoryKind.CANCEL_REQUESTED: CancellationDetail,
    HistoryKind.RUN_PHASE: RunPhaseDetail,
    **dict.fromkeys((HistoryKind.NOTIFIED, HistoryKind.NOTIFICATION_FAILED), NotificationDetail),
    **dict.fromkeys(OPERATION_KINDS, OperationDetail),
    **dict.fromkeys(ROUTING_KINDS, RoutingDetail),
    **dict.fromkeys(POLICY_KINDS, PolicyDetail),
    HistoryKind.BUNDLE_REFUSED: BundleRefusedDetail,
    **dict.fromkeys(WORKFLOW_KINDS, WorkflowDetail),
    HistoryKind.DEPLOYMENT_ROLLED_BACK: DeploymentDetail,
    **dict.fromkeys(EXCEPTION_KINDS, ExceptionDetail),
    HistoryKind.REGION_RETURNED: RegionEventDetail,
    HistoryKind.BACKUP_RESTORED: RestoreDetail,
    HistoryKind.TRAIL_ARCHIVED: TrailArchivedDetail,
    HistoryKind.STORE_RESTORED: RegionEventDetail,
}
"""The detail type of each kind of history entry; stores decode by it, `HistoryEntry` refuses any other."""


ACTS: Final = (
    HistoryKind.CANCEL_REQUESTED,
    HistoryKind.REOPENED,
    *OPERATION_KINDS,
    *ROUTING_KINDS,
    *POLICY_KINDS,
    HistoryKind.BUNDLE_REFUSED,
    *WORKFLOW_KINDS,
    HistoryKind.DEPLOYMENT_ROLLED_BACK,
    *EXCEPTION_KINDS,
    HistoryKind.BACKUP_RESTORED,
    HistoryKind.TRAIL_ARCHIVED,
)
"""The kinds of history entries that record actions on runs, regions, routing, policy and the store."""


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """One history entry: what happened to a run, shard, region, workflow or policy, when, and by whom."""

    run: str
    """The run's id; empty for an entry about a region or the policy."""
    kind: HistoryKind
    at: float
    """The time of the event, in wall-clock seconds since 1970."""
    shard: int | None = None
    """The shard's index; None for an entry about the whole run or a region."""
    actor: str = "gateway"
    """The subject of the caller who asked for the change, or `gateway`."""
    detail: Detail
    seq: int = 0
    """The entry's number in the order of all entries, given by the store; 0 before it is stored."""

    def __post_init__(self) -> None:
        # An entry whose detail has another shape could be written, and never read back.
        if type(self.detail) is not DETAILS[self.kind]:
            raise TypeError(
                f"{self.kind} has {DETAILS[self.kind].__name__}, not {type(self.detail).__name__}"
            )

    @property
    def decision_id(self) -> str | None:
        """The id of the policy decision that allowed what the entry records; None where there is none."""
        match self.detail:
            case PlacementDetail() | SubmissionDetail() | CancellationDetail() as decided:
                return decided.decision_id
            case OperationDetail() | PolicyDetail() | WorkflowDetail() | ExceptionDetail() as act:
                return act.decision_id
            case _:
                return None
