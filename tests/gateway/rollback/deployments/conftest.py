"""The fixture of tests about external deployments: three versions of one deployment."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.release_kind import IN_FORCE_SINCE
from tests.gateway.policy.rollout.releases import opened
from tests.gateway.rollback.deployments.deployment_world import KEY, TOKEN, DeploymentWorld


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    monkeypatch.setenv("SHOP_KEY", KEY)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[DeploymentWorld]:
    async with opened(tmp_path) as gateway:
        world = DeploymentWorld(gateway)
        await world.release(1)
        world.now += 100_000
        await world.release(2)
        world.now += IN_FORCE_SINCE
        yield world
