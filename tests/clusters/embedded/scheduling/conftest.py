"""The cluster that the tests of this room move on."""

import pytest

from tests.clusters.embedded.scheduling.stepped_cluster import SteppedCluster


@pytest.fixture
def cluster() -> SteppedCluster:
    """Four processors and three slots."""
    return SteppedCluster()
