"""Tests the run-leases of exclusive attempts: requests, grants, and what happens without them."""

from clusters.embedded.scheduling.lease_requests import LEASE_SECONDS, REQUEST_SECONDS
from clusters.protocol import (
    Renewal,
)
from tests.clusters.embedded.scheduling.stepped_cluster import SteppedCluster, attempt, task
from waypost.workflow.task import SideEffects


def test_an_exclusive_attempt_runs_only_under_its_lease(cluster: SteppedCluster) -> None:
    """The lease counts from the request; before it ends without renewal, what runs is killed."""
    cluster.create(task("a"), side_effects=SideEffects.EXCLUSIVE)
    assert cluster.names == []
    (asked,) = cluster.tick(0.0).lease_requests
    cluster.now += 2.0
    cluster.apply(renewals=(Renewal(attempt=attempt(1), ask=asked.ask),))
    assert cluster.names == ["a"]
    assert cluster.tick(REQUEST_SECONDS - 2.0).lease_requests
    killed = cluster.tick(LEASE_SECONDS - REQUEST_SECONDS - 1.0).kills
    assert killed == [(attempt(1), "a")]


def test_a_grant_for_another_boot_grants_nothing(cluster: SteppedCluster) -> None:
    """It was delayed on its way, and counts from a moment that this boot's clock does not know."""
    cluster.create(task("a"), side_effects=SideEffects.EXCLUSIVE)
    (asked,) = cluster.tick(0.0).lease_requests
    cluster.crash()
    cluster.create(task("a"), side_effects=SideEffects.EXCLUSIVE)
    assert cluster.tick(0.0).lease_requests
    cluster.apply(renewals=(Renewal(attempt=attempt(1), ask=asked.ask),))

    assert cluster.names == []


def test_a_lease_is_requested_in_time_however_time_is_rounded(cluster: SteppedCluster) -> None:
    """And requests that nobody grants are not kept for ever."""
    cluster.create(task("a"), side_effects=SideEffects.EXCLUSIVE)
    cluster.now = 0.1
    asks = 0
    for _ in range(100):
        asks += len(cluster.tick(0.0).lease_requests)
        assert cluster.scheduler.next_timer is not None
        cluster.now = cluster.scheduler.next_timer
    assert asks == 100
    assert (
        len(cluster.scheduler._attempts.by_id[attempt(1)].lease_requests)
        <= LEASE_SECONDS / REQUEST_SECONDS + 1
    )


def test_a_new_stream_gets_the_requests_that_wait_for_a_grant(cluster: SteppedCluster) -> None:
    """Until they are granted."""
    cluster.create(task("a"), side_effects=SideEffects.EXCLUSIVE)
    (asked,) = cluster.tick(0.0).lease_requests
    assert cluster.scheduler.pending_lease_requests() == [asked]
    cluster.apply(renewals=(Renewal(attempt=attempt(1), ask=asked.ask),))
    assert cluster.scheduler.pending_lease_requests() == []
