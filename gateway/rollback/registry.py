"""The registry of the kinds of release that can be rolled back, with one entry each.

Each kind is a member of `ReleaseKind` too, whose value is the name of its field in `RollbackSettings`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

from gateway.core.rollback import ReleaseKind
from gateway.policy.rollout.rollout import BundleRollout
from gateway.rollback.deployments.releases import ExternalDeployments, KnowsVersions
from gateway.rollback.deployments.sender import send_rollback
from gateway.rollback.interface import Releases
from gateway.rollback.policy_bundles.releases import PolicyBundles
from gateway.rollback.routing.releases import RoutingRevisions
from gateway.rollback.workflows.releases import Workflows
from gateway.settings import GatewaySettings
from gateway.store.parts import KeepsReleases
from gateway.store.rollbacks import KeepsRollbacks


class KeepsReleasesAndRollbacks(KeepsReleases, KeepsRollbacks, Protocol):
    """The interface by which a store keeps what the kinds of release use."""


class Sources(Protocol):
    """The parts of a gateway (rollout, store, settings, clock) from which the kinds of release are made.

    `Services` of the API has them all.
    """

    @property
    def rollout(self) -> BundleRollout: ...

    @property
    def store(self) -> KeepsReleasesAndRollbacks: ...

    @property
    def settings(self) -> GatewaySettings: ...

    @property
    def clock(self) -> Callable[[], float]: ...


RELEASES: Final[Mapping[ReleaseKind, Callable[[Sources, KnowsVersions], Releases]]] = {
    ReleaseKind.POLICY: lambda sources, _: PolicyBundles(sources.rollout),
    ReleaseKind.ROUTING: lambda sources, _: RoutingRevisions(sources.store),
    ReleaseKind.WORKFLOW: lambda sources, _: Workflows(sources.store),
    ReleaseKind.EXTERNAL: lambda sources, versions: ExternalDeployments(
        sources.settings.rollback.deployments,
        sources.store,
        versions,
        partial(send_rollback, clock=sources.clock),
    ),
}


def known_releases(sources: Sources, versions: KnowsVersions) -> Mapping[ReleaseKind, Releases]:
    """Creates every registered kind of release from the parts of the gateway and a source of versions."""
    return {kind: make(sources, versions) for kind, make in RELEASES.items()}
