"""Writes the changes of one reconciliation pass to the store, before anything is sent to a region."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loguru import logger

from gateway.core.history import HistoryEntry, HistoryKind, OrphanDetail, TaskDetail, TransitionDetail
from gateway.core.instant import NEVER, Instant
from gateway.core.run import Run
from gateway.core.shard_states import Phase
from gateway.core.workflow_release import release_label
from gateway.reconciler.working_set.tracked_shard import TrackedShard
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.store.interface import Store
from observability.metrics import Metrics
from observability.spans.builders import attempt_span
from observability.spans.exporter import SpanRecorder
from waypost.tracing.context import TraceContext, trace_fields
from waypost.workflow.instances import task_of
from waypost.workflow.stages import Stage, stage_of
from waypost.workflow.task import TaskSpec

RELEASE_OUTCOMES: Final = {
    Phase.SUCCEEDED: "succeeded",
    Phase.FAILED: "failed",
    Phase.QUARANTINED: "failed",
}
"""How a shard's end counts for the released version that it ran; a cancelled one counts not at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommittedShard:
    """A shard that a commit has written, with the history entries that were stored with it."""

    tracked: TrackedShard
    history: tuple[HistoryEntry, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitResult:
    """The result of one commit: the shards that were written, and those that another writer had changed."""

    committed: tuple[CommittedShard, ...] = ()
    conflicts: tuple[tuple[str, int], ...] = ()
    """The keys of shards that another writer had changed. They are no longer in the working set."""


async def commit_changes(ws: WorkingSet, store: Store) -> CommitResult:
    """Writes every changed shard by compare-and-swap, and the event cursors of regions, to the store.

    Raises `Unavailable` where the store wrote nothing: the changes stay in memory for the next pass.
    """
    changed = [tracked for tracked in ws.shards.values() if tracked.dirty]
    cursors = {region.name: region.cursor for region in ws.regions.values() if region.cursor_dirty}
    if not changed and not cursors:
        return CommitResult()
    writes = [tracked.write() for tracked in changed]
    took = await store.record(writes, cursors)
    if all(took):
        # After a conflict the store writes no cursor: the events of the shard that lost come again.
        for name in cursors:
            ws.regions[name].cursor_dirty = False
    committed, conflicts = [], []
    for tracked, write, done in zip(changed, writes, took, strict=True):
        if done:
            tracked.mark_committed()
            committed.append(CommittedShard(tracked=tracked, history=write.history))
        else:
            del ws.shards[tracked.shard.key]
            conflicts.append(tracked.shard.key)
    return CommitResult(committed=tuple(committed), conflicts=tuple(conflicts))


def report_commit(
    committed: Sequence[CommittedShard],
    metrics: Metrics,
    spans: SpanRecorder | None,
    now: Instant,
    *,
    routing: int,
) -> None:
    """Counts, logs and, where spans are exported, traces what a commit has stored.

    `routing` is the number of the routing revision in force.
    """
    count_committed(committed, metrics, now, routing=routing)
    log_committed(committed)
    if spans is not None:
        record_spans(committed, spans)


def count_committed(
    committed: Sequence[CommittedShard], metrics: Metrics, now: Instant, *, routing: int
) -> None:
    """Counts, in metrics, the history that a commit has stored, and the seconds of finished failovers.

    `routing` is the number of the routing revision in force.
    """
    metrics.ends.begin(routing)
    for done in committed:
        tracked = done.tracked
        since_lost = None if tracked.lost_at is None else now.monotonic - tracked.lost_at
        count_history(
            done.history, metrics, since_lost=since_lost, tasks=tracked.run.tasks, run=tracked.run.stored
        )
        for entry in done.history:
            if isinstance(entry.detail, TransitionDetail) and entry.detail.after.terminal:
                # What has waited in vain for a place was not placed by the revision of an earlier attempt.
                waited = entry.detail.before is Phase.PENDING
                metrics.ends.count(routing if waited else tracked.shard.routing, entry.detail.after)
        if tracked.shard.phase is Phase.RUNNING:
            tracked.lost_at = None
            if tracked.intended_at > NEVER and tracked.shard.region is not None:
                metrics.observe_dispatch(tracked.shard.region, now.monotonic - tracked.intended_at)
                tracked.intended_at = NEVER


def count_history(
    history: Iterable[HistoryEntry],
    metrics: Metrics,
    *,
    since_lost: float | None,
    tasks: Mapping[str, TaskSpec] | None = None,
    run: Run | None = None,
) -> None:
    """Counts a shard's new history entries in metrics: released versions, failovers, task results, orphans.

    `since_lost` is the number of seconds since the shard lost its region, None if it lost none. Task results
    are counted by the tasks' types, which `tasks` gives by name, and not at all without `tasks`. If `run` is
    of a released version, the shard's end is counted for that.
    """
    for entry in history:
        match entry.detail:
            case TransitionDetail(after=phase, region=region, failover=failover):
                if run is not None and run.released:
                    _count_release(run, stage_of(entry.shard or 0), phase, metrics, at=entry.at)
                if failover:
                    # The event is the cause; its reason may be a cluster's own words, which are no label.
                    metrics.failovers.labels(region or "", entry.kind).inc()
                elif entry.kind is HistoryKind.CONFIRMED and since_lost is not None:
                    metrics.recovery_seconds.observe(since_lost)
            case TaskDetail(task=name, phase=outcome) if tasks and task_of(name) in tasks:
                metrics.count_task(tasks[task_of(name)].type, outcome)
            # An orphan that an operator forgot is not counted: nobody knows whether it has ended.
            case OrphanDetail(region=region) if entry.kind is HistoryKind.REAPED:
                metrics.tombstones.labels(region).inc()
            case _:
                pass


def _count_release(run: Run, stage: Stage, phase: Phase, metrics: Metrics, *, at: float) -> None:
    """Counts a shard that succeeded, failed or was quarantined in the metrics of its run's released version.

    Any other `phase` only creates these metrics, at zero. So does a `finally` that has succeeded: it runs
    after failures too, and would make the share of bad shards smaller than it is.
    """
    release, outcome = release_label(run.tenant, run.released), RELEASE_OUTCOMES.get(phase)
    if stage is Stage.FINALLY and phase is Phase.SUCCEEDED:
        outcome = None
    if outcome is None:
        metrics.releases.begin(release, at=at)
    else:
        metrics.releases.observe(release, outcome, max(at - run.created_at, 0.0), at=at)


def record_spans(committed: Iterable[CommittedShard], spans: SpanRecorder) -> None:
    """Records the span of each attempt that ended with a commit, in the trace of its run's submission."""
    for run, entry in ((done.tracked.run.stored, entry) for done in committed for entry in done.history):
        match entry.detail:
            case TransitionDetail(seconds=float(seconds), region=str(region), epoch=epoch) if run.span:
                spans.record(
                    attempt_span(
                        run.span,
                        run=run.id,
                        shard=entry.shard or 0,
                        epoch=epoch,
                        region=region,
                        outcome=entry.kind,
                        decision_id=run.decision_id,
                        began=entry.at - seconds,
                        ended=entry.at,
                    )
                )
            case _:
                pass


def log_committed(committed: Iterable[CommittedShard]) -> None:
    """Logs how many shards left each region by failover, and how many of each run were quarantined.

    Logs one line for each region or run and each cause: the history has every single shard.
    """
    left, given_up = Counter[tuple[str, str]](), Counter[tuple[str, str, TraceContext | None]]()
    for run, entry in ((done.tracked.run.stored, entry) for done in committed for entry in done.history):
        match entry.detail:
            case TransitionDetail(after=Phase.QUARANTINED, reason=reason):
                given_up[run.id, reason, run.span] += 1
            case TransitionDetail(failover=True, region=str(region)):
                left[region, entry.kind] += 1
            case _:
                pass
    for (region, kind), count in left.items():
        logger.bind(region=region).warning("{} shards leave region {}: {}", count, region, kind)
    for (run_id, reason, span), count in given_up.items():
        bound = logger.bind(run=run_id, **trace_fields(span))
        bound.error("{} shards of run {} are quarantined: {}", count, run_id, reason)


def evict_idle(ws: WorkingSet, committed: Sequence[CommittedShard]) -> None:
    """Removes committed shards that have ended, or only wait for a region, from the working set.

    Shards with orphans stay, and those that wait after they lost a region: the wait is measured.
    """
    for done in committed:
        shard = done.tracked.shard
        # A shard that was lost is kept while it waits: `lost_at` measures how long its failover takes.
        waits = shard.phase is Phase.PENDING and done.tracked.lost_at is None
        if (shard.phase.terminal or waits) and not shard.orphans:
            ws.shards.pop(shard.key, None)
