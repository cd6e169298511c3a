"""Tests the life of an attempt: which tasks start, which a false condition skips, and when it ends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusters.embedded.scheduling.launch import Outcome
from clusters.protocol import AttemptEndKind, Renewal
from tests.clusters.embedded.scheduling.stepped_cluster import BROKEN, DONE, SteppedCluster, attempt, task
from waypost.condition_evaluation.messages import ConditionAnswer
from waypost.workflow.task import Retry, SideEffects
from waypost.workflow.task_phase import TaskPhase


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
    cluster.answer_conditions()
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
    """Random graphs, conditions, outcomes and crashes; a crash forgets everything that was not journalled."""
    cluster, finished = SteppedCluster(), set[str]()
    names = [f"t{i}" for i in range(data.draw(st.integers(1, 7)))]
    needs = {
        name: tuple(other for other in names[:i] if data.draw(st.booleans())) for i, name in enumerate(names)
    }
    conditions = {name: data.draw(st.sampled_from([None, None, "true", "false"])) for name in names}
    tasks = [
        task(name, *needs[name], when=conditions[name], retry=Retry(limit=50, backoff_seconds=0.0))
        for name in names
    ]
    cluster.create(*tasks)
    for _ in range(200):
        if not cluster.running and not cluster.asked:
            break
        before = len(cluster.launched)
        if cluster.asked and (not cluster.running or data.draw(st.booleans())):
            cluster.answer_conditions()
        else:
            name = data.draw(st.sampled_from(cluster.names))
            outcome = data.draw(st.sampled_from([DONE, DONE, DONE, BROKEN]))
            cluster.end(name, outcome)
            finished |= {name} if outcome.succeeded else set()
        skipped = (event for event in cluster.events if getattr(event, "phase", "") is TaskPhase.SKIPPED)
        finished |= {event.task for event in skipped}
        if data.draw(st.integers(0, 9)) == 0:
            cluster.crash()
            cluster.create(*tasks)
        cluster.tick(0.0)
        for _, started in cluster.launched[before:]:
            assert started not in finished
            assert set(needs[started]) <= finished
    assert finished == set(names)
    assert cluster.events[-1].end is AttemptEndKind.SUCCEEDED


def test_nothing_else_waits_for_a_condition(cluster: SteppedCluster) -> None:
    """It may take as long as its budget, and others of its kind wait before it."""
    cluster.create(task("when", when="true"), task("plain"), task("after", "when"))
    cluster.create(task("other"), run="other")

    assert cluster.names == ["plain", "other"]
    cluster.end("plain")
    cluster.answer_conditions()
    assert cluster.names == ["other", "when"]
    cluster.end("when")
    assert cluster.names == ["other", "after"]


def test_skipped_tasks_ask_for_the_conditions_behind_them(cluster: SteppedCluster) -> None:
    cluster.create(task("a", when="false"), task("b", "a", when='tasks["a"].output != null'), task("c", "b"))
    cluster.answer_conditions()

    assert cluster.names == ["c"]


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("params.nope", "task a: when: cannot be evaluated: there is no 'nope'"),
        ("shard.index", "task a: when: gives int, not true or false"),
    ],
)
def test_a_condition_that_errs_fails_its_task(cluster: SteppedCluster, when: str, reason: str) -> None:
    """The sentence says what to do; other tries of the attempt are ended."""
    cluster.create(task("a", when=when), task("b"))
    cluster.answer_conditions()
    assert cluster.events[-1].phase is TaskPhase.FAILED
    cluster.end("b", Outcome(succeeded=False, killed=True))

    assert (cluster.events[-1].end, cluster.events[-1].reason) == (AttemptEndKind.FAILED, reason)


def test_a_restart_asks_again(cluster: SteppedCluster) -> None:
    """An evaluation is not journalled: it gives the same each time."""
    cluster.create(task("a", when="true"))
    cluster.crash()
    assert cluster.asked == []
    cluster.create(task("a", when="true"))

    assert cluster.asked == [(attempt(1), "a")]
    cluster.answer_conditions()
    assert cluster.names == ["a"]


@pytest.mark.parametrize("end", ["tombstone", "newer", "sleep", "failure"])
def test_an_answer_that_nobody_waits_for_changes_nothing(cluster: SteppedCluster, end: str) -> None:
    """The attempt was stopped while its condition was evaluated: nothing of it may start."""
    cluster.create(task("a", when="true"), task("b"))
    late = [(*key, ConditionAnswer(holds=True)) for key in cluster.asked]
    match end:
        case "tombstone":
            cluster.apply(tombstones=(attempt(1),))
        case "newer":
            cluster.create(task("a", when="false"), task("b"), epoch=2)
        case "sleep":
            cluster.act(cluster.scheduler.change_incarnation("copy", 0.0, 0.0))
        case _:
            cluster.end("b", BROKEN)
    events = list(cluster.events)
    assert cluster.scheduler.condition(attempt(1), "a") is None
    step = cluster.scheduler.record_conditions(late, cluster.now, 0.0)

    assert (step.launches, step.has_records, cluster.events) == ([], False, events)


def test_two_answers_to_one_condition_start_one_try(cluster: SteppedCluster) -> None:
    """It was asked again when the attempt woke, and the first question was still on its way."""
    cluster.create(task("a", when="true"))
    cluster.act(cluster.scheduler.change_incarnation("copy", 0.0, 0.0))
    cluster.create(task("a", when="true"))
    asked, cluster.asked = cluster.asked, []
    assert asked == [(attempt(1), "a")] * 2
    for key in asked:
        cluster.act(cluster.scheduler.record_conditions([(*key, ConditionAnswer(holds=True))], 0.0, 0.0))

    assert cluster.launched == [(attempt(1), "a")]


def test_an_exclusive_task_whose_lease_ended_meanwhile_is_asked_about_again(cluster: SteppedCluster) -> None:
    """Nothing starts without a lease; with the next one its condition is evaluated again."""
    exclusive = SideEffects.EXCLUSIVE
    cluster.create(task("a", when="true"), side_effects=exclusive)
    (lease,) = cluster.tick(0.0).lease_requests
    cluster.apply(renewals=(Renewal(attempt=attempt(1), ask=lease.ask),))
    assert cluster.asked == [(attempt(1), "a")]
    (lease,) = cluster.tick(15.0).lease_requests
    cluster.answer_conditions()
    assert cluster.names == []
    cluster.apply(renewals=(Renewal(attempt=attempt(1), ask=lease.ask),))
    cluster.answer_conditions()

    assert cluster.names == ["a"]


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
        "Attempt(run/0, epoch 2: awake, 1 of 2 finished, running ['b'], queued [], due {}, "
        "failed: task a: exit code 1)"
    )
