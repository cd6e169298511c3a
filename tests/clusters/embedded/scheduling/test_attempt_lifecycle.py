"""The life of an attempt: what is started, what a false condition skips, and when it ends."""

from hypothesis import given, settings
from hypothesis import strategies as st

from clusters.embedded.scheduling.launch import Outcome
from clusters.protocol import (
    AttemptEndKind,
    TaskPhase,
)
from tests.clusters.embedded.scheduling.stepped_cluster import BROKEN, DONE, SteppedCluster, attempt, task
from waypost.workflow.task import Retry, SideEffects


def test_a_newer_epoch_waits_for_the_processes_of_the_older(cluster: SteppedCluster) -> None:
    """Two attempts of one shard never overlap in one cluster."""
    cluster.create(task("a"))
    cluster.create(task("a"), epoch=2)
    assert cluster.launched == [(attempt(1), "a")]
    cluster.end("a", Outcome(succeeded=False, killed=True))
    assert cluster.launched[1:] == [(attempt(2), "a")]


def test_a_false_condition_skips_and_what_follows_still_runs(cluster: SteppedCluster) -> None:
    cluster.create(task("a"), task("b", "a", when='tasks["a"].output == 1'), task("c", "b"))
    cluster.end("a", Outcome(succeeded=True, output=2))
    assert cluster.names == ["c"]
    assert [event.phase for event in cluster.events if getattr(event, "task", "") == "b"] == [
        TaskPhase.SKIPPED
    ]


def test_a_placeholder_that_names_nothing_ends_the_attempt(cluster: SteppedCluster) -> None:
    """It shows only when the task is about to start, and no outcome of a try would end the attempt."""
    spec = task("a")
    spec.run["word"] = "${shard.item.x}"
    cluster.create(spec, item="text")

    assert cluster.events[-1].end is AttemptEndKind.FAILED


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_in_any_order_of_outcomes_needs_are_respected_and_nothing_finished_starts_again(
    data: st.DataObject,
) -> None:
    """Random graphs, outcomes and crashes; a crash forgets everything that was not journalled."""
    cluster, finished = SteppedCluster(), set[str]()
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


def test_conditions_are_evaluated_a_few_at_a_time() -> None:
    """A run with many long conditions must not keep probes and leases waiting: the next tick goes on."""
    cluster = SteppedCluster()
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


def test_an_attempt_shows_its_state(cluster: SteppedCluster) -> None:
    """In a debugger and in an error's text one must see what it waits for."""
    cluster.create(task("a"), task("b"), task("c", "a"), side_effects=SideEffects.EXCLUSIVE)
    assert repr(cluster.scheduler._attempts.by_id[attempt(1)]) == (
        "Attempt(run/0, epoch 1: awake, 0 of 3 finished, running [], queued [], due {}, lease until -inf)"
    )
    cluster.apply(tombstones=(attempt(1),))
    cluster.create(task("a"), task("b"), epoch=2)
    cluster.end("a", BROKEN)
    assert repr(cluster.scheduler._attempts.by_id[attempt(2)]) == (
        "Attempt(run/0, epoch 2: awake, 0 of 2 finished, running ['b'], queued [], due {}, "
        "failed: task a: exit code 1)"
    )
