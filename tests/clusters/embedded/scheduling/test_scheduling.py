"""The scheduler as a state machine over a real journal: what it takes, what it refuses, what a crash leaves."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusters.embedded.scheduling.launch import Outcome
from clusters.embedded.scheduling.lease_requests import LEASE_SECONDS, REQUEST_SECONDS
from clusters.embedded.scheduling.retention import RETENTION_SECONDS, SUCCEEDED_RETENTION_SECONDS
from clusters.protocol import (
    AttemptEnded,
    AttemptEndKind,
    AttemptId,
    CreateOutcome,
    Fence,
    Renewal,
    TaskPhase,
    TaskResult,
)
from tests.clusters.embedded.scheduling.stepped_cluster import BROKEN, DONE, Cluster, attempt, task
from waypost.workflow.task import Resources, Retry, SideEffects, TaskSpec


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_a_create_that_must_not_run_is_refused(cluster: Cluster) -> None:
    """Late, for another boot, tombstoned, superseded, of an older era, beyond the slots, or nothing that can run."""
    assert cluster.create(task("a"), after=-1.0) == "Late"
    assert cluster.create(task("a"), fence=Fence(boot="other", not_after=9.0)) == "OtherBoot"
    cluster.apply(tombstones=(attempt(3),))
    assert cluster.create(task("a"), epoch=3) == "Tombstoned"
    assert cluster.create(task("a"), epoch=2) == "OldEpoch"
    assert cluster.create(task("a", "b")) == "OldEpoch"
    assert cluster.create(task("a", "b"), epoch=4) == "Invalid"
    assert cluster.create(TaskSpec(name="a", type="rocket", run={}), epoch=4) == "Unsupported"
    assert cluster.refusal == "task a wants the executor rocket, which this cluster has not"
    assert cluster.create(task("a", resources=Resources(cpu=64)), epoch=4) == "Unsupported"
    assert cluster.refusal == "task a asks for 64 processors; this cluster has 4"
    assert cluster.create(task("a"), epoch=4, run="../up") == "Invalid"
    for number in range(3):
        assert cluster.create(task("a"), run=f"run-{number}") == CreateOutcome.CREATED
    assert cluster.create(task("a"), run="run-3") == "Full"
    cluster.apply(tombstones=(AttemptId(run="run-0", shard=0, epoch=1 << 32),))
    assert cluster.create(task("a"), run="run-9") == "OldEra"


def test_a_resent_create_is_the_same_attempt(cluster: Cluster) -> None:
    """The answer to the first was lost; nothing starts twice."""
    assert cluster.create(task("a")) == CreateOutcome.CREATED
    assert cluster.create(task("a")) == CreateOutcome.EXISTS
    assert cluster.names == ["a"]


def test_what_is_tombstoned_is_gone_only_without_its_processes(cluster: Cluster) -> None:
    """The gateway may count on it: gone means that nothing runs any more."""
    cluster.create(task("a"))
    (answer,) = cluster.apply(tombstones=(attempt(1),)).tombstones
    assert not answer.gone
    cluster.end("a", Outcome(succeeded=False, killed=True))
    (answer,) = cluster.apply(tombstones=(attempt(1),)).tombstones
    assert answer.gone
    assert [event for event in cluster.events if isinstance(event, AttemptEnded)] == []


def test_a_newer_epoch_waits_for_the_processes_of_the_older(cluster: Cluster) -> None:
    """Two attempts of one shard never overlap in one cluster."""
    cluster.create(task("a"))
    cluster.create(task("a"), epoch=2)
    assert cluster.launched == [(attempt(1), "a")]
    cluster.end("a", Outcome(succeeded=False, killed=True))
    assert cluster.launched[1:] == [(attempt(2), "a")]


def test_after_a_crash_finished_tasks_stay_finished_and_the_rest_sleeps(cluster: Cluster) -> None:
    """Nothing starts until the gateway says so again, at the same epoch."""
    cluster.create(task("a"), task("b", "a"), task("c", "b"))
    cluster.end("a")
    cluster.crash()
    assert cluster.tick(60.0).launches == []
    assert cluster.scheduler.hello(0.0).attempts == ((attempt(1), False),)
    assert cluster.create(task("a"), task("b", "a"), task("c", "b")) == CreateOutcome.EXISTS
    assert cluster.names == ["b"]


def test_results_and_tries_of_earlier_epochs_are_taken_over(cluster: Cluster) -> None:
    """A failover runs nothing finished again, and grants no new retries."""
    cluster.create(
        task("a"),
        task("b", "a", retry=Retry(limit=1)),
        results=(TaskResult(task="a", output=1),),
        tries={"b": 1},
    )
    assert cluster.names == ["b"]
    cluster.end("b", BROKEN)
    assert (cluster.events[-1].end, cluster.events[-2].phase) == (AttemptEndKind.FAILED, TaskPhase.FAILED)


def test_a_failed_task_is_tried_again_after_its_pause(cluster: Cluster) -> None:
    cluster.create(task("a", retry=Retry(limit=2, backoff_seconds=1.0, factor=3.0)))
    for pause in (1.0, 3.0):
        cluster.end("a", BROKEN)
        assert cluster.scheduler.next_timer == cluster.now + pause
        cluster.tick(pause)
        assert cluster.names == ["a"]
    cluster.end("a", BROKEN)
    assert cluster.events[-1].reason == "task a: exit code 1"


def test_a_false_condition_skips_and_what_follows_still_runs(cluster: Cluster) -> None:
    cluster.create(task("a"), task("b", "a", when='tasks["a"].output == 1'), task("c", "b"))
    cluster.end("a", Outcome(succeeded=True, output=2))
    assert cluster.names == ["c"]
    assert [event.phase for event in cluster.events if getattr(event, "task", "") == "b"] == [
        TaskPhase.SKIPPED
    ]


def test_an_exclusive_attempt_runs_only_under_its_lease(cluster: Cluster) -> None:
    """The lease counts from the asking; before it ends without renewal, what runs is killed."""
    cluster.create(task("a"), side_effects=SideEffects.EXCLUSIVE)
    assert cluster.names == []
    (asked,) = cluster.tick(0.0).lease_requests
    cluster.now += 2.0
    cluster.apply(renewals=(Renewal(attempt=attempt(1), ask=asked.ask),))
    assert cluster.names == ["a"]
    assert cluster.tick(REQUEST_SECONDS - 2.0).lease_requests
    killed = cluster.tick(LEASE_SECONDS - REQUEST_SECONDS - 1.0).kills
    assert killed == [(attempt(1), "a")]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_order_things_end_in_needs_are_respected_and_nothing_finished_starts_again(
    data: st.DataObject,
) -> None:
    """Random graphs, outcomes and crashes; a crash forgets everything that was not journalled."""
    cluster, finished = Cluster(), set[str]()
    names = [f"t{i}" for i in range(data.draw(st.integers(1, 7)))]
    needs = {
        name: tuple(other for other in names[:i] if data.draw(st.booleans())) for i, name in enumerate(names)
    }
    tasks = [task(name, *needs[name], retry=Retry(limit=50, backoff_seconds=0.0)) for name in names]
    cluster.create(*tasks)
    for _ in range(200):
        if not cluster.running:
            break
        before = len(cluster.launched)
        name = data.draw(st.sampled_from(cluster.names))
        outcome = data.draw(st.sampled_from([DONE, DONE, DONE, BROKEN]))
        cluster.end(name, outcome)
        finished |= {name} if outcome.succeeded else set()
        if data.draw(st.integers(0, 9)) == 0:
            cluster.crash()
            cluster.create(*tasks)
        cluster.tick(0.0)
        for _, started in cluster.launched[before:]:
            assert started not in finished
            assert set(needs[started]) <= finished
    assert finished == set(names)
    assert cluster.events[-1].end is AttemptEndKind.SUCCEEDED


def test_what_succeeded_is_forgotten_a_day_after_it_is_acknowledged(cluster: Cluster) -> None:
    """A cluster runs for years: neither its memory nor its journal may hold every shard that it ever ran."""
    cluster.create(task("a"))
    cluster.end("a")
    assert cluster.remove_expired(SUCCEEDED_RETENTION_SECONDS + 1) == [], "the gateway may not have heard"
    cluster.apply(acknowledged=cluster.scheduler.seq)
    assert cluster.remove_expired(SUCCEEDED_RETENTION_SECONDS - 1) == []
    assert cluster.scheduler.shards == {("run", 0)}

    assert cluster.remove_expired(SUCCEEDED_RETENTION_SECONDS + 1) == [attempt(1)]

    assert (cluster.scheduler.shards, cluster.rows()) == (set(), 0)


def test_what_failed_is_kept_for_a_retry(cluster: Cluster) -> None:
    """Its finished tasks may have left in the workspace what the next attempt builds on."""
    cluster.create(task("a"))
    cluster.end("a", BROKEN)
    cluster.apply(acknowledged=cluster.scheduler.seq)

    assert cluster.remove_expired(SUCCEEDED_RETENTION_SECONDS + 1) == []
    assert cluster.remove_expired(RETENTION_SECONDS + 1) == [attempt(1)]


def test_a_tombstone_is_kept_as_long_as_any_create_could_come(cluster: Cluster) -> None:
    """And the attempt that it ended leaves the journal at once: it must not wake up when the tombstone goes."""
    cluster.create(task("a"))
    cluster.apply(tombstones=(attempt(1),))
    cluster.end("a", Outcome(succeeded=False, killed=True))
    assert cluster.rows() == 1

    assert cluster.remove_expired(RETENTION_SECONDS - 1) == []
    assert cluster.remove_expired(RETENTION_SECONDS + 1) == [attempt(1)]
    assert (cluster.scheduler.shards, cluster.rows()) == (set(), 0)


def test_what_runs_is_never_forgotten(cluster: Cluster) -> None:
    """However long it takes."""
    cluster.create(task("a"))
    assert cluster.remove_expired(100 * RETENTION_SECONDS) == []


def test_the_outputs_of_a_shard_have_a_bound(cluster: Cluster) -> None:
    """They all go with the next attempt.

    The task that passes it fails for good: running it again would not help.
    """
    names = [f"t{number:03}" for number in range(300)]
    cluster.create(*(task(name, retry=Retry(limit=9)) for name in names))
    whole = Outcome(succeeded=True, output="x" * (64 * 1024 - 2))
    for _ in range(256):
        cluster.end(cluster.names[0], whole)
    assert not any(isinstance(event, AttemptEnded) for event in cluster.events)

    cluster.end(cluster.names[0], whole)
    while cluster.names:
        cluster.end(cluster.names[0], Outcome(succeeded=False, killed=True))

    assert cluster.events[-1].end is AttemptEndKind.FAILED
    assert "more than 16 MiB" in cluster.events[-1].reason
