"""The fixture of a scheduler that the tests in this folder move on step by step."""

import pytest

from tests.clusters.embedded.scheduling.stepped_cluster import SteppedCluster


@pytest.fixture
def cluster() -> SteppedCluster:
    """Creates a cluster of four processors and three slots."""
    return SteppedCluster()
