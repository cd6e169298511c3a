"""Tests what happens in a shard after a task's failure."""

import msgspec
import pytest

from clusters.embedded.scheduling.launch import Outcome
from clusters.protocol import AttemptEndKind, TaskResult
from tests.clusters.embedded.scheduling.stepped_cluster import BROKEN, SteppedCluster, attempt, task
from waypost.workflow.task import Retry
from waypost.workflow.task_phase import TaskPhase

KILLED = Outcome(succeeded=False, killed=True)


def test_a_tolerated_failure_is_recorded_and_fails_nothing(cluster: SteppedCluster) -> None:
    cluster.create(
        task("a", continue_on_failure=True),
        task("b", "a"),
        task("c", "a", when='tasks["a"].phase == "Failed" && tasks["a"].output == null'),
    )
    cluster.end("a", BROKEN)
    cluster.answer_conditions()
    cluster.end("b")
    cluster.end("c")

    assert cluster.phases == {
        "a": TaskPhase.FAILED,
        "b": TaskPhase.SUCCEEDED,
        "c": TaskPhase.SUCCEEDED,
    }
    assert cluster.end_of_attempt == (AttemptEndKind.SUCCEEDED, "")


def test_a_failure_ends_those_beside_it_and_what_runs_after_failures_still_runs(
    cluster: SteppedCluster,
) -> None:
    """Setup, work, teardown: the work fails, and teardown runs once what it needs has ended."""
    cluster.create(
        task("setup"),
        task("work", "setup"),
        task("beside", "setup"),
        task("later", "beside"),
        task("teardown", "work", "beside", runs="always"),
        task("alarm", "work", runs="onFailure"),
    )
    cluster.end("setup")
    kills = cluster.end("work", BROKEN).kills
    assert kills == [(attempt(1), "beside")]
    assert cluster.names == ["beside", "alarm"]
    cluster.end("beside", KILLED)
    cluster.end("alarm")
    cluster.end("teardown")

    assert cluster.phases == {
        "setup": TaskPhase.SUCCEEDED,
        "work": TaskPhase.FAILED,
        "beside": TaskPhase.STOPPED,
        "later": TaskPhase.OMITTED,
        "teardown": TaskPhase.SUCCEEDED,
        "alarm": TaskPhase.SUCCEEDED,
    }
    assert cluster.end_of_attempt == (AttemptEndKind.FAILED, "task work: exit code 1")


def test_a_pause_before_a_retry_and_a_condition_end_with_the_first_failure(cluster: SteppedCluster) -> None:
    """What had not begun again never does, and the shard does not wait for it."""
    cluster.create(
        task("a"),
        task("b", retry=Retry(limit=5, backoff_seconds=100.0)),
        task("c"),
        task("d", "c", when="true"),
        task("last", "b", "d", runs="always"),
    )
    cluster.end("b", BROKEN)
    cluster.end("c")
    cluster.end("a", BROKEN)

    assert cluster.names == ["last"]
    assert cluster.phases["b"] is cluster.phases["d"] is TaskPhase.STOPPED
    cluster.answer_conditions()
    cluster.tick(200.0)
    cluster.end("last")
    assert cluster.end_of_attempt == (AttemptEndKind.FAILED, "task a: exit code 1")


def test_a_task_that_cleans_up_is_told_how_what_it_needs_has_ended(cluster: SteppedCluster) -> None:
    cluster.create(task("a"), task("b", "a"), task("last", "a", "b", runs="always"))
    (launch,) = cluster.end("a", BROKEN).launches
    assert launch.input["phases"] == {"a": "Failed", "b": "Omitted"}


def test_what_waits_for_a_task_that_runs_always_never_begins_after_a_failure(cluster: SteppedCluster) -> None:
    """All that it needs went well, but its shard has failed meanwhile."""
    cluster.create(task("a"), task("last", "a", runs="always"), task("x", "last"), task("y", "x"))
    cluster.end("a", BROKEN)
    cluster.end("last")

    assert cluster.names == []
    assert cluster.phases["x"] is TaskPhase.STOPPED
    assert cluster.phases["y"] is TaskPhase.OMITTED
    assert cluster.end_of_attempt == (AttemptEndKind.FAILED, "task a: exit code 1")


def test_without_fail_fast_everything_that_does_not_need_the_failed_one_goes_to_its_end(
    cluster: SteppedCluster,
) -> None:
    cluster.create(task("a"), task("b"), task("c", "b"), task("d", "a"), fail_fast=False)
    cluster.end("a", BROKEN)
    cluster.end("b")
    cluster.end("c", Outcome(succeeded=False, reason="exit code 2"))

    assert cluster.phases["d"] is TaskPhase.OMITTED
    assert cluster.end_of_attempt == (AttemptEndKind.FAILED, "task a: exit code 1")


def test_a_plain_document_ends_with_its_first_failure_and_reports_nothing_more(
    cluster: SteppedCluster,
) -> None:
    """Gateways of older versions know neither Omitted nor Stopped."""
    cluster.create(task("a"), task("b"), task("c", "a"))
    cluster.end("a", BROKEN)
    cluster.end("b", KILLED)

    assert cluster.phases == {"a": TaskPhase.FAILED, "b": TaskPhase.RUNNING}
    assert cluster.end_of_attempt == (AttemptEndKind.FAILED, "task a: exit code 1")


