"""Tests attempts that a cluster ends by itself: past their deadline, or without a renewed lease."""

from clusters.embedded.scheduling.launch import Outcome
from clusters.protocol import LEASE_ENDED, AttemptEnded, AttemptEndKind, Fence, Renewal, TaskChanged
from tests.clusters.embedded.scheduling.stepped_cluster import SteppedCluster, attempt, task
from waypost.workflow.task import SideEffects

KILLED = Outcome(succeeded=False, killed=True, reason="killed")


def test_past_its_deadline_an_attempt_is_failed_without_a_gateway(cluster: SteppedCluster) -> None:
    """What runs is killed and what waits does not start; the gateway finds the end when it is back."""
    cluster.create(task("a"), task("b", "a"), expires_at=5.0)
    assert cluster.tick(4.9).kills == []

    assert cluster.tick(0.1).kills == [(attempt(1), "a")]
    cluster.end("a", KILLED)
    ended = cluster.events[-1]
    assert isinstance(ended, AttemptEnded)
    assert (ended.end, ended.reason) == (AttemptEndKind.FAILED, "DeadlineExceeded")
    assert cluster.running == []


def test_after_a_restart_the_deadline_is_that_of_the_create_that_wakes_it(cluster: SteppedCluster) -> None:
    """The one before was an uptime of the boot before."""
    cluster.create(task("a"), expires_at=5.0)
    cluster.now = 100.0
    cluster.crash()
    cluster.now = 0.0
    cluster.create(task("a"), fence=Fence(boot="boot-2", not_after=5.0), expires_at=3.0)
    assert cluster.names == ["a"]

    assert cluster.tick(3.0).kills == [(attempt(1), "a")]


def test_an_attempt_without_a_deadline_has_none(cluster: SteppedCluster) -> None:
    cluster.create(task("a"))

    assert cluster.tick(1e9).kills == []


def test_a_lease_that_ends_is_no_try_of_its_tasks(cluster: SteppedCluster) -> None:
    """No gateway has renewed it. The attempt is lost, and the next one starts with all tries of its tasks."""
    cluster.create(task("a"), task("b"), side_effects=SideEffects.EXCLUSIVE)
    ask = cluster.tick(0.0).lease_requests[0].ask
    cluster.apply(renewals=(Renewal(attempt=attempt(1), ask=ask),))
    assert sorted(cluster.names) == ["a", "b"]
    cluster.tick(14.5)
    for name in ("a", "b"):
        cluster.end(name, KILLED)

    assert cluster.running == []
    ended = cluster.events[-1]
    assert (ended.end, ended.reason) == (AttemptEndKind.LOST, LEASE_ENDED)
    newest = {event.task: event.tries for event in cluster.events if isinstance(event, TaskChanged)}
    assert newest == {"a": 0, "b": 0}
