"""Tests which tenants' runs a cluster takes that isolates nothing."""

from typing import Any

import pytest

from clusters.cluster_status import Isolation
from clusters.embedded.capabilities import Capabilities, Tenants
from clusters.embedded.executors.registry import DECLARED
from clusters.protocol import OTHER_TENANT, AttemptId, Batch, CreateOutcome, Fence, RunSpec, ShardSpec
from clusters.protocol_bounds import Name
from tests.clusters.embedded.scheduling import stepped_cluster
from tests.clusters.embedded.scheduling.stepped_cluster import SteppedCluster
from waypost.workflow.task import TaskSpec


def capable(known: frozenset[str] = frozenset(), *, one: bool = True) -> Capabilities:
    return Capabilities(
        cpu=4.0,
        executors=DECLARED.run_types,
        exclusive=DECLARED.exclusive,
        tenants=Tenants(known, sharing={"process"}, one=one),
        isolation=Isolation.NONE,
        trusted_tenants=not one,
    )


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> SteppedCluster:
    monkeypatch.setattr(stepped_cluster, "CAPABILITIES", capable())
    return SteppedCluster()


def ask(cluster: SteppedCluster, run: Name, key: str, type_: str = "process") -> tuple[Any, str]:
    how: dict[str, Any] = {"command": ["true"]} if type_ == "process" else {"seconds": 0}
    spec = RunSpec(run=run, tasks=(TaskSpec(name="a", type=type_, run=how),), fairness_key=key)
    fence = Fence(boot=cluster.scheduler.status(0).boot, not_after=1e9)
    shard = ShardSpec(attempt=AttemptId(run=run, shard=0, epoch=1), fence=fence)
    answers, step = cluster.scheduler.apply(Batch(runs=(spec,), creates=(shard,)), cluster.now, cluster.now)
    cluster.act(step)
    (answer,) = answers.creates
    return answer.outcome, answer.reason


def test_a_second_tenant_is_refused_and_the_first_is_not(cluster: SteppedCluster) -> None:
    """What keeps them apart is missing. Tasks that touch no file of this machine are no danger."""
    assert ask(cluster, "one", "a") == (CreateOutcome.CREATED, "")
    assert ask(cluster, "two", "b") == (CreateOutcome.REFUSED, OTHER_TENANT)
    assert ask(cluster, "three", "b", "delay") == (CreateOutcome.CREATED, "")
    assert ask(cluster, "four", "a") == (CreateOutcome.CREATED, "")
    status = cluster.scheduler.status(0)
    assert (status.isolation, status.trusted_tenants, status.tenants) == (Isolation.NONE, False, ("a",))


def test_a_tenant_that_has_files_here_counts_after_a_restart(
    cluster: SteppedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its attempt has ended; its workspace is still there."""
    ask(cluster, "one", "a")
    gone = Batch(tombstones=(AttemptId(run="one", shard=0, epoch=1),))
    cluster.act(cluster.scheduler.apply(gone, cluster.now, cluster.now)[1])
    (known,) = cluster.db.execute("select group_concat(key) from tenant").fetchone()
    monkeypatch.setattr(stepped_cluster, "CAPABILITIES", capable(frozenset({known})))
    cluster.crash()

    assert ask(cluster, "two", "b") == (CreateOutcome.REFUSED, OTHER_TENANT)


def test_a_cluster_without_any_files_takes_another_tenant(cluster: SteppedCluster) -> None:
    """When retention has removed the last record, and its files with it."""
    ask(cluster, "one", "a")
    gone = Batch(tombstones=(AttemptId(run="one", shard=0, epoch=1),))
    cluster.act(cluster.scheduler.apply(gone, cluster.now, cluster.now)[1])
    for run, name in [item for item in cluster.running if item[0].run == "one"]:
        cluster.act(
            cluster.scheduler.record_outcome(run, name, stepped_cluster.BROKEN, cluster.now, cluster.now)
        )
    cluster.act(cluster.scheduler.apply(gone, cluster.now, cluster.now)[1])
    cluster.act(cluster.scheduler.remove_expired(cluster.now, 1e9))

    assert cluster.db.execute("select count(*) from tenant").fetchone() == (0,)
    assert ask(cluster, "two", "b") == (CreateOutcome.CREATED, "")


def test_trusted_tenants_all_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the operator answers for them; the status says so."""
    monkeypatch.setattr(stepped_cluster, "CAPABILITIES", capable(one=False))
    cluster = SteppedCluster()
    assert [ask(cluster, name, name) for name in ("a", "b")] == [(CreateOutcome.CREATED, "")] * 2
    status = cluster.scheduler.status(0)
    assert (status.trusted_tenants, status.tenants) == (True, None)


def test_a_scheduler_of_a_cluster_with_two_tenants_takes_neither() -> None:
    """It had sandboxes, and was started without: its files are of both."""
    tenants = Tenants({"a", "b"}, sharing={"process"}, one=True)
    run = RunSpec(run="r", tasks=(TaskSpec(name="a", type="process", run={}),), fairness_key="a")
    assert "--trusted-tenants" in tenants.refusal(run)
