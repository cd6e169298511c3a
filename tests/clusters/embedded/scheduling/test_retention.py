"""Tests how long ended attempts and tombstones are kept, in memory and in the journal."""

from clusters.embedded.scheduling.launch import Outcome
from clusters.embedded.scheduling.retention import RETENTION_SECONDS, SUCCEEDED_RETENTION_SECONDS
from clusters.protocol import (
    CreateOutcome,
    Fence,
)
from tests.clusters.embedded.scheduling.stepped_cluster import BROKEN, SteppedCluster, attempt, task


def test_what_succeeded_expires_a_day_after_its_end(cluster: SteppedCluster) -> None:
    """A cluster runs for years: neither its memory nor its journal may hold every shard that it ever ran."""
    cluster.create(task("a"))
    cluster.end("a")
    assert cluster.remove_expired(SUCCEEDED_RETENTION_SECONDS + 1) == [], "the gateway may not have heard"
    cluster.apply(acknowledged=cluster.scheduler.seq)
    assert cluster.remove_expired(SUCCEEDED_RETENTION_SECONDS - 1) == []
    assert cluster.scheduler.shards == {("run", 0)}

    assert cluster.remove_expired(SUCCEEDED_RETENTION_SECONDS + 1) == [attempt(1)]

    assert (cluster.scheduler.shards, cluster.rows()) == (set(), 0)


def test_what_failed_is_kept_for_a_retry(cluster: SteppedCluster) -> None:
    """Its finished tasks may have left in the workspace what the next attempt builds on."""
    cluster.create(task("a"))
    cluster.end("a", BROKEN)
    cluster.apply(acknowledged=cluster.scheduler.seq)

    assert cluster.remove_expired(SUCCEEDED_RETENTION_SECONDS + 1) == []
    assert cluster.remove_expired(RETENTION_SECONDS + 1) == [attempt(1)]


def test_a_tombstone_is_kept_as_long_as_any_create_could_come(cluster: SteppedCluster) -> None:
    """The attempt that it ended leaves the journal at once: it must not wake up when the tombstone goes."""
    cluster.create(task("a"))
    cluster.apply(tombstones=(attempt(1),))
    cluster.end("a", Outcome(succeeded=False, killed=True))
    assert cluster.rows() == 1

    assert cluster.remove_expired(RETENTION_SECONDS - 1) == []
    assert cluster.remove_expired(RETENTION_SECONDS + 1) == [attempt(1)]
    assert (cluster.scheduler.shards, cluster.rows()) == (set(), 0)


def test_what_runs_never_expires(cluster: SteppedCluster) -> None:
    """However long it takes."""
    cluster.create(task("a"))
    assert cluster.remove_expired(100 * RETENTION_SECONDS) == []


def test_what_has_ended_and_is_acknowledged_takes_no_memory(cluster: SteppedCluster) -> None:
    """Thousands of runs end each day; their tasks and results are the gateway's."""
    cluster.create(task("a"))
    cluster.end("a")
    cluster.apply(acknowledged=cluster.scheduler.seq)

    assert not cluster.scheduler._attempts.by_id
    assert cluster.scheduler.shards == {("run", 0)}
    cluster.crash()
    assert not cluster.scheduler._attempts.by_id
    assert cluster.create(task("a"), fence=Fence(boot="boot-1", not_after=0.0)) == CreateOutcome.EXISTS
