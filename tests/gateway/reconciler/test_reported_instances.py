"""Tests which reports about instances of tasks (`forEach`) are believed."""

from dataclasses import replace
from typing import Any

from msgspec import structs

from clusters.protocol import AttemptId, TaskChanged
from gateway.reconciler.attempt_events import Reception, apply_task_change
from gateway.reconciler.working_set.tracked_shard import TrackedShard
from gateway.settings import FailoverSettings
from tests.gateway.reconciler.under_way import NOW, loaded_run, region, tracked, working_set
from waypost.workflow.task_phase import TaskPhase


def shard() -> TrackedShard:
    """Returns a shard whose second task has `forEach`, and needs the first, which has finished."""
    run = loaded_run(tasks=2)
    tasks = {**run.tasks, "t1": structs.replace(run.tasks["t1"], for_each=("a", "b"))}
    found = tracked(replace(run, tasks=tasks), 0)
    found.tasks["t0"] = TaskPhase.SUCCEEDED
    return found


def reported(found: TrackedShard, task: str, phase: TaskPhase, **more: Any) -> Reception:
    attempt = AttemptId(run="run-1", shard=0, epoch=1)
    ended = None if phase is TaskPhase.RUNNING else 1.0
    event = TaskChanged(
        seq=1, attempt=attempt, task=task, phase=phase, tries=1, started_at=0.0, ended_at=ended, **more
    )
    return apply_task_change(working_set(found), region(), event, NOW, FailoverSettings())


def test_instances_are_tracked_like_tasks() -> None:
    """Each with its own row; their task succeeds with a number of them, and after all of them."""
    found = shard()
    assert reported(found, "t1", TaskPhase.RUNNING, instances=2) is Reception.ACCEPTED
    assert reported(found, "t1[0]", TaskPhase.RUNNING) is Reception.ACCEPTED
    assert list(found.running_since) == ["t1[0]"]
    assert reported(found, "t1[0]", TaskPhase.SUCCEEDED, output=1) is Reception.ACCEPTED
    assert reported(found, "t1", TaskPhase.SUCCEEDED, instances=2) is Reception.STALE
    assert reported(found, "t1[1]", TaskPhase.SUCCEEDED, output=2) is Reception.ACCEPTED
    assert reported(found, "t1", TaskPhase.SUCCEEDED, instances=2) is Reception.ACCEPTED
    assert [(row.task, row.instances) for row in found.rows if row.phase is TaskPhase.SUCCEEDED] == [
        ("t1[0]", None),
        ("t1[1]", None),
        ("t1", 2),
    ]


def test_a_cluster_cannot_invent_instances() -> None:
    """Of a task without forEach, or unknown, or over the bound; an instance is never skipped."""
    found = shard()

    assert reported(found, "t0[0]", TaskPhase.SUCCEEDED) is Reception.STALE
    assert reported(found, "t9[0]", TaskPhase.SUCCEEDED) is Reception.STALE
    assert reported(found, "t1[1000]", TaskPhase.SUCCEEDED) is Reception.STALE
    assert reported(found, "t1[0]", TaskPhase.SKIPPED) is Reception.STALE
    assert reported(found, "t1", TaskPhase.SUCCEEDED, instances=0, output=[]) is Reception.STALE
    found.instances = 1_000
    assert reported(found, "t1[0]", TaskPhase.SUCCEEDED) is Reception.STALE


def test_a_failed_instance_does_not_fail_the_shard_by_itself() -> None:
    """Its task does, where the failure is not borne."""
    found = shard()
    assert reported(found, "t1[0]", TaskPhase.FAILED, reason="exit code 1") is Reception.ACCEPTED
    assert not found.has_failed
    assert reported(found, "t1", TaskPhase.FAILED, reason="t1[0]: exit code 1") is Reception.ACCEPTED
    assert found.has_failed
    assert reported(found, "t1[1]", TaskPhase.STOPPED, reason="t1[0] failed") is Reception.ACCEPTED
