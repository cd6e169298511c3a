"""Builds the batches of create requests and tombstones for clusters, and applies the clusters' answers.

What to send is derived at each pass from what is committed. So a lost call, a lost answer and a restart are
one case: the request is sent again, and the cluster recognizes (run, shard, epoch).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from clusters.protocol import (
    OTHER_TENANT,
    AttemptId,
    Batch,
    BatchAnswers,
    CreateAnswer,
    CreateOutcome,
    RunSpec,
    ShardSpec,
)
from gateway.core.failover_rules import failover_event
from gateway.core.instant import Instant
from gateway.core.shard_states import Event, Phase
from gateway.reconciler.attempt_events import confirm_attempt
from gateway.reconciler.loading import load_resumption
from gateway.reconciler.orphans import apply_tombstone_answer, due_tombstones, mark_tombstones_sent
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.tracked_shard import TrackedShard
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.settings import FailoverSettings
from gateway.store.interface import Store

BATCH_CREATES = 200
BATCH_TASKS = 200_000
BATCH_BYTES = 16 * 1024 * 1024
"""The limits of one batch, which must be done well within its call's timeout and the creates' fences."""

TENANT_TASKS = 20_000
TENANT_BYTES = 4 * 1024 * 1024
"""The limits of one tenant's part of a batch: large work goes in many batches, each with room for others."""

ACKNOWLEDGE_SECONDS = 1.0
"""The longest time until a cluster is sent that its events are committed: it keeps them until then."""
ACKNOWLEDGE_EVENTS = 32
"""The number of committed events after which their cluster is sent an acknowledgement at once.

It holds back tasks of attempts with many events under way.
"""

FATAL = ("Invalid", "Unsupported")
"""The refusal reasons that every other region would repeat, so that the shard fails."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateSize:
    """The size of one create request (the order to start an attempt), for the limits of a batch."""

    run: str
    tenant: str
    tasks: int
    document_bytes: int
    """The size of the run's document, which a batch carries once for all shards of the run."""
    result_bytes: int


def create_size(tracked: TrackedShard) -> CreateSize:
    """Measures a shard's create request: its tasks, and the bytes of document and results.

    Task results that are not read from the store yet count as 0.
    """
    results = () if tracked.resumption is None else tracked.resumption.results
    return CreateSize(
        run=tracked.shard.run,
        tenant=tracked.run.stored.tenant,
        tasks=len(tracked.run.spec.tasks),
        document_bytes=len(tracked.run.stored.workflow),
        result_bytes=len(msgspec.json.encode(results)) if results else 0,
    )


@dataclass(kw_only=True, slots=True)
class BatchLoad:
    """The size of a batch while create requests are added to it, and the limits that they must fit."""

    creates: int = 0
    tasks: int = 0
    size: int = 0
    """The total bytes of documents and results in the batch."""
    runs: set[str] = field(default_factory=set)
    tenant_tasks: Counter[str] = field(default_factory=Counter)
    tenant_bytes: Counter[str] = field(default_factory=Counter)
    closed: set[str] = field(default_factory=set)
    """The tenants whose creates no longer fit into this batch: these go first in a later batch."""

    @property
    def full(self) -> bool:
        """Returns whether the batch has no room for any further create request."""
        return self.creates >= BATCH_CREATES or self.tasks >= BATCH_TASKS or self.size >= BATCH_BYTES

    def add(self, create: CreateSize) -> bool:
        """Adds a create request to the batch's size if it fits; returns whether it does.

        If not, the batch takes no more requests of its tenant.
        """
        if not self._fits(create):
            self.closed.add(create.tenant)
            return False
        added = self._added_bytes(create)
        self.size += added
        self.creates += 1
        self.tasks += create.tasks
        self.runs.add(create.run)
        self.tenant_tasks[create.tenant] += create.tasks
        self.tenant_bytes[create.tenant] += added
        return True

    def _fits(self, create: CreateSize) -> bool:
        if create.tenant in self.closed:
            return False
        if not self.creates:
            return True  # whatever its size: else it would wait for ever
        added = self._added_bytes(create)
        own = create.tenant
        return (
            self.creates < BATCH_CREATES
            and self.tasks + create.tasks <= BATCH_TASKS
            and self.size + added <= BATCH_BYTES
            and (not self.tenant_tasks[own] or self.tenant_tasks[own] + create.tasks <= TENANT_TASKS)
            and (not self.tenant_bytes[own] or self.tenant_bytes[own] + added <= TENANT_BYTES)
        )

    def _added_bytes(self, create: CreateSize) -> int:
        return create.result_bytes + (0 if create.run in self.runs else create.document_bytes)


