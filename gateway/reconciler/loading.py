"""Bring a shard from the store into the working set, as a new owner: whatever has to be waited for is waited for anew."""

from collections.abc import Iterable

import msgspec
from loguru import logger

from clusters.protocol import RunSpec
from gateway.core.instant import Instant
from gateway.core.resume import resume
from gateway.core.run import Run, TaskRow
from gateway.core.shard_states import Event, Phase, Shard
from gateway.documents.rendering import run_spec
from gateway.documents.workflow import Metadata, Spec, Workflow
from gateway.reconciler.working_set import NEVER, Tracked, Work
from gateway.settings import Failover
from gateway.store.interface import Store
from waypost.workflow.placeholders import PlaceholderError
from waypost.workflow.task import SideEffects

_decode = msgspec.json.Decoder(Workflow).decode


def work_of(run: Run) -> Work:
    """The stored document, rendered once for all shards of the run. One that this version does not take is work without tasks."""
    try:
        workflow = _decode(run.workflow)
        spec = run_spec(run.id, workflow)
    except (msgspec.MsgspecError, PlaceholderError, RecursionError) as error:
        logger.error("run {} cannot be read: {}", run.id, error)
        return _unreadable(run)
    return Work(run=run, workflow=workflow, spec=spec, tasks={task.name: task for task in spec.tasks})


def _unreadable(run: Run) -> Work:
    """Exclusive, since it may be: an attempt of it is waited for as long as one that is."""
    spec = Spec(tasks=(), side_effects=SideEffects.EXCLUSIVE)
    workflow = Workflow(
        api_version="waypost/v1", kind="Workflow", metadata=Metadata(name=run.name), spec=spec
    )
    return Work(
        run=run,
        workflow=workflow,
        spec=RunSpec(run=run.id, tasks=(), side_effects=SideEffects.EXCLUSIVE),
        tasks={},
    )


async def load_work(store: Store, run_id: str) -> Work:
    """Raises `LookupError` where the store has shards of a run that it does not have: a broken promise, never to be passed over."""
    run = await store.run(run_id)
    if run is None:
        raise LookupError(f"run {run_id} has shards but is not stored")
    return work_of(run)


async def take_up(store: Store, shard: Shard, work: Work, now: Instant, settings: Failover) -> Tracked:
    """The shard with what its earlier attempts left. One that was never placed has left nothing, and is not read for.

    One whose document cannot be read is quarantined: it holds up nobody else.
    """
    tracked = Tracked(
        shard=shard,
        work=work,
        stored_rev=shard.rev,
        fenced_until=now.monotonic + settings.fence_seconds if shard.epoch else NEVER,
        suspected_at=now.monotonic if shard.phase is Phase.SUSPECT else NEVER,
        heard_until=now.monotonic if shard.phase is Phase.SUSPECT else NEVER,
    )
    rows = await store.tasks(shard.run, shard.index) if shard.epoch else ()
    restart(tracked, rows, now)
    if not work.readable and not shard.phase.terminal:
        tracked.change(now, Event.UNREADABLE, reason="Unreadable")
    return tracked


async def read_again(store: Store, tracked: Tracked, incarnation: str) -> None:
    """Reads what the shard's attempt in the journal `incarnation` starts from."""
    rows = await store.tasks(tracked.shard.run, tracked.shard.index) if tracked.shard.epoch else ()
    tracked.resume(resume(tracked.work.spec.tasks, rows, incarnation=incarnation), rows)


def restart(tracked: Tracked, rows: Iterable[TaskRow], now: Instant) -> None:
    """Takes up tasks that are under way: how long they have run is known by the wall clock only, which here costs no safety."""
    rows = list(rows)
    shard = tracked.shard
    tracked.resume(resume(tracked.work.spec.tasks, rows, incarnation=shard.incarnation), rows)
    for row in rows:
        if row.epoch == shard.epoch and row.ended_at is None and shard.phase.placed:
            tracked.running_since[row.task] = now.monotonic - max(0.0, now.wall - row.started_at)
