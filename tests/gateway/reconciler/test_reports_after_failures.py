"""Tests which reports about tasks the gateway takes after a failure, and when a shard has succeeded."""

from dataclasses import replace

from msgspec import structs

from clusters.protocol import AttemptEnded, AttemptEndKind, AttemptId, TaskChanged
from gateway.core.run import TaskRow
from gateway.core.shard_states import Phase
from gateway.reconciler.attempt_events import Reception, apply_attempt_end, apply_task_change
from gateway.reconciler.working_set.tracked_shard import TrackedShard
from gateway.settings import FailoverSettings
from tests.gateway.reconciler.under_way import NOTHING, NOW, loaded_run, region, tracked, working_set
from waypost.workflow.task import TaskSpec
from waypost.workflow.task_phase import TaskPhase

SETTINGS = FailoverSettings()


def shard_of(*tasks: TaskSpec, phase: Phase = Phase.RUNNING, fail_fast: bool = True) -> TrackedShard:
    run = loaded_run(tasks=1)
    spec = structs.replace(run.spec, tasks=tasks, fail_fast=fail_fast)
    return tracked(
        replace(run, spec=spec, tasks={task.name: task for task in tasks}), 0, phase=phase, epoch=3
    )


def task(name: str, *needs: str, **fields: object) -> TaskSpec:
    return structs.replace(TaskSpec(name=name, type="delay", run={}, needs=needs), **fields)


class Reports:
    """Reports of the cluster about the attempt of one shard."""

    def __init__(self, shard: TrackedShard) -> None:
        self.shard, self.here = shard, region()
        self.ws, self.seq = working_set(shard, regions=(self.here,)), 0

    def say(self, name: str, phase: TaskPhase) -> Reception:
        self.seq += 1
        event = TaskChanged(
            seq=self.seq,
            attempt=AttemptId(run="run-1", shard=0, epoch=3),
            task=name,
            phase=phase,
            tries=1,
            started_at=NOW.wall,
            ended_at=NOW.wall,
        )
        return apply_task_change(self.ws, self.here, event, NOW, SETTINGS)

    def end(self, kind: AttemptEndKind) -> Phase:
        ended = AttemptEnded(seq=99, attempt=AttemptId(run="run-1", shard=0, epoch=3), end=kind)
        apply_attempt_end(self.ws, self.here, ended, NOW, SETTINGS)
        return self.shard.shard.phase


def test_what_runs_after_a_failure_is_believed_and_what_must_not_run_is_not() -> None:
    """Results are one lineage: a task that needs a failed one has run only if its document lets it."""
    reports = Reports(
        shard_of(task("a"), task("b", "a"), task("c", "a", runs="always"), task("d", "a", runs="onFailure"))
    )
    assert reports.say("b", TaskPhase.OMITTED) is Reception.STALE
    assert reports.say("a", TaskPhase.FAILED) is Reception.ACCEPTED
    assert reports.say("b", TaskPhase.RUNNING) is Reception.STALE
    assert reports.say("b", TaskPhase.SUCCEEDED) is Reception.STALE
    assert reports.say("c", TaskPhase.OMITTED) is Reception.STALE
    assert reports.say("d", TaskPhase.SKIPPED) is Reception.STALE
    for name, phase in (
        ("b", TaskPhase.OMITTED),
        ("c", TaskPhase.SUCCEEDED),
        ("d", TaskPhase.SUCCEEDED),
    ):
        assert reports.say(name, phase) is Reception.ACCEPTED
        assert reports.say(name, phase) is Reception.KNOWN
    assert reports.end(AttemptEndKind.FAILED) is Phase.FAILED


def test_a_task_is_stopped_by_a_failure_alone() -> None:
    """A cluster that stops tasks without one says what is not so."""
    reports = Reports(shard_of(task("a"), task("b"), task("c", runs="always")))

    assert reports.say("b", TaskPhase.STOPPED) is Reception.STALE
    assert reports.say("a", TaskPhase.FAILED) is Reception.ACCEPTED
    assert reports.say("c", TaskPhase.STOPPED) is Reception.STALE
    assert reports.say("b", TaskPhase.STOPPED) is Reception.ACCEPTED

    slow = Reports(shard_of(task("a"), task("b"), fail_fast=False))
    assert slow.say("a", TaskPhase.FAILED) is Reception.ACCEPTED
    assert slow.say("b", TaskPhase.STOPPED) is Reception.STALE


def test_a_tolerated_failure_lets_the_shard_succeed() -> None:
    reports = Reports(shard_of(task("a", continue_on_failure=True), task("b", "a")))

    assert reports.say("a", TaskPhase.FAILED) is Reception.ACCEPTED
    assert reports.say("b", TaskPhase.STOPPED) is Reception.STALE
    assert reports.say("b", TaskPhase.SUCCEEDED) is Reception.ACCEPTED
    assert reports.end(AttemptEndKind.SUCCEEDED) is Phase.SUCCEEDED


def test_a_success_with_a_failure_that_is_not_tolerated_is_none() -> None:
    """A cluster of an older version, or one that lies: the shard gets another attempt."""
    reports = Reports(shard_of(task("a")))

    reports.say("a", TaskPhase.FAILED)
    assert reports.end(AttemptEndKind.SUCCEEDED) is Phase.PENDING


def test_a_shard_that_waits_for_its_next_attempt_knows_nothing_of_the_last_but_results() -> None:
    """Else the reports of the next attempt would be taken for known ones: that the task has failed again."""
    shard = shard_of(task("a"), phase=Phase.PENDING)
    failed = TaskRow(
        run="run-1",
        shard=0,
        task="a",
        phase=TaskPhase.FAILED,
        epoch=3,
        region="beijing",
        incarnation="journal",
        tries=1,
        started_at=NOW.wall,
    )
    shard.start_from(NOTHING, [failed])
    assert shard.tasks == {}

    shard.shard = structs.replace(shard.shard, phase=Phase.RUNNING)
    shard.start_from(NOTHING, [failed])
    assert shard.tasks == {"a": TaskPhase.FAILED}
    assert shard.has_failed