def due_creates(
    ws: WorkingSet, region: Region, now: Instant, settings: FailoverSettings
) -> list[TrackedShard]:
    """Returns the shards in `region` whose create request must be sent (again): it has no answer yet."""
    due = now.monotonic - settings.resend_seconds
    return [t for t in ws.placed_in(region.name, Phase.DISPATCHING) if not t.dirty and t.sent_at <= due]


def open_batches(ws: WorkingSet, now: Instant, settings: FailoverSettings) -> dict[str, BatchLoad]:
    """Returns the load of each region's next batch, for regions whose batch can be sent now and has room.

    Other regions are left out: a create request for them would wait, and its fence would run out meanwhile.
    """
    loads: dict[str, BatchLoad] = {}
    for region in ws.regions.values():
        if region.link.can_send:
            load = BatchLoad()
            _take_fitting(due_creates(ws, region, now, settings), load)
            if not load.full:
                loads[region.name] = load
    return loads


async def load_resumptions(
    ws: WorkingSet, store: Store, region: Region, now: Instant, settings: FailoverSettings
) -> None:
    """Reads from the store the task results that the create requests of the next batch will carry."""
    load = BatchLoad()
    for tracked in due_creates(ws, region, now, settings):
        if load.full:
            return
        if tracked.run.stored.tenant in load.closed:
            continue
        if tracked.resumption is None:
            await load_resumption(store, tracked, region)
        load.add(create_size(tracked))


def next_batch(ws: WorkingSet, region: Region, now: Instant, settings: FailoverSettings) -> Batch | None:
    """Builds the batch to send to `region` now; None if nothing is due.

    `mark_sent` is to be called once the batch was sent.
    """
    due = due_creates(ws, region, now, settings)
    # Those whose results are not read wait: sent without them, they would run finished tasks again.
    creates = _take_fitting([tracked for tracked in due if tracked.resumption is not None], BatchLoad())
    tombstones = due_tombstones(ws, region, now, settings)
    # What the cursor has taken in and no commit has stored yet would be lost if the cluster dropped it.
    committed = region.acknowledged if region.cursor_dirty else region.cursor.seq
    overdue = committed != region.acknowledged and (
        committed - region.acknowledged >= ACKNOWLEDGE_EVENTS
        or now.monotonic - region.acknowledged_at >= ACKNOWLEDGE_SECONDS
    )
    if not creates and not tombstones and not region.renewals and not overdue:
        return None
    runs: dict[str, RunSpec] = {tracked.shard.run: tracked.run.spec for tracked in creates}
    return Batch(
        incarnation=region.incarnation,
        runs=tuple(runs.values()),
        creates=tuple(_shard_spec(tracked, region, now) for tracked in creates),
        renewals=tuple(region.renewals.values()),
        tombstones=tombstones,
        acknowledged=committed,
    )


def mark_sent(ws: WorkingSet, region: Region, batch: Batch, now: Instant) -> None:
    """Records that `batch` was sent to `region` now: its items are sent again only if no answer comes."""
    for create in batch.creates:
        tracked = ws.find_current(region.name, create.attempt)
        if tracked is not None:
            tracked.sent_at = now.monotonic
    mark_tombstones_sent(ws, region, batch.tombstones, now)
    region.renewals = {}
    region.acknowledged, region.acknowledged_at = batch.acknowledged, now.monotonic


