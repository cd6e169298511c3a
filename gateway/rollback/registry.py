"""The kinds of release that can be rolled back: one entry each."""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from gateway.core.rollback import ReleaseKind
from gateway.policy.rollout.rollout import BundleRollout
from gateway.rollback.interface import Releases
from gateway.rollback.policy_bundles.releases import PolicyBundles


class Sources(Struct, frozen=True, kw_only=True):
    """The parts of the gateway that the kinds of release are made of."""

    bundles: BundleRollout


RELEASES: Final[Mapping[ReleaseKind, Callable[[Sources], Releases]]] = {
    ReleaseKind.POLICY: lambda sources: PolicyBundles(sources.bundles),
}


def known_releases(sources: Sources) -> Mapping[ReleaseKind, Releases]:
    """Makes each kind of release of what the gateway consists of."""
    return {kind: make(sources) for kind, make in RELEASES.items()}
