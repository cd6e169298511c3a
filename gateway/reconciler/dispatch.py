"""Hand intended attempts to their cluster, many in one call, and take its answers.

Derived anew at each pass from what is committed, so a lost call, a lost answer and a restart are one case: it is sent again.
"""

from dataclasses import dataclass, field
from itertools import takewhile

import msgspec

from clusters.protocol import AttemptId, Batch, BatchAnswers, CreateAnswer, CreateOutcome, RunSpec, ShardSpec
from gateway.core.instant import Instant
from gateway.core.lost_attempts import leaving
from gateway.core.shard_states import Event, Phase
from gateway.reconciler.attempt_events import confirm
from gateway.reconciler.loading import read_again
from gateway.reconciler.orphans import take_answer, to_reap
from gateway.reconciler.working_set import Region, Tracked, WorkingSet
from gateway.settings import Failover
from gateway.store.interface import Store

BATCH_CREATES = 200
BATCH_TASKS = 200_000
BATCH_BYTES = 16 * 1024 * 1024
"""Creates, their tasks and their documents in one call: it has to be done well within its timeout and the creates' fences."""

ACKNOWLEDGE_SECONDS = 1.0
"""A cluster keeps its events until it hears that they are committed; with nothing else to say it is told so often."""

FATAL = ("Invalid", "Unsupported")
"""Refusals that no other region would answer differently."""


@dataclass(kw_only=True, slots=True)
class Load:
    """What one call to a region is to carry."""

    creates: int = 0
    tasks: int = 0
    size: int = 0
    runs: set[str] = field(default_factory=set)

    def takes(self, tracked: Tracked) -> bool:
        """Adds a create if there is room; there is for one, whatever it weighs, or it would wait for ever."""
        tasks, size = self.tasks + len(tracked.work.spec.tasks), self.size
        if tracked.resumption is not None and tracked.resumption.results:
            size += len(msgspec.json.encode(tracked.resumption.results))
        if tracked.shard.run not in self.runs:
            size += len(tracked.work.run.workflow)
        if self.creates and (self.creates == BATCH_CREATES or tasks > BATCH_TASKS or size > BATCH_BYTES):
            return False
        self.creates, self.tasks, self.size = self.creates + 1, tasks, size
        self.runs.add(tracked.shard.run)
        return True


def next_calls(ws: WorkingSet, now: Instant, settings: Failover) -> dict[str, Load]:
    """By region to which a call can go out now, what it will carry. An intent for any other could not be sent before its fence."""
    calls: dict[str, Load] = {}
    for region in ws.regions.values():
        if region.link.idle:
            load = Load()
            if all(load.takes(tracked) for tracked in to_send(ws, region, now, settings)):
                calls[region.name] = load
    return calls


def to_send(ws: WorkingSet, region: Region, now: Instant, settings: Failover) -> list[Tracked]:
    """Intents of `region` that are committed and were not sent, or not answered for too long."""
    due = now.monotonic - settings.resend_seconds
    return [t for t in ws.placed_in(region.name, Phase.DISPATCHING) if not t.dirty and t.sent_at <= due]


async def prepare(ws: WorkingSet, store: Store, region: Region, now: Instant, settings: Failover) -> None:
    """Reads what goes with the creates of the next call to `region`, and no more than it can carry."""
    load = Load()
    for tracked in to_send(ws, region, now, settings):
        if tracked.resumption is None:
            await read_again(store, tracked, region.incarnation)
        if not load.takes(tracked):
            return


def batch(ws: WorkingSet, region: Region, now: Instant, settings: Failover) -> Batch | None:
    """What to say to `region` now; None where there is nothing. Marks it as said."""
    load = Load()
    creates = list(
        takewhile(lambda t: t.resumption is not None and load.takes(t), to_send(ws, region, now, settings))
    )
    tombstones = to_reap(ws, region, now, settings)
    committed = region.acknowledged if region.cursor_dirty else region.cursor.seq
    overdue = (
        committed != region.acknowledged and now.monotonic - region.acknowledged_at >= ACKNOWLEDGE_SECONDS
    )
    if not creates and not tombstones and not region.renewals and not overdue:
        return None
    runs: dict[str, RunSpec] = {}
    for tracked in creates:
        tracked.sent_at = now.monotonic
        runs[tracked.shard.run] = tracked.work.spec
    renewals, region.renewals = tuple(region.renewals.values()), {}
    region.acknowledged, region.acknowledged_at = committed, now.monotonic
    return Batch(
        incarnation=region.incarnation,
        runs=tuple(runs.values()),
        creates=tuple(_create(tracked) for tracked in creates),
        renewals=renewals,
        tombstones=tombstones,
        acknowledged=committed,
    )


def _create(tracked: Tracked) -> ShardSpec:
    shard, resumption = tracked.shard, tracked.resumption
    if shard.fence is None or resumption is None:
        raise AssertionError("a placed shard has a fence, and is read before it is sent")
    return ShardSpec(
        attempt=shard.attempt,
        item=shard.item,
        fence=shard.fence,
        results=resumption.results,
        tries=resumption.tries,
    )


def answered(ws: WorkingSet, region: Region, answers: BatchAnswers, now: Instant, settings: Failover) -> None:
    """Takes each item's answer; those of attempts that moved on meanwhile mean nothing, nor does what an earlier boot has said."""
    for create in answers.creates:
        tracked = ws.current(region.name, create.attempt)
        if (
            tracked is not None
            and tracked.shard.fence is not None
            and tracked.shard.fence.boot == answers.status.boot
        ):
            _created(tracked, create, now, settings)
    for tombstone in answers.tombstones:
        take_answer(ws, region, tombstone, now, settings)


def _created(tracked: Tracked, answer: CreateAnswer, now: Instant, settings: Failover) -> None:
    if answer.outcome in (CreateOutcome.CREATED, CreateOutcome.EXISTS):
        confirm(tracked, now)
    elif answer.outcome is CreateOutcome.REFUSED and tracked.shard.phase is Phase.DISPATCHING:
        _refused(tracked, answer, now, settings)


def _refused(tracked: Tracked, answer: CreateAnswer, now: Instant, settings: Failover) -> None:
    """Never under this epoch. The attempt is listed all the same: an earlier copy of the create may still land before its fence."""
    shard = tracked.shard
    if answer.reason in FATAL:
        tracked.change(now, Event.FAILED, reason=answer.detail or answer.reason)
    elif answer.reason == "Full":
        tracked.change(
            now, Event.REFUSED, reason=answer.reason, not_before=now.wall + settings.resend_seconds
        )
    elif leaving(shard.failovers, settings) is Event.EXHAUSTED:
        tracked.change(now, Event.EXHAUSTED, reason=answer.reason, failovers=shard.failovers + 1)
    else:
        tracked.change(now, Event.REFUSED, reason=answer.reason, failovers=shard.failovers + 1)


def grantable(tracked: Tracked | None, attempt: AttemptId) -> bool:
    """May this attempt hold its run-lease? Only while it is the shard's own and its region is not suspect."""
    if tracked is None or not tracked.work.exclusive:
        return False
    shard = tracked.shard
    return shard.attempt == attempt and shard.phase in (Phase.DISPATCHING, Phase.RUNNING)
