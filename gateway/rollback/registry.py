"""The registry of the kinds of release that can be rolled back, with one entry each.

Each kind is a member of `ReleaseKind` too, whose value is the name of its field in `RollbackSettings`.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any, Final, Protocol

from msgspec import Struct

from gateway.core.rollback import ReleaseKind
from gateway.policy.interface import PolicyEngine
from gateway.policy.rollout.rollout import BundleRollout
from gateway.regions.region_view import RegionView
from gateway.rollback.deployments.releases import ExternalDeployments, KnowsVersions
from gateway.rollback.deployments.sender import send_rollback
from gateway.rollback.deployments.settings_checks import mistakes
from gateway.rollback.evidence import KnowsReleases
from gateway.rollback.interface import Releases
from gateway.rollback.policy_bundles.releases import PolicyBundles
from gateway.rollback.routing.releases import RoutingRevisions
from gateway.rollback.workflows.releases import Workflows
from gateway.rollback.workflows.staged_releases import StagedReleases
from gateway.settings import GatewaySettings, RollbackSettings
from gateway.store.parts import KeepsReleases
from gateway.store.rollbacks import KeepsRollbacks


class KeepsReleasesAndRollbacks(KeepsReleases, KeepsRollbacks, Protocol):
    """The interface by which a store keeps what the kinds of release use."""


class Sources(Protocol):
    """The parts of a gateway (store, policy, regions, settings) from which the kinds of release are made.

    `Services` of the API has them all.
    """

    @property
    def rollout(self) -> BundleRollout: ...

    @property
    def store(self) -> KeepsReleasesAndRollbacks: ...

    @property
    def policy(self) -> PolicyEngine: ...

    @property
    def settings(self) -> GatewaySettings: ...

    @property
    def regions(self) -> Callable[[], Sequence[RegionView]]: ...

    @property
    def cut_off(self) -> Callable[[], bool]: ...

    @property
    def clock(self) -> Callable[[], float]: ...


class AsksPrometheus(KnowsReleases, KnowsVersions, Protocol):
    """The interface of what asks Prometheus for the kinds of release: for evidence, and for versions."""


class RegisteredKind(Struct, frozen=True, kw_only=True):
    """The registry entry of a kind of release: its factory, its loops, and the checks of its settings."""

    releases: Callable[[Sources, AsksPrometheus], AbstractAsyncContextManager[Releases]]
    """The factory of the releases of this kind, as an async context that closes what they have opened."""
    loops: Callable[[Sources, AsksPrometheus], Mapping[str, Callable[[], Coroutine[Any, Any, None]]]] = (
        lambda *_: {}
    )
    """Returns loops (coroutine functions) that run beside the controller's, by the name that is logged.

    An example is the loop that gives canaries their shares in steps. They run wherever a Prometheus is set,
    whatever the kind's mode.
    """
    mistakes: Callable[[RollbackSettings], Iterable[str]] = lambda _: ()
    """Returns a sentence about each mistake in this kind's settings, which stops the gateway's start."""


def _stages(sources: Sources, prometheus: AsksPrometheus) -> StagedReleases:
    return StagedReleases(
        sources.store,
        sources.policy,
        prometheus,
        sources.settings.rollback,
        clock=sources.clock,
        region_lost=partial(region_lost, sources),
    )


def _deployments(sources: Sources, versions: KnowsVersions) -> ExternalDeployments:
    return ExternalDeployments(
        sources.settings.rollback.deployments,
        sources.store,
        versions,
        partial(send_rollback, clock=sources.clock),
    )


RELEASES: Final[Mapping[ReleaseKind, RegisteredKind]] = {
    ReleaseKind.POLICY: RegisteredKind(
        releases=lambda sources, _: nullcontext(PolicyBundles(sources.rollout))
    ),
    ReleaseKind.ROUTING: RegisteredKind(
        releases=lambda sources, _: nullcontext(RoutingRevisions(sources.store))
    ),
    ReleaseKind.WORKFLOW: RegisteredKind(
        releases=lambda sources, _: nullcontext(Workflows(sources.store)),
        loops=lambda sources, prometheus: {"staged releases": _stages(sources, prometheus).run},
    ),
    ReleaseKind.EXTERNAL: RegisteredKind(
        releases=lambda sources, prometheus: nullcontext(_deployments(sources, prometheus)),
        mistakes=lambda settings: mistakes(settings.deployments),
    ),
}
"""The kinds of release that the gateway can roll back."""


def region_lost(sources: Sources) -> bool:
    """Returns whether a region is lost now, or all seem to be: then numbers say nothing about a release."""
    return sources.cut_off() or any(view.lost for view in sources.regions())
