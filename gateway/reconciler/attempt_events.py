"""Applies a cluster's reports about current attempts to the shards in memory; commits nothing."""

from enum import StrEnum
from typing import assert_never

from msgspec import structs

from clusters.protocol import (
    LEASE_ENDED,
    OUTPUTS_BYTES,
    AttemptEnded,
    AttemptEndKind,
    AttemptId,
    Hello,
    TaskChanged,
)
from gateway.core.failover_rules import backoff_seconds, failover_event, loss_event, may_be_poison
from gateway.core.history import HistoryKind, TaskDetail
from gateway.core.instant import NEVER, Instant
from gateway.core.run import FailedTry
from gateway.core.shard_states import PLACED, Event, Phase
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.region_losses import begin_trial, blame_shards, count_loss
from gateway.reconciler.working_set.reported_tasks import reported_task, task_row
from gateway.reconciler.working_set.tracked_shard import TrackedShard, output_size
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.regions.region_condition import RegionCondition
from gateway.settings import FailoverSettings
from waypost.workflow.task_phase import FINAL, TaskPhase
from waypost.workflow.trigger_rule import fails_shard, is_well


class Reception(StrEnum):
    """The results of applying a cluster's event: accepted, known already, or stale and so ignored."""

    ACCEPTED = "Accepted"
    KNOWN = "Known"
    """The event was applied before: after a conflict, events are received again."""
    STALE = "Stale"
    """The event is about an attempt that is not current, or a task whose needs have not ended; counted."""


def apply_task_change(
    ws: WorkingSet, region: Region, event: TaskChanged, now: Instant, settings: FailoverSettings
) -> Reception:
    """Applies a task's start, retry or end; returns whether the event was accepted, known or stale."""
    tracked = ws.find_current(region.name, event.attempt)
    if tracked is None:
        return Reception.STALE
    # Stored results are one lineage, closed under `needs`: the next attempt starts from no other.
    task = reported_task(tracked, event)
    if task is None:
        return Reception.STALE
    # A failed one is final too: without this a cluster could grow the history for ever.
    if tracked.tasks.get(event.task) in FINAL:
        return Reception.KNOWN
    if event.phase is TaskPhase.RETRYING:
        return _apply_retry(tracked, region, event, task.retry.limit, now)
    tracked.output_bytes += output_size(event.output)
    if tracked.output_bytes > OUTPUTS_BYTES:
        # Its cluster should have failed the task. Stored, they could not travel with the next attempt.
        lose_attempt(tracked, now, "OutputsTooLarge", settings)
        return Reception.ACCEPTED
    # A failed instance fails its task, if that is so, and its task the shard.
    is_instance = event.task != task.name
    tracked.instances += is_instance and event.task not in tracked.tasks
    tracked.tasks[event.task] = event.phase
    tracked.has_failed |= not is_instance and fails_shard(task, event.phase)
    tracked.rows.append(task_row(tracked, region, event, tracked.failed_tries.get(event.task)))
    if event.phase is TaskPhase.RUNNING:
        tracked.dirty = True
        if event.seq <= tracked.unheard_until:
            _count_unheard_loss(tracked, now, settings)
        # A task with `forEach` runs nothing itself.
        elif is_instance or task.for_each is None:
            tracked.running_since[event.task] = now.monotonic
            begin_trial(tracked, now, settings)
        return Reception.ACCEPTED
    tracked.running_since.pop(event.task, None)
    tracked.add_history(now, HistoryKind.TASK_FINISHED, _task_detail(region, event))
    return Reception.ACCEPTED


def _apply_retry(
    tracked: TrackedShard, region: Region, event: TaskChanged, limit: int, now: Instant
) -> Reception:
    """Records that a task failed and is tried again; ignores an event with more than `limit` tries."""
    if event.pause_seconds is not None:  # the cluster's clock may differ from ours, by which it is shown
        event = structs.replace(event, next_try_at=now.wall + event.pause_seconds)
    failed = tracked.failed_tries.get(event.task)
    if failed is not None and event.tries <= failed.tries:
        return Reception.KNOWN
    if event.tries > limit:
        # Its cluster should have failed the task. Each of them is an entry in the history.
        return Reception.STALE
    tracked.instances += event.task not in tracked.tasks and event.task not in tracked.run.tasks
    failed = FailedTry(tries=event.tries, ended_at=event.ended_at, reason=event.reason)
    tracked.tasks[event.task], tracked.failed_tries[event.task] = event.phase, failed
    tracked.rows.append(task_row(tracked, region, event, failed))
    tracked.running_since.pop(event.task, None)
    tracked.add_history(now, HistoryKind.TASK_RETRYING, _task_detail(region, event))
    return Reception.ACCEPTED