def _take_fitting(due: Iterable[TrackedShard], load: BatchLoad) -> list[TrackedShard]:
    """Adds the shards' create requests to `load` in order; returns the shards whose request fitted."""
    return [tracked for tracked in due if not load.full and load.add(create_size(tracked))]


def _shard_spec(tracked: TrackedShard, region: Region, now: Instant) -> ShardSpec:
    shard, resumption = tracked.shard, tracked.resumption
    if shard.fence is None or resumption is None:
        raise AssertionError("a placed shard has a fence, and its results are read before it is sent")
    return ShardSpec(
        attempt=shard.attempt,
        item=shard.item,
        fence=shard.fence,
        expires_at=region.uptime_at(tracked.run.deadline_at, now),
        results=resumption.results,
        tries=resumption.tries,
    )


def apply_answers(
    ws: WorkingSet, region: Region, answers: BatchAnswers, now: Instant, settings: FailoverSettings
) -> None:
    """Updates the shards in memory by a cluster's answers to a batch's create requests and tombstones."""
    for create in answers.creates:
        tracked = ws.find_current(region.name, create.attempt)
        # An answer of an earlier boot does not say that the attempt runs in this one.
        if (
            tracked is not None
            and tracked.shard.fence is not None
            and tracked.shard.fence.boot == answers.status.boot
        ):
            _apply_create_answer(tracked, create, now, settings)
    for tombstone in answers.tombstones:
        apply_tombstone_answer(ws, region, tombstone, now, settings, boot=answers.status.boot)


def _apply_create_answer(
    tracked: TrackedShard, answer: CreateAnswer, now: Instant, settings: FailoverSettings
) -> None:
    """Applies the answer to a create request: confirms or refuses the shard's current attempt."""
    if answer.outcome in (CreateOutcome.CREATED, CreateOutcome.EXISTS):
        confirm_attempt(tracked, now)
    elif answer.outcome is CreateOutcome.REFUSED and tracked.shard.phase is Phase.DISPATCHING:
        _apply_refusal(tracked, answer, now, settings)


def _apply_refusal(
    tracked: TrackedShard, answer: CreateAnswer, now: Instant, settings: FailoverSettings
) -> None:
    """Applies a refused create request (T3): the shard waits for another region, is quarantined or fails.

    It fails if every other region would refuse for the same reason, and is quarantined after too many
    failovers. Unless it fails, the attempt becomes an orphan: an earlier copy of the request, which was not
    refused, may still arrive before its fence.
    """
    shard = tracked.shard
    if answer.reason in FATAL:
        tracked.apply_event(now, Event.FAILED, reason=answer.detail or answer.reason)
    elif answer.reason in ("Full", OTHER_TENANT):
        # The region is well: not a failover, and worth another look soon.
        not_before = now.wall + settings.resend_seconds
        reason = answer.detail or answer.reason
        tracked.apply_event(now, Event.REFUSED, reason=reason, not_before=not_before)
    else:
        event = failover_event(shard.failovers, settings)
        tracked.apply_event(
            now,
            Event.REFUSED if event is Event.ABANDONED else event,
            reason=answer.reason,
            failovers=shard.failovers + 1,
        )


def may_hold_lease(tracked: TrackedShard, attempt: AttemptId) -> bool:
    """Returns whether an exclusive attempt may have its run-lease renewed: it is current and not Suspect.

    The wait of a Suspect shard counts from the suspicion: a lease that was renewed later would outlive it.
    """
    shard = tracked.shard
    return (
        tracked.run.exclusive
        and shard.attempt == attempt
        and shard.phase in (Phase.DISPATCHING, Phase.RUNNING)
    )
