"""Tests the metrics that are counted when a shard's history is committed."""

from dataclasses import replace

from loguru import logger
from msgspec import structs

from clusters.protocol import BatchAnswers, CreateAnswer, CreateOutcome
from gateway.core.history import HistoryEntry, HistoryKind, OrphanDetail, TaskDetail, TransitionDetail
from gateway.core.instant import Instant
from gateway.core.shard_states import TERMINAL, Event, Phase
from gateway.reconciler.attempt_events import lose_attempt
from gateway.reconciler.commit import (
    CommittedShard,
    count_committed,
    count_history,
    log_committed,
    report_commit,
)
from gateway.reconciler.dispatch import apply_answers
from gateway.settings import FailoverSettings
from observability.metrics import Metrics
from observability.spans.finished_span import FinishedSpan
from tests.gateway.core.history_entries import history_entry
from tests.gateway.reconciler.under_way import NOW, loaded_run, region, tracked, working_set
from waypost.tracing.context import TraceContext
from waypost.workflow.stages import FINALLY_SHARD
from waypost.workflow.task_phase import TaskPhase


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def moved(
    kind: HistoryKind, before: Phase, after: Phase, region: str = "beijing", *, failover: bool = False
) -> HistoryEntry:
    detail = TransitionDetail(before=before, after=after, epoch=1, region=region, failover=failover)
    return history_entry(kind, detail=detail)


def commit(metrics: Metrics, entry: HistoryEntry, *, placed: int = 0, in_force: int = 0) -> None:
    """Counts a commit of one entry about a shard that the routing revision `placed` has placed."""
    one = tracked(loaded_run(), 0)
    one.shard = structs.replace(one.shard, routing=placed)
    count_committed([CommittedShard(tracked=one, history=(entry,))], metrics, NOW, routing=in_force)


def ended(metrics: Metrics, routing: str) -> dict[str, float | None]:
    name, phases = "waypost_shards_ended_total", sorted(TERMINAL, reverse=True)
    return {phase: value(metrics, name, routing=routing, phase=phase) for phase in phases}


def test_a_failover_is_counted_for_the_region_that_was_lost() -> None:
    """And its duration from the loss until the shard runs again."""
    metrics = Metrics()
    confirmed = moved(HistoryKind.CONFIRMED, Phase.DISPATCHING, Phase.RUNNING, "shanghai")
    left = moved(HistoryKind.ABANDONED, Phase.SUSPECT, Phase.PENDING, failover=True)
    count_history([left], metrics, since_lost=2.0)
    count_history([history_entry(HistoryKind.PLACED), confirmed], metrics, since_lost=4.0)
    count_history([confirmed], metrics, since_lost=None)

    assert value(metrics, "waypost_failovers_total", region="beijing", cause="Abandoned") == 1
    assert value(metrics, "waypost_recovery_seconds_sum") == 4.0
    assert value(metrics, "waypost_recovery_seconds_count") == 1


def test_a_failover_is_what_the_shard_counts_as_one() -> None:
    """By its cause, not by its kind: a refusal that moves a shard is one; a task that is lost in a healthy
    region is none, even if it was the shard's last attempt."""
    metrics, settings, beijing = Metrics(), FailoverSettings(attempts_maximum=1), region()
    refused, lost, unsent = (tracked(loaded_run(), index) for index in range(3))
    late = CreateAnswer(attempt=refused.shard.attempt, outcome=CreateOutcome.REFUSED, reason="Late")
    assert beijing.status is not None
    answers = BatchAnswers(status=beijing.status, creates=(late,))
    apply_answers(working_set(refused), beijing, answers, NOW, settings)
    lose_attempt(lost, NOW, "no descriptors left", settings)
    assert lost.shard.phase is Phase.QUARANTINED
    unsent.apply_event(NOW, Event.UNCONFIRMED, reason="Unsent")
    for one in (refused, lost, unsent):
        count_history(one.history, metrics, since_lost=None)

    counted = [sample for family in metrics.failovers.collect() for sample in family.samples]
    assert [(sample.labels, sample.value) for sample in counted] == [
        ({"region": "beijing", "cause": "Refused"}, 1.0)
    ]


def test_the_end_of_a_shard_is_counted_once() -> None:
    """The gauge counts what is under way only: how much was done, and how much of it failed, is a rate."""
    metrics = Metrics()
    commit(metrics, moved(HistoryKind.CONFIRMED, Phase.DISPATCHING, Phase.RUNNING))
    commit(metrics, moved(HistoryKind.COMPLETED, Phase.RUNNING, Phase.SUCCEEDED))
    commit(metrics, history_entry(HistoryKind.REAPED))
    commit(metrics, moved(HistoryKind.EXPIRED, Phase.RUNNING, Phase.FAILED))

    assert ended(metrics, "settings") == {"Succeeded": 1, "Failed": 1, "Quarantined": 0, "Cancelled": 0}


