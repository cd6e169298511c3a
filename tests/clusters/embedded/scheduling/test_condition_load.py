"""Conditions of one run, and everybody else who waits meanwhile."""

from tests.clusters.embedded.scheduling.stepped_cluster import Cluster, task


def test_conditions_are_evaluated_a_few_at_a_time() -> None:
    """One run with many long conditions must not keep everybody else's probes and leases waiting: the next tick goes on."""
    cluster = Cluster()
    long = " || ".join(["shard.index > 5"] * 100) + " || true"
    tasks = [task(f"t{i}", when=f"{i} < 0 || {long}") for i in range(10)]
    cluster.create(*tasks, task("plain"))

    assert cluster.names == ["t0", "t1", "t2", "plain"]
    assert cluster.scheduler.next_timer == cluster.now
    cluster.end("t0")
    cluster.end("plain")
    cluster.tick(0.0)
    assert cluster.names == ["t1", "t2", "t3", "t4"]
    while len(cluster.launched) < 11:
        cluster.end(cluster.names[0])
        cluster.tick(0.0)
    assert len(set(cluster.launched)) == 11
    assert cluster.scheduler.next_timer is None
