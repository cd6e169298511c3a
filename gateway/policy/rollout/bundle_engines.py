"""What decides by a bundle, for each kind of engine."""

from typing import Protocol

from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from gateway.policy.interface import PolicyEngine
from gateway.policy.opa.bundle_feed import BundleFeed, ServedBundle
from gateway.policy.rollout.bundle_gate import GatedBundle


class BundleEngines(Protocol):
    """Makes what decides by a bundle, for one kind of engine."""

    may_return: bool
    """Whether the gateway can decide without a bundle, by what it was started with."""

    async def deciding(self, bundle: GatedBundle | None, /) -> PolicyEngine:
        """The engine, entered, that decides by the active `bundle`; None: by what the gateway began with.

        Raises `BundleError` where it cannot evaluate the bundle.
        """
        ...

    def serve(self, bundle: GatedBundle, /) -> None:
        """Hands the active bundle, which is committed, to what fetches it."""
        ...


class EmbeddedEngines:
    """`BundleEngines` where the embedded engine decides: each bundle has an engine of its own.

    `base` evaluates the folder that the gateway was started with.
    """

    may_return = True

    def __init__(self, base: PolicyEngine) -> None:
        self._base = base

    async def deciding(self, bundle: GatedBundle | None, /) -> PolicyEngine:
        if bundle is None:
            return self._base
        return await EmbeddedPolicyEngine(bundle=bundle.bundle).__aenter__()

    def serve(self, _: GatedBundle, /) -> None:
        """Nothing fetches it."""


class OpaEngines:
    """`BundleEngines` where an OPA decides, which fetches the active bundle from `feed`."""

    may_return = False

    def __init__(self, opa: PolicyEngine, feed: BundleFeed) -> None:
        self._opa, self._feed = opa, feed

    async def deciding(self, _: GatedBundle | None, /) -> PolicyEngine:
        return self._opa

    def serve(self, bundle: GatedBundle, /) -> None:
        self._feed.serve(ServedBundle(archive=bundle.archive, manifest=bundle.manifest))
