"""Makes the policy engines for bundles: for the active one, and for one in shadow or canary.

Each is the embedded engine or an OPA.
"""

import asyncio
from typing import Final, Protocol

from gateway.core.errors import Invalid, Unavailable
from gateway.policy.bundle import OPA_ENGINE, Bundle
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from gateway.policy.interface import PolicyEngine
from gateway.policy.opa.bundle_archive import MANIFEST
from gateway.policy.opa.bundle_feed import BundleFeed, ServedBundle
from gateway.policy.rollout.bundle_gate import GatedBundle
from gateway.policy.source import BundleError, Diagnostic
from waypost.json_pointer import FieldError

LOOKS: Final = 100
LOOK_SECONDS: Final = 0.05
"""The pause between two checks whether an OPA holds its bundle, of which there are `LOOKS`."""
CANDIDATE: Final = "the OPA of policy.candidate_engine"
IN_THE_PROCESS: Final = 0
"""The document size in bytes above which a shadow's evaluation runs in a process: all do."""


class BundleEngines(Protocol):
    """The interface of a factory that makes and starts the policy engines for bundles.

    Each kind of engine (embedded, OPA) has such a factory.
    """

    may_return: bool
    """Whether the gateway can decide without a bundle, by the policy that it was started with."""

    @property
    def started_with(self) -> Bundle | None:
        """Returns the bundle that the gateway was started with; None if only an OPA has it."""
        ...

    async def deciding(self, bundle: GatedBundle | None, /, *, is_new: bool) -> PolicyEngine:
        """Returns the engine that evaluates the active `bundle`.

        Where no bundle is active (`bundle` None), that is the engine that the gateway was started with.
        `is_new`: the bundle was never active before. Raises `BundleError`, `Invalid` or `Unavailable` where
        the engine cannot evaluate the bundle.
        """
        ...

    async def trying_out(self, bundle: GatedBundle, *, shadow: bool, wait: bool) -> PolicyEngine:
        """Returns the engine for a `bundle` in shadow or canary, beside the engine of the active bundle.

        In `shadow` nobody waits for its answers. `wait`: the engine must have loaded the bundle before it is
        returned. Raises `BundleError` or `Invalid` where no engine of this gateway can evaluate it, and
        `Unavailable` where an OPA does not answer.
        """
        ...

    def withdraw(self) -> None:
        """Feeds the OPA its former bundle again, if `deciding` gave it one and the rollout change failed."""
        ...

    def serve(self, bundle: GatedBundle, /) -> None:
        """Puts the active bundle, once it is committed, into the feed from which an OPA downloads it."""
        ...

    async def wait_until_held(self, bundle: GatedBundle, /) -> None:
        """Waits, for a bounded time, until the engine for active bundles has loaded this bundle."""
        ...


async def embedded_engine(bundle: GatedBundle, *, shadow: bool = False) -> EmbeddedPolicyEngine:
    """Makes and starts an embedded engine for `bundle`. Raises `BundleError` if only an OPA can run it."""
    if bundle.manifest.engine == OPA_ENGINE:
        detail = "this bundle wants engine opa: name an OPA for trials in policy.candidate_engine"
        raise BundleError([Diagnostic(file=MANIFEST, line=0, detail=detail)])
    engine = EmbeddedPolicyEngine(bundle=bundle.bundle)
    if shadow:
        engine = EmbeddedPolicyEngine(bundle=bundle.bundle, inline_bytes=IN_THE_PROCESS)
    return await engine.__aenter__()


class EmbeddedEngines:
    """Makes an embedded engine for each bundle. Implements `BundleEngines`.

    `base` evaluates the folder that the gateway was started with.
    """

    may_return = True

    def __init__(self, base: PolicyEngine) -> None:
        self._base = base

    @property
    def started_with(self) -> Bundle | None:
        return self._base.bundle if isinstance(self._base, EmbeddedPolicyEngine) else None

    async def deciding(self, bundle: GatedBundle | None, /, *, is_new: bool) -> PolicyEngine:
        del is_new  # it is compiled each time
        return self._base if bundle is None else await embedded_engine(bundle)

    async def trying_out(self, bundle: GatedBundle, *, shadow: bool, wait: bool) -> PolicyEngine:
        del wait  # it holds the bundle from its start
        return await embedded_engine(bundle, shadow=shadow)

    def withdraw(self) -> None:
        """Does nothing, since embedded engines have given no bundle to an OPA."""

    def serve(self, _: GatedBundle, /) -> None:
        """Does nothing, since no OPA downloads the bundle of an embedded engine."""

    async def wait_until_held(self, _: GatedBundle, /) -> None:
        """Returns at once, since an embedded engine has loaded its bundle before it is started."""