@pytest.mark.parametrize("fail_fast", [True, False])
def test_a_failure_outlives_a_kill_of_the_cluster(cluster: SteppedCluster, *, fail_fast: bool) -> None:
    """It is a result like any other: the task is not tried again, and what ended with it stays ended."""
    tasks = task("a"), task("b"), task("c", "b"), task("last", "a", "b", runs="always")
    cluster.create(*tasks, fail_fast=fail_fast)
    cluster.end("a", BROKEN)
    cluster.crash()
    cluster.create(*tasks, fail_fast=fail_fast)

    assert cluster.names == (["last"] if fail_fast else ["b"])
    if not fail_fast:
        cluster.end("b")
        cluster.end("c")
    cluster.end("last")
    assert cluster.end_of_attempt == (AttemptEndKind.FAILED, "task a: exit code 1")


def test_failed_results_are_carried_to_the_next_attempt(cluster: SteppedCluster) -> None:
    """The first failure stays the reason, whatever the order of the tasks."""
    results = (
        TaskResult(task="tolerated", failure=TaskPhase.FAILED, reason="exit code 3"),
        TaskResult(task="b", failure=TaskPhase.FAILED, reason="exit code 1"),
        TaskResult(task="a", failure=TaskPhase.FAILED, reason="exit code 2"),
    )
    tasks = (
        task("a"),
        task("b"),
        task("tolerated", continue_on_failure=True),
        task("c", "tolerated"),
        task("last", "a", runs="onFailure"),
    )
    cluster.create(*tasks, results=results)

    assert cluster.phases == {"c": TaskPhase.STOPPED, "last": TaskPhase.RUNNING}
    cluster.end("last")
    assert cluster.end_of_attempt == (AttemptEndKind.FAILED, "task b: exit code 1")


def test_a_plain_document_whose_failure_is_carried_has_failed(cluster: SteppedCluster) -> None:
    cluster.create(
        task("a"), task("b"), results=(TaskResult(task="a", failure=TaskPhase.FAILED, reason="exit code 1"),)
    )
    assert cluster.launched == []
    assert cluster.end_of_attempt == (AttemptEndKind.FAILED, "task a: exit code 1")


def test_a_deadline_ends_what_runs_after_a_failure_too(cluster: SteppedCluster) -> None:
    """The first reason stays."""
    cluster.create(task("a"), task("last", "a", runs="always"), expires_at=10.0)
    cluster.end("a", BROKEN)
    assert cluster.tick(11.0).kills == [(attempt(1), "last")]
    cluster.end("last", KILLED)
    assert cluster.end_of_attempt == (AttemptEndKind.FAILED, "task a: exit code 1")


def test_a_skipped_need_skips_those_that_ask_for_it(cluster: SteppedCluster) -> None:
    cluster.create(
        task("a", when="false"),
        task("b", "a", when_skipped="skip"),
        task("c", "b", when_skipped="skip", runs="always"),
        task("d", "b"),
        task("e", "a", runs="onFailure"),
    )
    cluster.answer_conditions()
    cluster.end("d")

    reasons = {e.task: e.reason for e in cluster.events if getattr(e, "phase", "") is TaskPhase.SKIPPED}
    assert reasons == {
        "a": "its condition is false",
        "b": "a was skipped",
        "c": "b was skipped",
        "e": "nothing that it needs has failed",
    }
    assert cluster.end_of_attempt == (AttemptEndKind.SUCCEEDED, "")


def test_a_long_chain_of_omitted_tasks_is_decided_about_at_once(cluster: SteppedCluster) -> None:
    """Without recursion, whose depth is bounded."""
    chain = [task(f"t{i}", *([f"t{i - 1}"] if i else []), priority=0) for i in range(3_000)]
    cluster.create(*chain, fail_fast=False)
    cluster.end("t0", BROKEN)

    assert set(cluster.phases.values()) == {TaskPhase.FAILED, TaskPhase.OMITTED}
    assert cluster.end_of_attempt[0] is AttemptEndKind.FAILED


def test_results_of_older_versions_are_read() -> None:
    """Journals and gateways from before failed results write `skipped` alone."""
    old = msgspec.json.decode(b'{"task":"a","skipped":true,"output":null}', type=TaskResult)
    assert (old.phase, old.reason) == (TaskPhase.SKIPPED, "")
    done = msgspec.json.decode(b'{"task":"a","skipped":false,"output":[1]}', type=TaskResult)
    assert (done.phase, done.output) == (TaskPhase.SUCCEEDED, [1])
    # What they are sent is what they know.
    skipped = TaskResult(task="a", skipped=True, reason="its condition is false")
    assert msgspec.json.decode(msgspec.json.encode(skipped))["skipped"] is True


def test_an_attempt_that_an_older_version_has_failed_ends_as_failed(cluster: SteppedCluster) -> None:
    """Its journal has no result of the failed task; the region was upgraded before the attempt's end."""
    cluster.create(task("a"), task("b"))
    cluster.end("a", BROKEN)
    cluster.db.execute("delete from task where task = 'a'")
    cluster.crash()
    cluster.create(task("a"), task("b"))

    assert cluster.names == []
    assert cluster.end_of_attempt == (AttemptEndKind.FAILED, "task a: exit code 1")
