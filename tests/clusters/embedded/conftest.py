"""The fixture of a running cluster node, which the tests in this folder call directly."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clusters.embedded.node import ClusterNode
from tests.clusters.embedded.working_node import settings_without_sandbox


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ClusterNode]:
    async with ClusterNode(settings_without_sandbox(tmp_path, cpu=4.0)) as node:
        yield node
