"""The details of history entries on people's actions: on regions, policy, workflows, policy exceptions."""

from msgspec import Struct


class Detail(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of the typed details of history entries; each subclass has the fields of its kinds."""


class OperationDetail(Detail, frozen=True, kw_only=True):
    """An operator's order for a region, and the policy decision allowing it. The entry's `run` is empty."""

    region: str
    decision_id: str


class PolicyDetail(Detail, frozen=True, kw_only=True):
    """An upload or rollout change of a policy bundle, and the policy decision that allowed it."""

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


class WorkflowDetail(Detail, frozen=True, kw_only=True):
    """A new version of a workflow, or a change of its release. The entry's `run` is empty."""

    tenant: str
    workflow: str
    version: int
    digest: str
    source: str = ""
    percent: float = 0.0
    """The share of submissions that a version in canary gets, in percent."""
    stable: int | None = None
    """The number of the stable version afterwards."""
    decision_id: str
    """The id of the policy decision that allowed it; empty where the gateway rolled back by itself."""


class ExceptionDetail(Detail, frozen=True, kw_only=True):
    """A request, approval or revocation of a policy exception. The entry's `run` is empty."""

    exception: str
    rule: str
    tenant: str
    workflow: str = ""
    document: str = ""
    reason: str
    ticket: str
    expires_at: float
    decision_id: str
    """The id of the policy decision that allowed the person to do it."""