def test_the_end_of_a_shard_is_counted_for_the_routing_revision_that_placed_it() -> None:
    """One that has waited in vain for a place counts for the revision that gave it none, the one in force."""
    metrics = Metrics()
    commit(metrics, moved(HistoryKind.COMPLETED, Phase.RUNNING, Phase.SUCCEEDED), placed=7, in_force=8)
    commit(metrics, moved(HistoryKind.EXPIRED, Phase.PENDING, Phase.FAILED), placed=7, in_force=8)

    assert ended(metrics, "7") == {"Succeeded": 1, "Failed": 0, "Quarantined": 0, "Cancelled": 0}
    assert ended(metrics, "8") == {"Succeeded": 0, "Failed": 1, "Quarantined": 0, "Cancelled": 0}


def test_shards_of_released_versions_are_counted_by_version() -> None:
    """A cancelled one says nothing about the version; a document that was sent whole has none."""
    metrics, stored = Metrics(), loaded_run(tenant="demo").stored
    run = structs.replace(stored, released="nightly@3", created_at=history_entry(HistoryKind.FAILED).at - 2)
    ended = [
        moved(HistoryKind.COMPLETED, Phase.RUNNING, Phase.SUCCEEDED),
        moved(HistoryKind.EXPIRED, Phase.PENDING, Phase.FAILED),
        moved(HistoryKind.EXHAUSTED, Phase.SUSPECT, Phase.QUARANTINED),
        moved(HistoryKind.STOPPED, Phase.RUNNING, Phase.CANCELLED),
        moved(HistoryKind.CONFIRMED, Phase.DISPATCHING, Phase.RUNNING),
    ]
    count_history(ended[-1:], metrics, since_lost=None, run=run)
    assert (
        value(metrics, "waypost_release_shard_seconds_count", release="demo/nightly@3", outcome="failed") == 0
    )
    count_history(ended, metrics, since_lost=None, run=run)
    count_history(ended, metrics, since_lost=None, run=structs.replace(run, released=""))

    name, of = "waypost_release_shard_seconds", {"release": "demo/nightly@3"}
    assert value(metrics, f"{name}_count", outcome="succeeded", **of) == 1
    assert value(metrics, f"{name}_count", outcome="failed", **of) == 2
    assert value(metrics, f"{name}_sum", outcome="failed", **of) == 4.0
    assert value(metrics, f"{name}_count", release="other", outcome="failed") == 0


def test_a_failed_finally_counts_once_for_its_version_and_a_good_one_does_not() -> None:
    """It runs after failures too: a version that always fails would look half as bad."""
    metrics, stored = Metrics(), loaded_run(tenant="demo").stored
    run = structs.replace(stored, released="nightly@3", created_at=0.0)
    good = moved(HistoryKind.COMPLETED, Phase.RUNNING, Phase.SUCCEEDED)
    bad = moved(HistoryKind.FAILED, Phase.RUNNING, Phase.FAILED)
    of_finally = [structs.replace(entry, shard=FINALLY_SHARD) for entry in (good, bad)]

    count_history([bad, *of_finally], metrics, since_lost=None, run=run)

    name, of = "waypost_release_shard_seconds_count", {"release": "demo/nightly@3"}
    assert value(metrics, name, outcome="succeeded", **of) == 0
    assert value(metrics, name, outcome="failed", **of) == 2


def test_committed_shards_are_counted_for_the_version_of_their_run() -> None:
    metrics, run = Metrics(), loaded_run(tenant="demo")
    shard = tracked(replace(run, stored=structs.replace(run.stored, released="nightly@3")), 0)
    history = (moved(HistoryKind.COMPLETED, Phase.RUNNING, Phase.SUCCEEDED),)
    count_committed([CommittedShard(tracked=shard, history=history)], metrics, NOW, routing=0)

    of = {"release": "demo/nightly@3", "outcome": "succeeded"}
    assert value(metrics, "waypost_release_shard_seconds_count", **of) == 1


def test_tasks_are_counted_by_their_type() -> None:
    """A retry too: it is how a task type begins to fail."""
    metrics, run = Metrics(), loaded_run()
    (task,) = run.tasks.values()

    def ended(phase: TaskPhase) -> HistoryEntry:
        kind = HistoryKind.TASK_RETRYING if phase is TaskPhase.RETRYING else HistoryKind.TASK_FINISHED
        detail = TaskDetail(task=task.name, phase=phase, epoch=1, region="beijing", tries=1, seconds=None)
        return history_entry(kind, detail=detail)

    entries = [ended(TaskPhase.RETRYING), ended(TaskPhase.SUCCEEDED)]
    count_history(entries, metrics, since_lost=None, tasks=run.tasks)

    for outcome in ("Retrying", "Succeeded"):
        assert value(metrics, "waypost_tasks_ended_total", executor=task.type, outcome=outcome) == 1


