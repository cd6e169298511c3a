"""The API's response types for policy bundles, and the functions that make them."""

from collections.abc import Mapping

from msgspec import Struct, structs

from gateway.core.decision import Action
from gateway.policy.rollout.bundle_states import (
    BundleState,
    PendingStep,
    Release,
    Rollout,
    Step,
    not_in_force,
    rolled_back_before,
)
from gateway.policy.rollout.shadow import ShadowCounts


class BundleView(Struct, frozen=True, kw_only=True):
    """A policy bundle and its state in the rollout. Times are in seconds since 1970."""

    sequence: int
    revision: str
    state: BundleState
    digest: str
    """The SHA-256 of the archive, in hexadecimal digits."""
    engine: str
    """The only engine that can evaluate the bundle: `opa`; empty if any engine can."""
    uploaded_by: str
    uploaded_at: float
    changed_by: str
    """The person who made the last change of state."""
    changed_at: float
    tenants: tuple[str, ...]
    """The tenants for whom a bundle in canary decides."""
    percent: float
    """The percentage of all other tenants for whom a bundle in canary decides too."""
    rolled_back_as: tuple[int, ...]
    """The sequence numbers of rolled-back bundles with the same rules and data as this one."""


class PendingView(Struct, frozen=True, kw_only=True):
    """A change of a policy bundle's rollout that waits for approvals. Times are in seconds since 1970."""

    step: Step
    sequence: int
    tenants: tuple[str, ...]
    percent: float
    asked_by: str
    asked_at: float
    expires_at: float
    approvals: int
    """The number of people who must approve the change, beside the requester."""
    approved_by: tuple[str, ...]


class StepResult(BundleView, frozen=True, kw_only=True):
    """The response to a change of a bundle's rollout: the bundle, and the change if it waits for approval."""

    pending: PendingView | None
    """The rollout change, if it still waits for approvals."""
    unknown_tenants: tuple[str, ...] = ()
    """The tenants named for the canary that no bundle's data has."""
    not_in_force: str = ""
    """A sentence that says which revision decides in place of the active bundle's; empty if none does."""


class FlipView(Struct, frozen=True, kw_only=True):
    """One policy decision on which the bundle in shadow differs from the active one."""

    decision_id: str
    action: Action
    tenant: str
    kind: str
    """The answer of the bundle in shadow: `allowed`, `refused`, `unanswered`, or else `changed`."""
    rules: tuple[str, ...]
    detail: str


class ShadowView(Struct, frozen=True, kw_only=True):
    """How often a shadow bundle has answered as the active bundle did, and how often not, in this process."""

    compared: int
    skipped: int
    """The number of decisions that were not compared, since too many came at once."""
    flips: Mapping[str, int]
    """The number of different answers of the bundle in shadow, by kind."""
    latest: tuple[FlipView, ...]
    """The newest of the differing answers, newest first."""


class BundleDetail(BundleView, frozen=True, kw_only=True):
    """A policy bundle, with the comparison of its answers in shadow."""

    shadow: ShadowView | None
    """The comparison of the bundle's answers in shadow; null if this process has none for this bundle."""


class BundleList(Struct, frozen=True, kw_only=True):
    """All policy bundles that the gateway keeps, newest first. Their ETag is that of the whole rollout."""

    items: tuple[BundleView, ...]
    active: int | None
    """The sequence number of the active bundle; null if the policy of the gateway's start decides."""
    deciding: str
    """The revision of the policy in force."""
    not_in_force: str
    """A sentence that says so if that is another revision than the active bundle's; empty if it is not."""
    pending: PendingView | None
    """The rollout change that waits for approval; null if none does."""
    approvals_kept: int
    """The approvals that the next canary or activation needs at least, kept since a rollback."""
    generation: int
    """The number of the rollout's state: the ETag without its quotes."""


def bundle_view(release: Release, rollout: Rollout) -> BundleView:
    """Converts a policy bundle of `rollout` to the API's `BundleView`."""
    return BundleView(
        sequence=release.sequence,
        revision=release.revision,
        state=release.state,
        digest=release.digest,
        engine=release.engine,
        uploaded_by=release.uploaded_by,
        uploaded_at=release.uploaded_at,
        changed_by=release.changed_by,
        changed_at=release.changed_at,
        tenants=release.share.tenants,
        percent=release.share.percent,
        rolled_back_as=rolled_back_before(rollout, release),
    )


def step_view(
    release: Release,
    rollout: Rollout,
    *,
    deciding: str,
    pending: PendingStep | None,
    unknown_tenants: tuple[str, ...] = (),
) -> StepResult:
    """Converts a bundle, the waiting rollout change and its unknown tenants to the API's `StepResult`.

    `rollout` is the rollout after the change, `deciding` the revision that decides then.
    """
    return StepResult(
        **structs.asdict(bundle_view(release, rollout)),
        pending=_pending_view(pending),
        unknown_tenants=unknown_tenants,
        not_in_force=not_in_force(rollout, deciding),
    )


def _pending_view(pending: PendingStep | None) -> PendingView | None:
    if pending is None:
        return None
    return PendingView(
        step=pending.step,
        sequence=pending.sequence,
        tenants=pending.share.tenants,
        percent=pending.share.percent,
        asked_by=pending.asked_by,
        asked_at=pending.asked_at,
        expires_at=pending.expires_at,
        approvals=pending.approvals,
        approved_by=pending.approved_by,
    )


def bundle_detail(release: Release, rollout: Rollout, counts: ShadowCounts | None) -> BundleDetail:
    """Converts a bundle, and the counts of its answers in shadow, to the API's `BundleDetail`."""
    return BundleDetail(
        **structs.asdict(bundle_view(release, rollout)),
        shadow=None if counts is None else _shadow_view(counts),
    )


def _shadow_view(counts: ShadowCounts) -> ShadowView:
    return ShadowView(
        compared=counts.compared,
        skipped=counts.skipped,
        flips=dict(counts.flips),
        latest=tuple(
            FlipView(
                decision_id=flip.id,
                action=flip.action,
                tenant=flip.tenant,
                kind=flip.kind,
                rules=flip.rules,
                detail=flip.detail,
            )
            for flip in reversed(counts.latest)
        ),
    )


def bundle_list(rollout: Rollout, deciding: str) -> BundleList:
    """Converts a rollout to the API's `BundleList`; `deciding` is the revision of the bundle that decides."""
    active = rollout.active
    return BundleList(
        items=tuple(bundle_view(release, rollout) for release in reversed(rollout.releases)),
        active=None if active is None else active.sequence,
        deciding=deciding,
        not_in_force=not_in_force(rollout, deciding),
        pending=_pending_view(rollout.pending),
        approvals_kept=rollout.approvals_kept,
        generation=rollout.generation,
    )