class NoBundles:
    """Refuses every bundle, for a policy engine that has rules of its own. Implements `BundleEngines`.

    A gateway with an active bundle in its store does not start with such an engine, which would decide
    without the bundle's rules.
    """

    may_return = True

    def __init__(self, base: PolicyEngine) -> None:
        self._base = base

    @property
    def started_with(self) -> Bundle | None:
        return None

    async def deciding(self, bundle: GatedBundle | None, /, *, is_new: bool) -> PolicyEngine:
        del is_new
        if bundle is not None:
            raise _not_evaluated(bundle)
        return self._base

    async def trying_out(self, bundle: GatedBundle, *, shadow: bool, wait: bool) -> PolicyEngine:
        del shadow, wait
        raise _not_evaluated(bundle)

    def withdraw(self) -> None:
        """Does nothing, since every bundle is refused."""

    def serve(self, _: GatedBundle, /) -> None:
        """Does nothing, since no bundle is ever active."""

    async def wait_until_held(self, _: GatedBundle, /) -> None:
        """Returns at once, since no bundle is ever active."""


def _not_evaluated(bundle: GatedBundle) -> BundleError:
    detail = (
        f"bundle {bundle.manifest.sequence} cannot be used: the engine of the setting policy.engine takes no"
        " bundles; one that is in use is rolled back while an engine is set that takes them"
    )
    return BundleError([Diagnostic(file=MANIFEST, line=0, detail=detail)])


class FedOpa:
    """An OPA, as a policy engine, together with the feed from which it downloads its bundle."""

    def __init__(self, engine: PolicyEngine, feed: BundleFeed) -> None:
        self.engine, self.feed = engine, feed

    def serve(self, bundle: GatedBundle) -> None:
        """Puts a bundle into the feed from which the OPA downloads, in place of the former one."""
        self.feed.serve(ServedBundle(archive=bundle.archive, manifest=bundle.manifest))

    async def holds(self, bundle: GatedBundle) -> bool:
        """Waits for a bounded time until the OPA has loaded the bundle; returns whether it has."""
        for _ in range(LOOKS):
            if await self._answers_by(bundle.manifest.revision):
                return True
            if self.feed.trouble:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return False

    async def _answers_by(self, revision: str) -> bool:
        try:
            await self.engine.check()
        except Unavailable:
            return False
        return self.engine.revision == revision


async def _wait_until_loaded(opa: FedOpa, bundle: GatedBundle, which: str) -> None:
    """Waits, for a bounded time, until `opa` (named `which` in errors) has loaded the bundle.

    Raises `Unavailable` if the OPA does not answer, and `Invalid` if it does and has not loaded the bundle.
    """
    if await opa.holds(bundle):
        return
    if not opa.feed.trouble:
        # Raises where it does not answer: then nothing is said of the bundle.
        await opa.engine.check()
    why = opa.feed.trouble or "its log says why"
    raise Invalid(f"{which} does not take the bundle", errors=[FieldError("", why)])


class OpaEngines:
    """Gives active bundles to one OPA, those in shadow or canary to another. Implements `BundleEngines`.

    Without another OPA, bundles in shadow or canary are evaluated by an embedded engine.
    """

    may_return = False

    def __init__(self, deciding: FedOpa, candidate: FedOpa | None) -> None:
        self._deciding, self._candidate = deciding, candidate
        self._before: ServedBundle | None = None
        self._handed = False
        """Whether the deciding OPA has a bundle that is not active yet."""

    @property
    def started_with(self) -> Bundle | None:
        return None

    async def deciding(self, bundle: GatedBundle | None, /, *, is_new: bool) -> PolicyEngine:
        # The embedded engine has read the others. What OPA cannot compile it skips, whatever the store says.
        if is_new and bundle is not None and bundle.manifest.engine == OPA_ENGINE:
            await self._compile(bundle)
        return self._deciding.engine

    async def _compile(self, bundle: GatedBundle) -> None:
        """Has an OPA load a bundle before the bundle is made active, to see whether it compiles.

        That is the OPA for bundles in shadow or canary, if there is one.
        """
        if self._candidate is not None:
            self._candidate.serve(bundle)
            await _wait_until_loaded(self._candidate, bundle, CANDIDATE)
            return
        self._before, self._handed = self._deciding.feed.current, True
        self._deciding.serve(bundle)
        try:
            await _wait_until_loaded(self._deciding, bundle, "OPA")
        except BaseException:
            self.withdraw()
            raise

    def withdraw(self) -> None:
        handed, self._handed = self._handed, False
        if handed:
            self._deciding.feed.serve(self._before)

    async def trying_out(self, bundle: GatedBundle, *, shadow: bool, wait: bool) -> PolicyEngine:
        if self._candidate is None:
            return await embedded_engine(bundle, shadow=shadow)
        self._candidate.serve(bundle)
        if wait:
            await _wait_until_loaded(self._candidate, bundle, CANDIDATE)
        return self._candidate.engine

    def serve(self, bundle: GatedBundle, /) -> None:
        self._handed = False
        self._deciding.serve(bundle)
        # An OPA without any bundle reports itself as unwell.
        if self._candidate is not None and self._candidate.feed.current is None:
            self._candidate.serve(bundle)

    async def wait_until_held(self, bundle: GatedBundle, /) -> None:
        await self._deciding.holds(bundle)
