"""How many tasks wait for a processor: what a cluster says of itself, and placement goes by."""

import pytest

from clusters.protocol import AttemptId
from tests.clusters.embedded.scheduling.stepped_cluster import BROKEN, Cluster, task


@pytest.fixture
def cluster() -> Cluster:
    """Four processors."""
    return Cluster()


def queued(cluster: Cluster) -> int:
    return cluster.scheduler.status(cluster.now).queued


def test_what_is_ready_and_finds_no_processor_is_queued(cluster: Cluster) -> None:
    """Not what runs, nor what waits for other tasks."""
    cluster.create(*(task(f"t{n}") for n in range(7)), task("last", "t0"))
    assert queued(cluster) == 3

    cluster.end("t0")
    assert queued(cluster) == 3, "one more has started, and the last one is ready"
    for n in range(1, 7):
        cluster.end(f"t{n}")
    assert queued(cluster) == 0


def test_what_is_given_up_waits_no_more(cluster: Cluster) -> None:
    """A run that was cancelled or has failed must not make its region look busy until others are through."""
    cluster.create(*(task(f"t{n}") for n in range(9)))
    cluster.create(*(task(f"u{n}") for n in range(9)), run="other")
    assert queued(cluster) == 14

    cluster.apply(tombstones=(AttemptId(run="other", shard=0, epoch=1),))
    assert queued(cluster) == 5
    cluster.end("t0", BROKEN)
    assert queued(cluster) == 0


def test_a_restarted_cluster_queues_nothing_until_it_is_told(cluster: Cluster) -> None:
    """What it found in its journal is asleep."""
    cluster.create(*(task(f"t{n}") for n in range(9)))
    cluster.crash()
    assert queued(cluster) == 0

    cluster.create(*(task(f"t{n}") for n in range(9)))
    assert queued(cluster) == 5
