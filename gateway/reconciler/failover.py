"""Failover: marks the shards of a lost region as Suspect, and moves those that have waited long enough."""

from collections.abc import Sequence

from gateway.core.failover_rules import (
    backoff_seconds,
    failover_event,
    suspect_wait_is_over,
    suspect_wait_seconds,
)
from gateway.core.instant import NEVER, Instant
from gateway.core.shard_states import Event, Phase
from gateway.reconciler.attempt_events import leave_region, lose_attempt, send_again
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.region_losses import blame_shards, doubt_loss
from gateway.reconciler.working_set.tracked_shard import TrackedShard
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.regions.blackout_guard import enough_answer
from gateway.regions.health import RegionHealth, any_kept_answering, count_answered_since
from gateway.regions.region_condition import RegionCondition
from gateway.settings import FailoverSettings


def suspect_shards(ws: WorkingSet, region: Region, now: Instant, settings: FailoverSettings) -> None:
    """Marks the shards in an Unreachable region as Suspect; their attempts may still run there."""
    blame_shards(ws, region, now, settings)
    for tracked in list(ws.placed_in(region.name, Phase.DISPATCHING, Phase.RUNNING)):
        tracked.apply_event(now, Event.REGION_LOST, reason=region.health.reason, suspect_since=now.wall)
        tracked.suspected_at, tracked.heard_until = now.monotonic, region.status_at
        tracked.lost_at = now.monotonic if tracked.lost_at is None else tracked.lost_at


def reclaim_suspects(ws: WorkingSet, region: Region, now: Instant, settings: FailoverSettings) -> None:
    """Marks Suspect attempts in a region that is back to be sent again, under the same epoch (T6)."""
    for tracked in list(ws.placed_in(region.name, Phase.SUSPECT)):
        if tracked.shard.incarnation == region.incarnation:
            send_again(tracked, region, now, settings)
        else:
            # An operator has admitted another journal under the name: it knows nothing of the attempt.
            lose_attempt(tracked, now, "JournalReplaced", settings)


def fail_over(
    ws: WorkingSet,
    healths: Sequence[RegionHealth],
    now: Instant,
    settings: FailoverSettings,
    *,
    cut_off: bool,
) -> None:
    """Takes Suspect shards that have waited long enough out of their region; their attempts become orphans.

    The shards wait for another place, or are quarantined after too many failovers. They move only if at
    least half of the regions in `healths` (those that the blackout guard counts) have answered a probe since
    the suspicion, and the gateway is not `cut_off`; otherwise only shards move whose attempt no cluster has
    ever confirmed.
    """
    for tracked in [t for t in ws.shards.values() if t.shard.phase is Phase.SUSPECT]:
        # Half of the regions must have answered a probe that began after the suspicion: proof that it is not
        # the gateway's own network that was lost.
        answering = count_answered_since(healths, tracked.suspected_at)
        # While the gateway is cut off, its regions go on working: whatever moved would run twice.
        proven = not cut_off and enough_answer(answering, len(healths))
        unconfirmed = _never_confirmed(tracked, now) and any_kept_answering(healths, tracked.suspected_at)
        if (proven or unconfirmed) and _waited(tracked, now, settings) and not _is_coming_back(ws, tracked):
            if not proven:
                doubt_loss(tracked)
            leave_region(tracked, now, "RegionLost", settings)


def give_up_region(ws: WorkingSet, region: Region, now: Instant, settings: FailoverSettings) -> None:
    """Takes the Suspect shards out of a region that an operator has forgotten, without proof of its loss.

    An exclusive shard still waits until its lease has ended: an operator may err, and it must never run
    twice at once. An attempt that turns out to be alive is ended as an unknown one.
    """
    for tracked in list(ws.placed_in(region.name, Phase.SUSPECT)):
        if not tracked.run.exclusive or _waited(tracked, now, settings):
            leave_region(tracked, now, "RegionForgotten", settings)


def give_up_unconfirmed(ws: WorkingSet, now: Instant, settings: FailoverSettings) -> None:
    """Withdraws Dispatching attempts that no cluster has confirmed before their fence (T14).

    The shards wait for another place, since no cluster takes a create request after its fence. Whether the
    region's cluster took it before is known from the answer to the tombstone.
    """
    for tracked in [t for t in ws.shards.values() if t.shard.phase is Phase.DISPATCHING]:
        if tracked.fenced_until > now.monotonic:
            continue
        if tracked.sent_at == NEVER:
            # No region was asked, so none has failed: this is no failover.
            tracked.apply_event(now, Event.UNCONFIRMED, reason="Unsent")
            continue
        event, failovers = failover_event(tracked.shard.failovers, settings), tracked.shard.failovers + 1
        region = ws.regions.get(tracked.shard.region or "")
        last_resort = region is not None and region.health.condition is RegionCondition.EJECTED
        tracked.apply_event(
            now,
            Event.UNCONFIRMED if event is Event.ABANDONED else event,
            reason="Unconfirmed",
            failovers=failovers,
            # It has no other place: without a pause all failovers would be used up within minutes.
            not_before=now.wall + backoff_seconds(failovers, settings) if last_resort else 0.0,
        )


def _never_confirmed(tracked: TrackedShard, now: Instant) -> bool:
    """Returns whether no cluster has confirmed an attempt, nor accepts its create request any more.

    False for an attempt that was sent before this gateway started: it may have been confirmed then.
    """
    return tracked.intended_at > NEVER and not tracked.running_since and tracked.fenced_until <= now.monotonic


def _is_coming_back(ws: WorkingSet, tracked: TrackedShard) -> bool:
    """Returns whether a shard's region answers probes again, but not often enough yet to be reachable."""
    region = ws.regions.get(tracked.shard.region or "")
    return region is not None and region.admitted and region.health.successes > 0


def _waited(tracked: TrackedShard, now: Instant, settings: FailoverSettings) -> bool:
    """Returns whether a Suspect shard has waited for its region as long as its side effects require."""
    side_effects, deadline = tracked.run.spec.side_effects, tracked.run.deadline_at
    wait_seconds = suspect_wait_seconds(
        side_effects,
        ran_seconds=(tracked.heard_until - since for since in tracked.running_since.values()),
        deadline_in_seconds=None if deadline is None else max(0.0, deadline - now.wall),
        settings=settings,
    )
    return suspect_wait_is_over(
        side_effects,
        now=now.monotonic,
        suspected_at=tracked.suspected_at,
        fenced_until=tracked.fenced_until,
        wait_seconds=wait_seconds,
    )