def test_dispatch_is_measured_from_the_intent_to_the_confirmation_once() -> None:
    """A shard that is confirmed again, after its region was back, was not placed again."""
    metrics, shard = Metrics(), tracked(loaded_run(), 0, phase=Phase.RUNNING, region="beijing")
    shard.intended_at = NOW.monotonic - 0.5
    committed = CommittedShard(tracked=shard, history=())
    count_committed([committed], metrics, NOW, routing=0)
    count_committed([committed], metrics, NOW, routing=0)

    assert value(metrics, "waypost_dispatch_seconds_sum", region="beijing") == 0.5
    assert value(metrics, "waypost_dispatch_seconds_count", region="beijing") == 1


def test_a_failover_of_many_shards_is_one_line_of_the_log() -> None:
    """By region and cause, and for each run how much of it was given up: not a thousand lines at 3 a.m."""
    moving = [tracked(loaded_run(), index) for index in range(3)]
    run = loaded_run()
    span = TraceContext(trace_id="a" * 32, span_id="b" * 16)
    given_up = tracked(replace(run, stored=structs.replace(run.stored, span=span)), 3)
    shards = [
        *(
            CommittedShard(
                tracked=one,
                history=(moved(HistoryKind.ABANDONED, Phase.SUSPECT, Phase.PENDING, failover=True),),
            )
            for one in moving
        ),
        CommittedShard(
            tracked=given_up,
            history=(moved(HistoryKind.EXHAUSTED, Phase.SUSPECT, Phase.QUARANTINED, failover=True),),
        ),
    ]
    lines: list[tuple[str, str]] = []
    sink = logger.add(lambda line: lines.append((line.record["message"], str(line.record["extra"]))))
    log_committed(shards)
    logger.remove(sink)

    run_id = shards[-1].tracked.shard.run
    assert lines == [
        ("3 shards leave region beijing: Abandoned", "{'region': 'beijing'}"),
        (f"1 shards of run {run_id} are quarantined: ", f"{{'run': '{run_id}', 'trace_id': '{'a' * 32}'}}"),
    ]


def test_each_attempt_that_ended_is_a_span_in_the_trace_of_its_run() -> None:
    """From its placement to the event that ended it; in a failover both attempts, under one submission."""
    run = loaded_run()
    span = TraceContext(trace_id="a" * 32, span_id="b" * 16, flags=1)
    shard = tracked(replace(run, stored=structs.replace(run.stored, span=span, decision_id="d1")), 0)
    shard.shard = structs.replace(shard.shard, placed_at=NOW.wall - 5.0)
    epoch, later = shard.shard.epoch, Instant(NOW.monotonic + 3.0, NOW.wall + 3.0)
    shard.apply_event(NOW, Event.REGION_LOST)
    shard.apply_event(NOW, Event.ABANDONED, failovers=1)
    shard.apply_event(NOW, Event.INTENDED, epoch=epoch + 1, region="shanghai", placed_at=NOW.wall)
    shard.apply_event(later, Event.CONFIRMED)
    shard.apply_event(later, Event.COMPLETED)
    recorded = list[FinishedSpan]()

    class Recorder:
        def record(self, *spans: FinishedSpan) -> None:
            recorded.extend(spans)

    report_commit(
        [CommittedShard(tracked=shard, history=tuple(shard.history))], Metrics(), Recorder(), NOW, routing=0
    )

    first, second = (span.of_attempt("run-1", 0, number) for number in (epoch, epoch + 1))
    assert [
        (one.context, one.attributes["region"], one.attributes["outcome"], one.failed) for one in recorded
    ] == [
        (first, "beijing", "Abandoned", True),
        (second, "shanghai", "Completed", False),
    ]
    assert [(one.began, one.ended) for one in recorded] == [
        (NOW.wall - 5.0, NOW.wall),
        (NOW.wall, NOW.wall + 3.0),
    ]
    assert {one.attributes["decision_id"] for one in recorded} == {"d1"}


def test_an_attempt_of_an_older_version_has_no_duration() -> None:
    """It was placed when that was not kept: better no span than one that began in 1970."""
    shard = tracked(loaded_run(), 0)
    shard.apply_event(NOW, Event.COMPLETED)

    (completed,) = shard.history
    assert isinstance(completed.detail, TransitionDetail)
    assert completed.detail.seconds is None


def test_a_tombstone_is_counted_when_a_region_confirms_it() -> None:
    """Not when an operator gives the region up: nobody knows what runs there."""
    metrics = Metrics()
    orphan = OrphanDetail(region="beijing", epoch=1)
    count_history([history_entry(HistoryKind.REAPED, detail=orphan)], metrics, since_lost=None)
    count_history([history_entry(HistoryKind.FORGOTTEN, detail=orphan)], metrics, since_lost=None)

    assert value(metrics, "waypost_tombstones_total", region="beijing") == 1
