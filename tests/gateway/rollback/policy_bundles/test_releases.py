"""Tests policy bundles as a kind of release, by the conformance suite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.rollback import ReleaseKind
from gateway.policy.rollout.acts import Act
from gateway.policy.rollout.bundle_states import NOBODY, BundleState, Share, Step
from gateway.rollback.policy_bundles.releases import PolicyBundles
from tests.conformance.release_kind import IN_FORCE_SINCE, ReleaseKindConformance
from tests.conformance.release_world import START, ReleaseWorld, State
from tests.gateway.policy.rollout.releases import archive, opened

STATES = {
    BundleState.GATED: State.WAITING,
    BundleState.CANARY: State.CANARY,
    BundleState.ACTIVE: State.IN_FORCE,
    BundleState.SUPERSEDED: State.BEFORE,
    BundleState.ROLLED_BACK: State.TAKEN_BACK,
}


class BundleWorld(ReleaseWorld):
    """Three policy bundles, named by their sequence."""

    kind = ReleaseKind.POLICY
    counted = PolicyBundles.counted

    @property
    def releases(self) -> PolicyBundles:
        return PolicyBundles(self.gateway.rollout)

    def name(self, number: int) -> str:
        return str(number)

    async def states(self) -> dict[int, State]:
        return {one.sequence: STATES[one.state] for one in self.gateway.rollout.current.releases}

    async def release(self, number: int) -> None:
        await self._step(Step.ACTIVATE, number)

    async def canary(self, number: int) -> None:
        await self._step(Step.CANARY, number, Share(percent=5))

    async def take_back(self, number: int) -> None:
        await self._step(Step.ROLL_BACK, number)

    async def _step(self, which: Step, sequence: int, share: Share = NOBODY) -> None:
        act, rollout = Act(by="ada", at=self.now, decision_id="d"), self.gateway.rollout
        await rollout.take(which, sequence, act, expected=rollout.current.generation, share=share)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ReleaseWorld]:
    async with opened(tmp_path) as gateway:
        world = BundleWorld(gateway)
        for sequence in (1, 2, 3):
            await gateway.rollout.upload(archive(sequence), Act(by="ada", at=START, decision_id="d"))
        await world.release(1)
        world.now += 100_000
        await world.release(2)
        world.now += IN_FORCE_SINCE
        yield world


class TestPolicyBundles(ReleaseKindConformance):
    """Policy bundles, of which one is in force at a time."""
