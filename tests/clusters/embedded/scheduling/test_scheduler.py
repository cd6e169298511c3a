"""Tests the scheduler over a real journal: tombstones, crashes, a restored journal, and its shutdown."""

from clusters.embedded.scheduling.launch import Outcome
from clusters.protocol import (
    AttemptEnded,
    AttemptEndKind,
    CreateOutcome,
    Renewal,
)
from tests.clusters.embedded.scheduling.stepped_cluster import BROKEN, SteppedCluster, attempt, task
from waypost.workflow.task import SideEffects


def test_what_is_tombstoned_is_gone_only_without_its_processes(cluster: SteppedCluster) -> None:
    """The gateway may count on it: gone means that nothing runs any more."""
    cluster.create(task("a"))
    (answer,) = cluster.apply(tombstones=(attempt(1),)).tombstones
    assert not answer.gone
    cluster.end("a", Outcome(succeeded=False, killed=True))
    (answer,) = cluster.apply(tombstones=(attempt(1),)).tombstones
    assert answer.gone
    assert [event for event in cluster.events if isinstance(event, AttemptEnded)] == []


def test_after_a_crash_finished_tasks_stay_finished_and_the_rest_sleeps(cluster: SteppedCluster) -> None:
    """Nothing starts until the gateway creates it again, at the same epoch."""
    cluster.create(task("a"), task("b", "a"), task("c", "b"))
    cluster.end("a")
    cluster.crash()
    assert cluster.tick(60.0).launches == []
    assert cluster.scheduler.hello(0.0).attempts == ((attempt(1), False),)
    assert cluster.create(task("a"), task("b", "a"), task("c", "b")) == CreateOutcome.EXISTS
    assert cluster.names == ["b"]


def test_what_failed_for_good_is_not_tried_again_after_a_crash(cluster: SteppedCluster) -> None:
    """Its other tries were still being killed: it ends as failed when the gateway creates it again."""
    cluster.create(task("a"), task("b"))
    cluster.end("a", BROKEN)
    cluster.crash()
    assert cluster.create(task("a"), task("b")) == CreateOutcome.EXISTS

    assert cluster.names == []
    assert (cluster.events[-1].end, cluster.events[-1].reason) == (
        AttemptEndKind.FAILED,
        "task a: exit code 1",
    )


def test_a_restored_journal_drops_pending_retries(cluster: SteppedCluster) -> None:
    """A retry that was due under the old name would never come, and its task never start again."""
    cluster.create(task("a"))
    cluster.act(cluster.scheduler.change_incarnation("new", 0.0, 0.0))
    cluster.end("a", Outcome(succeeded=False, killed=True))
    cluster.tick(1.0)
    cluster.create(task("a"))

    assert cluster.names == ["a"]


def test_a_restored_journal_has_no_lease(cluster: SteppedCluster) -> None:
    """Its leases were granted to the journal that it is a copy of."""
    cluster.create(task("a"), side_effects=SideEffects.EXCLUSIVE)
    (asked,) = cluster.tick(0.0).lease_requests
    cluster.apply(renewals=(Renewal(attempt=attempt(1), ask=asked.ask),))
    cluster.act(cluster.scheduler.change_incarnation("new", 0.0, 0.0))
    cluster.end("a", Outcome(succeeded=False, killed=True))
    cluster.create(task("a"), side_effects=SideEffects.EXCLUSIVE)

    assert cluster.names == []
    assert cluster.tick(0.0).lease_requests


def test_a_cluster_that_closes_starts_nothing_more(cluster: SteppedCluster) -> None:
    """Tries that it kills free processors, but nothing may start on them."""
    cluster.create(*(task(f"t{number}") for number in range(8)))
    cluster.scheduler.queue.close()
    while cluster.running:
        cluster.end(cluster.names[0], Outcome(succeeded=False, killed=True))
    cluster.tick(1.0)

    assert len(cluster.launched) == 4
