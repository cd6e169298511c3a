"""Finds the release that an alert may be about: the newest change of the rules in force. Pure."""

from msgspec import Struct

from gateway.core.rollback import ReleaseKind
from gateway.policy.rollout.bundle_states import BundleState, Release, Rollout


class LatestRelease(Struct, frozen=True, kw_only=True):
    """A release in force, as the gates see it. Times are in seconds since 1970."""

    kind: ReleaseKind
    name: str
    """By which it is named for people, and in rollbacks: of a policy bundle its sequence."""
    revision: str
    """By which its numbers are found in metrics."""
    digest: str
    released_at: float
    canary: bool
    """Whether it rules for some alone, beside its baseline; else the baseline is what ruled before."""
    restored: bool
    """Whether it rules since another one was taken back: then it is the last known good one."""
    returns_to: str | None
    """What would rule after its rollback, empty for what the gateway was started with; None: nothing."""


def latest_bundle(rollout: Rollout, *, may_return: bool) -> LatestRelease | None:
    """The bundle in canary or the active one, whichever has changed last; None: there is neither.

    `may_return`: whether the gateway can decide without any bundle, by what it was started with.
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
    return _latest(active, returns_to=returns_to, restored=_was_restored(rollout, active))


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
