"""Loads runs and shards from the store into memory (the reconciler's working set).

A controller that loads a shard is a new owner: it knows none of the monotonic times of the controller before
it, so every wait begins again.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import msgspec
from loguru import logger

from clusters.features import AFTER_FAILURE
from clusters.protocol import RunSpec
from gateway.core.instant import NEVER, Instant
from gateway.core.resume import resume
from gateway.core.run import Run, TaskRow
from gateway.core.shard_states import Event, Phase, Shard
from gateway.documents.run_spec import run_spec
from gateway.documents.workflow import Metadata, Spec, Workflow
from gateway.reconciler.working_set.region import Region, removed_region
from gateway.reconciler.working_set.stages import TOO_LARGE, at_stage, stored_rows
from gateway.reconciler.working_set.tracked_shard import LoadedRun, TrackedShard
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.regions.placement_demand import features_of
from gateway.settings import FailoverSettings
from gateway.store.interface import Cursor, Store
from waypost.tracing.context import trace_fields
from waypost.workflow.placeholders import PlaceholderError
from waypost.workflow.stages import Stage
from waypost.workflow.task import SideEffects

LARGE_BYTES: Final = 16 * 1024
"""The document size from which on a document is rendered on a thread and kept."""

_decode = msgspec.json.Decoder(Workflow).decode


def render_run(run: Run) -> LoadedRun:
    """Builds the in-memory form of a run: its document decoded, its tasks as clusters get them.

    Placeholders for params are filled in. A document that this version cannot read gives a run without tasks.
    """
    try:
        workflow = _decode(run.workflow)
        spec = run_spec(run.id, workflow, fairness_key=run.tenant, fairness_weight=run.weight, span=run.span)
    except (msgspec.MsgspecError, PlaceholderError, RecursionError) as error:
        logger.bind(run=run.id, **trace_fields(run.span)).error("run {} cannot be read: {}", run.id, error)
        return _unreadable(run)
    return LoadedRun(
        stored=run,
        workflow=workflow,
        spec=spec,
        tasks={task.name: task for task in spec.tasks},
        features=features_of(workflow, Stage.MAIN),
    )


def _unreadable(run: Run) -> LoadedRun:
    # Whether it is exclusive cannot be read either. It may be, so its attempts are waited for as if it were.
    spec = Spec(tasks=(), side_effects=SideEffects.EXCLUSIVE)
    workflow = Workflow(
        api_version="waypost/v1", kind="Workflow", metadata=Metadata(name=run.name), spec=spec
    )
    return LoadedRun(
        stored=run,
        workflow=workflow,
        spec=RunSpec(run=run.id, tasks=(), side_effects=SideEffects.EXCLUSIVE),
        tasks={},
    )


async def load_run(ws: WorkingSet, store: Store, run_id: str) -> LoadedRun:
    """Reads a run from the store and decodes its document, unless the working set has it decoded already.

    Raises `LookupError` where the store has shards of a run that it does not have: its promise to the caller
    is broken, and nothing may go on as if it were not.
    """
    run = await store.run(run_id)
    if run is None:
        raise LookupError(f"run {run_id} has shards but is not stored")
    return await rendered(ws, run)


async def rendered(ws: WorkingSet, run: Run) -> LoadedRun:
    """Returns the in-memory form of a stored run: built at each call, or cached if its document is large."""
    run_id = run.id
    known = ws.large_runs.get(run_id)
    if known is not None and (known.stored.workflow, known.stored.weight) == (run.workflow, run.weight):
        return replace(known, stored=run)
    if len(run.workflow) < LARGE_BYTES:
        return render_run(run)
    # A tenth of a second for ten thousand tasks, which would hold up everybody at each pass.
    loaded = await asyncio.to_thread(render_run, run)
    ws.keep_large(loaded)
    return loaded


async def load_shard(
    store: Store, shard: Shard, run: LoadedRun, now: Instant, settings: FailoverSettings
) -> TrackedShard:
    """Builds the in-memory form of a stored shard, with its earlier attempts' task results from the store.

    A shard whose document cannot be read is quarantined, so that it holds up no other shard.
    """
    run = await at_stage(run, shard, store)
    tracked = TrackedShard(
        shard=shard,
        run=run,
        stored_rev=shard.rev,
        # A create that the owner before us sent may arrive as late as one that it would send now.
        fenced_until=now.monotonic + settings.fence_seconds if shard.epoch else NEVER,
        suspected_at=now.monotonic if shard.phase is Phase.SUSPECT else NEVER,
        heard_until=now.monotonic if shard.phase is Phase.SUSPECT else NEVER,
    )
    _restore_progress(tracked, await stored_rows(store, shard, run) or (), now)
    if not run.readable and not shard.phase.terminal:
        tracked.apply_event(now, Event.UNREADABLE, reason="Unreadable")
    return tracked


def _restore_progress(tracked: TrackedShard, rows: Iterable[TaskRow], now: Instant) -> None:
    rows = list(rows)
    shard = tracked.shard
    resumption = resume(
        tracked.run.spec.tasks,
        rows,
        incarnation=shard.incarnation,
        # Nothing has been heard of its region yet.
        carries_failures=tracked.run.carries_failures,
    )
    tracked.start_from(resumption, rows)
    for row in rows:
        if row.last_failure is not None:
            tracked.failed_tries[row.task] = row.last_failure
        if row.epoch == shard.epoch and row.ended_at is None and row.instances is None and shard.phase.placed:
            # Only the wall clock knows how long the task has run. If that is wrong, an idempotent shard waits
            # too long or too short for its region, which costs time and no safety.
            tracked.running_since[row.task] = now.monotonic - max(0.0, now.wall - row.started_at)


async def track_shard(
    ws: WorkingSet,
    store: Store,
    shard: Shard,
    now: Instant,
    settings: FailoverSettings,
    *,
    runs: dict[str, LoadedRun],
) -> TrackedShard:
    """Returns the stored `shard` as the working set has it; loads it if it is absent there or outdated.

    An outdated one with uncommitted changes is not loaded: their commit will find the conflict. `runs` has
    the runs loaded in this pass; a run that is loaded is added to it.
    """
    tracked = ws.shards.get(shard.key)
    # What is dirty was decided on a row that somebody else has changed since: its write will not take, and
    # the conflict loads it again.
    if tracked is None or (tracked.stored_rev < shard.rev and not tracked.dirty):
        if shard.run not in runs:
            runs[shard.run] = await load_run(ws, store, shard.run)
        tracked = await load_shard(store, shard, runs[shard.run], now, settings)
        ws.add(tracked)
    return tracked


async def load_active(ws: WorkingSet, store: Store, now: Instant, settings: FailoverSettings) -> None:
    """Loads every shard that is under way into the working set, and opens the regions' event streams.

    Each stream begins at its committed cursor. To be called at the start and after an outage of the store:
    the former content of the working set is dropped.
    """
    cursors = await store.cursors()
    active = await store.active()
    ws.shards.clear()
    _add_removed_regions(ws, active, now)
    for region in ws.regions.values():
        region.cursor, region.cursor_dirty = cursors.get(region.name, Cursor()), False
        region.reopen_stream(now)
    runs: dict[str, LoadedRun] = {}
    for shard in active:
        await track_shard(ws, store, shard, now, settings, runs=runs)


def _add_removed_regions(ws: WorkingSet, active: Sequence[Shard], now: Instant) -> None:
    """Adds regions that shards name and the settings lack, so that shards leave them and orphans end."""
    named = {shard.region for shard in active if shard.region is not None}
    named |= {orphan.region for shard in active for orphan in shard.orphans}
    for name in sorted(named - ws.regions.keys()):
        logger.bind(region=name).warning(
            "region {}: not among the settings any more, but shards name it: they are moved", name
        )
        ws.regions[name] = removed_region(name, now)


async def reload_conflicts(
    ws: WorkingSet,
    store: Store,
    conflicts: Iterable[tuple[str, int]],
    now: Instant,
    settings: FailoverSettings,
) -> None:
    """Reloads the shards in `conflicts`, which another writer has changed, from the store.

    Reopens the event streams whose newest events were not committed, so that these are received again.
    """
    runs: dict[str, LoadedRun] = {}
    for run, index in conflicts:
        shard = await store.shard(run, index)
        # One that only waits for a place is read again when it is placed.
        if shard is not None and (shard.phase.placed or shard.orphans or shard.phase is Phase.CANCELLING):
            await track_shard(ws, store, shard, now, settings, runs=runs)
    cursors = await store.cursors()
    for region in ws.regions.values():
        if region.cursor_dirty:
            region.cursor = cursors.get(region.name, Cursor(incarnation=region.incarnation))
            region.cursor_dirty = False
            # What a listing had changed may have been lost with the write.
            region.compared_at = NEVER
            region.reopen_stream(now)


async def load_resumption(store: Store, tracked: TrackedShard, region: Region) -> None:
    """Loads the stored task results that a shard's next attempt, in `region`, starts from.

    A result of scope `region` counts only in the cluster journal that made it.
    """
    rows = await stored_rows(store, tracked.shard, tracked.run)
    if rows is None:
        rows, tracked.unfit = (), TOO_LARGE
    features = () if region.status is None else region.status.features
    resumption = resume(
        tracked.run.spec.tasks,
        rows,
        incarnation=region.incarnation,
        carries_failures=AFTER_FAILURE in features or tracked.run.carries_failures,
    )
    tracked.start_from(resumption, rows)
