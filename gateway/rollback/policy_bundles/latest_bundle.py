"""Finds the policy bundle that an alert may be about: the newest change of the policy in force.

Performs no I/O.
"""

from gateway.core.rollback import ReleaseKind
from gateway.policy.rollout.bundle_states import BundleState, Release, Rollout
from gateway.rollback.interface import LatestRelease


def latest_bundle(rollout: Rollout, *, may_return: bool) -> LatestRelease | None:
    """Returns the policy bundle in canary or the active one, whichever changed last; None without either.

    None, too, for the first bundle where there is nothing to return to (an OPA decides): a person could not
    roll it back either, and the alert itself goes to people.
    `may_return`: whether the gateway can decide without any bundle, by the policy that it was started with.
    """
    active, canary = rollout.active, rollout.candidate
    if canary is not None and canary.state is not BundleState.CANARY:
        canary = None
    at_start = "" if may_return else None
    if canary is not None and (active is None or canary.changed_at >= active.changed_at):
        return _latest(canary, returns_to=at_start if active is None else str(active.sequence))
    if active is None:
        return None
    before = [release for release in rollout.releases if release.state is BundleState.SUPERSEDED]
    returns_to = str(before[-1].sequence) if before else at_start
    restored = _was_restored(rollout, active)
    if returns_to is None and not restored:
        return None
    return _latest(active, returns_to=returns_to, restored=restored)


def _latest(release: Release, *, returns_to: str | None, restored: bool = False) -> LatestRelease:
    return LatestRelease(
        kind=ReleaseKind.POLICY,
        name=str(release.sequence),
        revision=release.revision,
        digest=release.digest,
        released_at=release.changed_at,
        canary=release.state is BundleState.CANARY,
        restored=restored,
        returns_to=returns_to,
    )


def _was_restored(rollout: Rollout, active: Release) -> bool:
    # One step has moved both, at one time: the one that was taken back, and the one that rules again.
    return any(
        release.state is BundleState.ROLLED_BACK
        and release.sequence > active.sequence
        and release.changed_at == active.changed_at
        for release in rollout.releases
    )