def apply_attempt_end(
    ws: WorkingSet, region: Region, event: AttemptEnded, now: Instant, settings: FailoverSettings
) -> Reception:
    """Records a cluster's event that a shard's current attempt has ended, with no process left (T8, T9).

    Returns `STALE`, and changes nothing, where the attempt is not current.
    """
    tracked = ws.find_current(region.name, event.attempt)
    if tracked is None:
        return Reception.STALE
    match event.end:
        case AttemptEndKind.FAILED:
            tracked.apply_event(now, Event.FAILED, reason=event.reason)
        case AttemptEndKind.LOST:
            if event.reason == LEASE_ENDED:
                # Without a gateway to renew it: neither the region nor a task is to blame.
                tracked.apply_event(now, Event.LOST, reason=event.reason)
            else:
                lose_attempt(tracked, now, event.reason, settings)
        case AttemptEndKind.SUCCEEDED:
            if all(is_well(task, tracked.tasks.get(task.name)) for task in tracked.run.spec.tasks):
                tracked.apply_event(now, Event.COMPLETED, suspect_since=None)
            else:
                # A result that never came must not be taken for one that is stored.
                lose_attempt(tracked, now, "IncompleteResults", settings)
        case _:
            assert_never(event.end)
    return Reception.ACCEPTED


def confirm_attempt(tracked: TrackedShard, now: Instant) -> None:
    """Moves a Dispatching shard to Running, since its cluster has confirmed that it runs the attempt (T4).

    To be called for a cluster's answer or list, not for an event: an event of its journal may be older than a
    restart, after which nothing of the attempt runs.
    """
    if tracked.shard.phase is Phase.DISPATCHING:
        tracked.apply_event(now, Event.CONFIRMED)
        tracked.confirmed_at = now.monotonic
        # It may hold megabytes; should the attempt be sent again, what goes with it is read again.
        tracked.resumption = None


def lose_attempt(tracked: TrackedShard, now: Instant, reason: str, settings: FailoverSettings) -> None:
    """Ends an attempt as lost (T9): its shard waits for another attempt, or is quarantined after too many."""
    shard = tracked.shard
    lost = shard.attempts_lost + 1
    tracked.lost_at = now.monotonic if tracked.lost_at is None else tracked.lost_at
    tracked.apply_event(
        now,
        loss_event(shard.attempts_lost, settings),
        reason=reason,
        attempts_lost=lost,
        not_before=now.wall + backoff_seconds(lost, settings),
    )


def leave_region(
    tracked: TrackedShard,
    now: Instant,
    reason: str,
    settings: FailoverSettings,
    *,
    event: Event = Event.ABANDONED,
) -> None:
    """Takes the shard out of its region, by `event` of the state table; it waits for another region.

    Instead it is quarantined after too many failovers, or too many lost regions that count against it.
    """
    count_loss(tracked, now, settings)
    # Those whose proof is still to come count here too: until it comes one region more would be ended.
    failovers, losses = tracked.shard.failovers, tracked.shard.regions_lost + len(tracked.unproven_boots)
    if losses >= settings.region_losses_maximum:
        event = Event.EXHAUSTED
        reason = f"{losses} regions in a row died or fell silent while a task of it ran there"
    elif failover_event(failovers, settings) is Event.EXHAUSTED:
        event = Event.EXHAUSTED
    tracked.lost_at = now.monotonic if tracked.lost_at is None else tracked.lost_at
    tracked.apply_event(now, event, reason=reason, failovers=failovers + 1, suspect_since=None)


