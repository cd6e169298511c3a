"""The detail types of history entries about actions on regions, routing, policy, releases, exceptions."""

from msgspec import Struct

from gateway.core.run import RunPhase


class Detail(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base class of all history details.

    A detail is what an entry says beside its kind, time and actor; a subclass serves one or more kinds.
    """


class OperationDetail(Detail, frozen=True, kw_only=True):
    """History detail: the region that an operator's order is for, and the policy decision that allowed it."""

    region: str
    decision_id: str


class RoutingDetail(Detail, frozen=True, kw_only=True):
    """History detail: a routing revision was applied or rolled back, by which policy decision."""

    routing: int
    """The number of the revision."""
    digest: str
    in_force: int | None
    """The number of the revision in force afterwards; None: the settings alone count."""
    reason: str = ""
    """The reason of a rollback that the gateway made by itself."""
    decision_id: str
    """The id of the policy decision that allowed the change; empty where the gateway itself rolled back."""


class PolicyDetail(Detail, frozen=True, kw_only=True):
    """History detail: a policy bundle was uploaded or its rollout changed, by which policy decision."""

    sequence: int
    revision: str
    decision_id: str
    tenants: tuple[str, ...] = ()
    """The tenants for whom a bundle in canary decides, in addition to `percent` of all others."""
    percent: float = 0.0
    decides: int | None = None
    """The bundle that decides again after the active one was rolled back. None: the bundle of the start."""
    step: str = ""
    """The name of the rollout change that was requested or approved, where others had to approve it."""
    asked_by: str = ""


class NotificationDetail(Detail, frozen=True, kw_only=True):
    """History detail: a webhook was informed of the run's end, or was given up after so many tries."""

    host: str
    """The host of the webhook; the rest of its address may be a secret."""
    phase: str
    """The phase in which the run ended."""
    tries: int
    reason: str = ""
    """Why it was given up."""


class BundleRefusedDetail(Detail, frozen=True, kw_only=True):
    """History detail: an uploaded policy bundle was not taken. Nothing that its archive says is believed."""

    archive: str
    """The SHA-256 of what was uploaded, in hexadecimal digits."""
    reason: str
    decision_id: str
    """The id of the policy decision that permitted the caller to upload bundles."""


class WorkflowDetail(Detail, frozen=True, kw_only=True):
    """History detail: a new version of a released workflow, or a change of a version's state."""

    tenant: str
    workflow: str
    version: int
    digest: str
    source: str = ""
    percent: float = 0.0
    """The share of submissions that a version in canary gets, in percent."""
    steps: tuple[float, ...] = ()
    """The shares that it is to get afterwards."""
    reason: str = ""
    """The reason of a change that the gateway made by itself."""
    stable: int | None = None
    """The number of the stable version afterwards."""
    decision_id: str
    """The id of the policy decision that allowed the change; empty where the gateway itself rolled back."""


class DeploymentDetail(Detail, frozen=True, kw_only=True):
    """History detail: another system was asked to roll an external deployment back."""

    deployment: str
    version: str
    """The version that was in force."""
    returns_to: str
    """The version that is to be in force again."""
    status: int
    """The HTTP status with which the request was answered."""
    reason: str
    decision_id: str = ""
    """Always empty: the gateway itself decides it, on the evidence that is kept with the rollback."""


class ExceptionDetail(Detail, frozen=True, kw_only=True):
    """History detail: a policy exception was requested, approved or revoked."""

    exception: str
    rule: str
    tenant: str
    workflow: str = ""
    document: str = ""
    reason: str
    ticket: str
    expires_at: float
    decision_id: str
    """The id of the policy decision that allowed the request, approval or revocation."""


class RegionEventDetail(Detail, frozen=True, kw_only=True):
    """History detail: a region that answers again after it was forgotten, or that has revealed an old store.

    An operator has a lost region forgotten. An old store is one restored from a copy, which lacks the newest
    changes: the region has acknowledged some of them.
    """

    region: str
    """The region's name; empty where an operator, or a restored store itself, said that it is a copy."""


class RestoreDetail(Detail, frozen=True, kw_only=True):
    """History detail: the store was put back from a backup, by an account of the gateway's machine.

    What was sealed between the backup and the restore is not in this audit trail: it may be in exports.
    """

    backup_made_at: float
    """The time of the backup, in seconds since 1970."""
    sha256: str
    """The SHA-256 of the backup's copy of the store, in hexadecimal digits."""
    last_seal: int
    """The number of the newest seal in the backup; 0 if it has none."""
    replaced_seal: int | None
    """The number of the newest seal in the store that was replaced; None where none could be read."""


class TrailArchivedDetail(Detail, frozen=True, kw_only=True):
    """History detail: the oldest part of the audit trail was written to an archive, and leaves the store.

    It is sealed like every act: this is what links the rest of the trail to its archived part.
    """

    file: str
    """The name of the archive's file that holds the entries and seals."""
    first_seal: int
    """The number of the first seal in the file."""
    last_seal: int
    """The number of the last seal in the file; the trail in the store goes on with the next one."""
    last_seal_digest: str
    """The digest of that seal, which the next one contains."""
    last_entry: int
    """The number of the last entry under that seal."""


class RunPhaseDetail(Detail, frozen=True, kw_only=True, rename={"before": "from", "after": "to"}):
    """History detail: the run's phase before and after a change."""

    before: RunPhase
    after: RunPhase
    reason: str = ""
    """Why the run has this phase, where its shards do not say it."""
