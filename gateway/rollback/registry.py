"""The registry of the kinds of release that can be rolled back, with one entry each."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from gateway.core.rollback import ReleaseKind
from gateway.policy.rollout.rollout import BundleRollout
from gateway.rollback.interface import Releases
from gateway.rollback.policy_bundles.releases import PolicyBundles
from gateway.rollback.routing.releases import RoutingRevisions
from gateway.rollback.workflows.releases import Workflows
from gateway.store.kept_releases import KeepsReleases


class Sources(Protocol):
    """The parts of a gateway (rollout, store) from which the kinds of release are made.

    `Services` of the API has them all.
    """

    @property
    def rollout(self) -> BundleRollout: ...

    @property
    def store(self) -> KeepsReleases: ...


RELEASES: Final[Mapping[ReleaseKind, Callable[[Sources], Releases]]] = {
    ReleaseKind.POLICY: lambda sources: PolicyBundles(sources.rollout),
    ReleaseKind.ROUTING: lambda sources: RoutingRevisions(sources.store),
    ReleaseKind.WORKFLOW: lambda sources: Workflows(sources.store),
}


def known_releases(sources: Sources) -> Mapping[ReleaseKind, Releases]:
    """Creates every registered kind of release from the parts of the gateway."""
    return {kind: make(sources) for kind, make in RELEASES.items()}
