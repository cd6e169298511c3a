"""Replaces the policy engines in use (active, in shadow, in canary) when the rollout changes.

Everything that can fail is done in `prepare`, before the change is committed; `apply` cannot fail.
"""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from gateway.policy.bundle import Bundle
from gateway.policy.interface import PolicyEngine
from gateway.policy.rollout.bundle_engines import BundleEngines
from gateway.policy.rollout.bundle_gate import GatedBundle
from gateway.policy.rollout.bundle_states import BundleState, Release, Rollout
from gateway.policy.rollout.chosen_engine import ChosenEngine
from gateway.policy.rollout.shadow import Shadow, ShadowCounts
from gateway.policy.rollout.tenant_share import TenantShare

MakeShadow = Callable[[PolicyEngine], Shadow]


class PreparedChange(Struct, frozen=True, kw_only=True):
    """The started policy engines for the rollout's next state; None for an engine that stays."""

    deciding: PolicyEngine | None = None
    bundle: GatedBundle | None = None
    """The bundle that is to decide; None if that stays, or there is none."""
    in_force_since: float | None = None
    ends_trial: bool = False
    tried_out: PolicyEngine | None = None
    candidate: Release | None = None


class EngineChanges:
    """Replaces the policy engines in `chosen` by engines that `engines` makes, when the rollout changes.

    `read` returns the checked bundle of a release.
    """

    def __init__(
        self,
        engines: BundleEngines,
        chosen: ChosenEngine,
        *,
        read: Callable[[Release], Awaitable[GatedBundle]],
        make_shadow: MakeShadow,
    ) -> None:
        self._engines, self._chosen = engines, chosen
        self._read, self._make_shadow = read, make_shadow
        self._shadow: tuple[int, Shadow] | None = None

    def shadow_counts(self, sequence: int) -> ShadowCounts | None:
        """Returns the comparison counts of a bundle in shadow; None unless it was this process's last one."""
        if self._shadow is None or self._shadow[0] != sequence:
            return None
        return self._shadow[1].counts

    async def deciding_bundles(self, rollout: Rollout) -> tuple[Bundle, ...]:
        """Returns the policy bundles that decide now: the active one, and the one in canary.

        Empty if only an OPA has the active one.
        """
        active, candidate = rollout.active, rollout.candidate
        deciding = self._engines.started_with if active is None else (await self._read(active)).bundle
        if deciding is None:
            return ()
        if candidate is None or candidate.state is not BundleState.CANARY:
            return (deciding,)
        return (deciding, (await self._read(candidate)).bundle)

    async def prepare(self, before: Rollout, after: Rollout, *, wait: bool = True) -> PreparedChange:
        """Makes the engines that the rollout `after` needs and `before` did not.

        `wait`: an engine in shadow or canary must have loaded its bundle; otherwise it may load it later.
        Raises `BundleError` or `Invalid` where no engine can evaluate a bundle, `Unavailable` where an OPA
        must compile one and does not answer.
        """
        deciding, bundle = None, None
        if _of(before.active) != _of(after.active):
            bundle = None if after.active is None else await self._read(after.active)
            deciding = await self._engines.deciding(bundle, is_new=wait and _is_new(before, after.active))
        tried_out, candidate = None, after.candidate
        ends_trial = candidate != before.candidate
        if candidate is not None and ends_trial:
            try:
                tried_out = await self._engines.trying_out(
                    await self._read(candidate), shadow=candidate.state is BundleState.SHADOW, wait=wait
                )
            except BaseException:
                self._engines.withdraw()
                if deciding is not None:
                    self._chosen.discard(deciding)
                raise
        return PreparedChange(
            deciding=deciding,
            bundle=bundle,
            in_force_since=_in_force_since(after),
            ends_trial=ends_trial,
            tried_out=tried_out,
            candidate=candidate,
        )

    def apply(self, change: PreparedChange) -> None:
        """Puts the prepared policy engines in force, in shadow or in canary."""
        if change.ends_trial:
            self._chosen.end_trial()
        if change.deciding is not None:
            self._chosen.activate(change.deciding, at=change.in_force_since)
        if change.bundle is not None:
            self._engines.serve(change.bundle)
        if change.tried_out is None or change.candidate is None:
            return
        if change.candidate.state is BundleState.SHADOW:
            shadow = self._make_shadow(change.tried_out)
            self._shadow = (change.candidate.sequence, shadow)
            self._chosen.put_in_shadow(shadow)
        else:
            self._chosen.put_in_canary(change.tried_out, TenantShare(change.candidate.share))

    def discard(self, change: PreparedChange) -> None:
        """Closes the prepared policy engines, after the rollout change was not committed."""
        self._engines.withdraw()
        for engine in (change.deciding, change.tried_out):
            if engine is not None:
                self._chosen.discard(engine)

    async def wait_until_held(self, change: PreparedChange) -> None:
        """Waits, for a bounded time, until the active bundle's engine has loaded the bundle."""
        if change.bundle is not None:
            await self._engines.wait_until_held(change.bundle)


def _in_force_since(rollout: Rollout) -> float | None:
    """Returns the time at which the active bundle became active; without one, that of the last change."""
    if rollout.active is not None:
        return rollout.active.changed_at
    return max((release.changed_at for release in rollout.releases), default=None)


def _is_new(before: Rollout, active: Release | None) -> bool:
    """Returns whether the bundle to be activated was never active, so that OPA has not compiled it yet."""
    known = None if active is None else before.release(active.sequence)
    return known is not None and known.state is not BundleState.SUPERSEDED


def _of(release: Release | None) -> int | None:
    return None if release is None else release.sequence
