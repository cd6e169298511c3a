"""The bundles of policy as the API shows them."""

from msgspec import Struct

from gateway.policy.rollout.bundle_states import BundleState, Release, Rollout


class BundleView(Struct, frozen=True, kw_only=True):
    """A policy bundle and where it stands. Times are in seconds since 1970."""

    sequence: int
    revision: str
    state: BundleState
    digest: str
    """The SHA-256 of the archive, in hexadecimal digits."""
    engine: str
    """`opa`: no other engine can evaluate it; empty: any can."""
    uploaded_by: str
    uploaded_at: float
    changed_by: str
    """Who brought it into its state."""
    changed_at: float
    tenants: tuple[str, ...]
    """In canary: the tenants for whom it decides."""
    percent: float
    """In canary: for how many of all other tenants it decides too."""


class BundleList(Struct, frozen=True, kw_only=True):
    """All bundles that are kept, newest first. The ETag is that of the whole rollout."""

    items: tuple[BundleView, ...]
    active: int | None
    """The sequence of the bundle that decides; null: what the gateway was started with."""
    deciding: str
    """The revision of the rules that decide now."""
    generation: int
    """The number of the rollout's state: the ETag, without its quotes."""


def bundle_view(release: Release) -> BundleView:
    """The bundle as it is shown."""
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
    )


def bundle_list(rollout: Rollout, deciding: str) -> BundleList:
    """All bundles; `deciding` is the revision that decides."""
    active = rollout.active
    return BundleList(
        items=tuple(bundle_view(release) for release in reversed(rollout.releases)),
        active=None if active is None else active.sequence,
        deciding=deciding,
        generation=rollout.generation,
    )
