"""The fixture of tests about released workflows: three versions of one workflow."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.release_kind import IN_FORCE_SINCE
from tests.gateway.policy.rollout.releases import opened
from tests.gateway.rollback.workflows.workflow_world import WorkflowWorld


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[WorkflowWorld]:
    async with opened(tmp_path) as gateway:
        world = WorkflowWorld(gateway)
        await world.applied("a", "b", "c")
        world.now += 100_000
        await world.release(2)
        world.now += IN_FORCE_SINCE
        yield world