def send_again(tracked: TrackedShard, region: Region, now: Instant, settings: FailoverSettings) -> None:
    """Marks a Suspect shard's attempt to be sent again (T6): the same epoch, under a new fence.

    A shard that may be poison leaves the region instead, and waits for one without other such shards: if all
    went on together here and the region were lost again, nobody could tell which of them had ended it.
    """
    boot, newest = (None, 0) if region.status is None else (region.status.boot, region.status.seq)
    restarted = tracked.shard.fence is not None and tracked.shard.fence.boot != boot
    if restarted and any(since > tracked.suspected_at for since in tracked.running_since.values()):
        # Its journal said only after the restart that a task ran there before: the loss blamed nobody for it.
        tracked.blamed = True
    ran = tracked.blamed or bool(tracked.running_since)
    if restarted:
        # A task may have started and ended its region before that was heard: then the journal still says so.
        tracked.unheard_until = 0 if ran else newest
        tracked.running_since.clear()
    # A task may have stopped the cluster's process for a while. In a blackout it was our own network.
    tracked.blamed &= restarted or not region.health.lost_in_blackout
    silenced = tracked.blamed
    count_loss(tracked, now, settings)
    # One that only waited in a queue goes on, or a start that is heard late would never be.
    if (silenced or (restarted and ran)) and may_be_poison(tracked.shard, now.wall, settings):
        leave_region(tracked, now, "Restarted" if restarted else "Silent", settings, event=Event.LOST)
        return
    fence = region.fence(now, settings.fence_seconds)
    tracked.apply_event(now, Event.REGION_BACK, suspect_since=None, fence=fence)
    tracked.fenced_until = now.monotonic + settings.fence_seconds
    tracked.sent_at = NEVER
    # Results have come in since the create was first sent.
    tracked.resumption = None


def _count_unheard_loss(tracked: TrackedShard, now: Instant, settings: FailoverSettings) -> None:
    """Counts a region's earlier loss against a shard: a late event shows that a task ran there before it."""
    tracked.blamed, tracked.unheard_until = True, 0
    count_loss(tracked, now, settings)
    if may_be_poison(tracked.shard, now.wall, settings):
        leave_region(tracked, now, "Restarted", settings, event=Event.LOST)


def compare_attempts(
    ws: WorkingSet, region: Region, hello: Hello, *, began: float, now: Instant, settings: FailoverSettings
) -> None:
    """Corrects a region's attempts in memory by its cluster's list of them, `hello`, asked for at `began`."""
    held = dict(hello.attempts)
    if _was_restarted(ws, region, hello.status.boot):
        blame_shards(ws, region, now, settings)
    for tracked in list(ws.placed_in(region.name, *PLACED)):
        _compare_one(tracked, region, hello.status.boot, held, began=began, now=now, settings=settings)


def _was_restarted(ws: WorkingSet, region: Region, boot: str) -> bool:
    """Returns whether the region's cluster has restarted since attempts that should run were sent to it."""
    placed = ws.placed_in(region.name, Phase.DISPATCHING, Phase.RUNNING)
    return any(tracked.shard.fence is not None and tracked.shard.fence.boot != boot for tracked in placed)


def _compare_one(
    tracked: TrackedShard,
    region: Region,
    boot: str,
    held: dict[AttemptId, bool],
    *,
    began: float,
    now: Instant,
    settings: FailoverSettings,
) -> None:
    """Confirms an attempt that its cluster runs, sends again one it has stopped, and loses one it lacks.

    `held` are the attempts that the cluster knows; False: it was restarted and runs nothing of that one.
    """
    shard = tracked.shard
    if shard.incarnation != region.incarnation:
        # The journal that had the attempt is gone, and with it all that was known of the attempt.
        lose_attempt(tracked, now, "JournalReplaced", settings)
    elif held.get(shard.attempt) is False or (shard.fence is not None and shard.fence.boot != boot):
        # The cluster was restarted: it knows the attempt and runs nothing of it until it is sent again. That
        # is not before it has answered enough probes to be reachable: until then its shards stay Suspect.
        if region.health.condition is RegionCondition.UNREACHABLE:
            return
        if shard.phase is not Phase.SUSPECT:
            tracked.apply_event(now, Event.REGION_LOST, reason="Restarted", suspect_since=now.wall)
        send_again(tracked, region, now, settings)
    elif shard.phase is Phase.RUNNING and shard.attempt not in held and tracked.confirmed_at < began:
        # Only an attempt confirmed before the list was asked for can be missing: of a later one the create
        # may have crossed the list on its way.
        lose_attempt(tracked, now, "UnknownToCluster", settings)
    elif shard.phase is Phase.DISPATCHING and held.get(shard.attempt):
        # The answer to the create was lost.
        confirm_attempt(tracked, now)


def _task_detail(region: Region, event: TaskChanged) -> TaskDetail:
    return TaskDetail(
        task=event.task,
        phase=event.phase,
        epoch=event.attempt.epoch,
        region=region.name,
        tries=event.tries,
        seconds=None if event.ended_at is None else round(event.ended_at - event.started_at, 3),
        reason=event.reason,
        next_try_at=event.next_try_at,
    )
