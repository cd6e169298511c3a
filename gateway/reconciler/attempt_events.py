"""What a cluster reports of its attempts, turned into changes of the working set. Nothing is committed here.

Only the attempt that is a shard's own is believed: a region that was written off may finish its work, and that must never count.
"""

from collections.abc import Collection
from enum import StrEnum

from clusters.protocol import AttemptEnded, AttemptEndKind, AttemptId, Hello, TaskChanged, TaskPhase
from gateway.core.history import HistoryKind, TaskDetail
from gateway.core.instant import Instant
from gateway.core.lost_attempts import backoff_seconds, ending
from gateway.core.run import TaskRow
from gateway.core.shard_states import PLACED, Event, Phase
from gateway.reconciler.working_set import FINISHED, NEVER, Region, Tracked, WorkingSet
from gateway.settings import Failover


class Reception(StrEnum):
    """What became of a report. STALE ones are counted: they name an attempt that is no longer its shard's own."""

    ACCEPTED = "Accepted"
    KNOWN = "Known"
    STALE = "Stale"


def task_changed(ws: WorkingSet, region: Region, event: TaskChanged, now: Instant) -> Reception:
    """A task started or finished."""
    tracked = ws.current(region.name, event.attempt)
    if tracked is None:
        return Reception.STALE
    task = tracked.work.tasks.get(event.task)
    if task is None or any(tracked.tasks.get(need) not in FINISHED for need in task.needs):
        return Reception.STALE
    if tracked.tasks.get(event.task) in FINISHED:
        return Reception.KNOWN
    tracked.tasks[event.task] = event.phase
    tracked.rows.append(_row(region, event))
    if event.phase is TaskPhase.RUNNING:
        tracked.running_since[event.task] = now.monotonic
        tracked.dirty = True
        return Reception.ACCEPTED
    tracked.running_since.pop(event.task, None)
    tracked.note(
        now,
        HistoryKind.TASK_FINISHED,
        TaskDetail(
            task=event.task,
            phase=event.phase,
            epoch=event.attempt.epoch,
            region=region.name,
            tries=event.tries,
            seconds=None if event.ended_at is None else round(event.ended_at - event.started_at, 3),
            reason=event.reason,
        ),
    )
    return Reception.ACCEPTED


def attempt_ended(
    ws: WorkingSet, region: Region, event: AttemptEnded, now: Instant, settings: Failover
) -> Reception:
    """T8 and T9: the attempt is over, and no process of it is left."""
    tracked = ws.current(region.name, event.attempt)
    if tracked is None:
        return Reception.STALE
    if event.end is AttemptEndKind.FAILED:
        tracked.change(now, Event.FAILED, reason=event.reason)
    elif event.end is AttemptEndKind.LOST:
        lose(tracked, now, event.reason, settings)
    elif all(tracked.tasks.get(task.name) in FINISHED for task in tracked.work.spec.tasks):
        tracked.change(now, Event.COMPLETED, suspect_since=None)
    else:
        lose(tracked, now, "IncompleteResults", settings)
    return Reception.ACCEPTED


def confirm(tracked: Tracked, now: Instant) -> None:
    """T4: this boot of the cluster has the attempt, awake. An event of its journal does not prove that: it may be older than a restart."""
    if tracked.shard.phase is Phase.DISPATCHING:
        tracked.change(now, Event.CONFIRMED)
        tracked.confirmed_at = now.monotonic
        tracked.resumption = None  # it may hold megabytes; what another send needs is read again


def lose(tracked: Tracked, now: Instant, reason: str, settings: Failover) -> None:
    """T9: the attempt is lost, not failed: the shard goes back, or is quarantined after too many."""
    shard = tracked.shard
    lost = shard.attempts_lost + 1
    tracked.lost_at = now.monotonic if tracked.lost_at is None else tracked.lost_at
    not_before = now.wall + backoff_seconds(lost, settings)
    tracked.change(
        now, ending(shard.attempts_lost, settings), reason=reason, attempts_lost=lost, not_before=not_before
    )


def compare(
    ws: WorkingSet, region: Region, hello: Hello, *, began: float, now: Instant, settings: Failover
) -> list[AttemptId]:
    """Holds what the cluster knows against what the shards say; returns attempts there that nobody here accounts for.

    Only what was confirmed before `began` can be missed: a create may have crossed the list on its way.
    """
    known = dict(hello.attempts)
    for tracked in list(ws.placed_in(region.name, *PLACED)):
        _compare_one(tracked, region, hello.status.boot, known, began=began, now=now, settings=settings)
    return [a for a in known if ws.current(region.name, a) is None and ws.orphan(region.name, a) is None]


def _compare_one(
    tracked: Tracked,
    region: Region,
    boot: str,
    known: dict[AttemptId, bool],
    *,
    began: float,
    now: Instant,
    settings: Failover,
) -> None:
    shard = tracked.shard
    if shard.incarnation != region.incarnation:
        lose(tracked, now, "JournalReplaced", settings)
    elif known.get(shard.attempt) is False or (shard.fence is not None and shard.fence.boot != boot):
        if shard.phase is not Phase.SUSPECT:
            tracked.change(now, Event.REGION_LOST, reason="Restarted", suspect_since=now.wall)
        reconfirm(tracked, region, now, settings)
    elif shard.phase is Phase.RUNNING and shard.attempt not in known and tracked.confirmed_at < began:
        lose(tracked, now, "UnknownToCluster", settings)
    elif shard.phase is Phase.DISPATCHING and known.get(shard.attempt):
        confirm(tracked, now)


def reconfirm(tracked: Tracked, region: Region, now: Instant, settings: Failover) -> None:
    """T6: the region is back; the same epoch is sent again under a new fence."""
    fence = region.fence(now, settings.fence_seconds)
    tracked.change(now, Event.REGION_BACK, suspect_since=None, fence=fence)
    tracked.fenced_until = now.monotonic + settings.fence_seconds
    tracked.sent_at = NEVER
    tracked.resumption = None


def forgotten(known: Collection[AttemptId], region: Region) -> None:
    """Drops strays that the cluster no longer knows."""
    region.strays = {attempt: at for attempt, at in region.strays.items() if attempt in known}


def _row(region: Region, event: TaskChanged) -> TaskRow:
    return TaskRow(
        run=event.attempt.run,
        shard=event.attempt.shard,
        task=event.task,
        phase=event.phase,
        epoch=event.attempt.epoch,
        region=region.name,
        incarnation=region.incarnation,
        tries=event.tries,
        started_at=event.started_at,
        ended_at=event.ended_at,
        output=event.output,
        reason=event.reason,
    )
