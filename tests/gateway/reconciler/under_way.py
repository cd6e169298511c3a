"""Builds working sets for tests: one healthy region with running shards."""

from dataclasses import replace
from functools import cache
from typing import Any

from msgspec import json as msgjson
from msgspec import structs

from clusters.protocol import ClusterStatus, Fence
from gateway.core.instant import Instant
from gateway.core.resume import Resumption
from gateway.core.run import Run
from gateway.core.shard_states import Phase, Shard
from gateway.documents.workflow import Metadata, Spec, Workflow
from gateway.reconciler.links.reports import Report
from gateway.reconciler.loading import render_run
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.tracked_shard import LoadedRun, TrackedShard
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.regions.health import unknown_health
from gateway.store.interface import Cursor
from waypost.workflow.task import SideEffects, TaskSpec

NOW = Instant(1000.0, 1_800_000_000.0)
NOTHING = Resumption(results=(), tries={}, remade=())


class StillLink:
    """A fake region link that receives nothing; `can_send` says whether it takes a batch."""

    def __init__(self, name: str, *, can_send: bool = True) -> None:
        self.name, self.can_send = name, can_send

    def drain(self) -> list[Report]:
        return []

    def probe(self) -> None: ...

    def send(self, batch: object) -> None: ...

    def list_attempts(self) -> None: ...

    def reopen_stream(self, cursor: Cursor) -> None: ...


def region(name: str = "beijing", *, can_send: bool = True) -> Region:
    status = ClusterStatus(
        region=name, incarnation="journal", boot="boot", uptime=9.0, slots=100, held=0, seq=0
    )
    return Region(
        name=name,
        link=StillLink(name, can_send=can_send),
        health=unknown_health(name),
        status=status,
        status_at=NOW.monotonic,
        incarnation="journal",
    )


def loaded_run(
    run_id: str = "run-1",
    *,
    tenant: str = "t",
    tasks: int = 1,
    size: int = 0,
    side_effects: SideEffects = SideEffects.IDEMPOTENT,
) -> LoadedRun:
    """Returns a loaded run with a chain of tasks, each of which needs the one before."""
    rendered = _rendered(tasks, side_effects)
    document = rendered.stored.workflow
    stored = structs.replace(rendered.stored, id=run_id, tenant=tenant, workflow=document.ljust(size))
    spec = structs.replace(rendered.spec, run=run_id, fairness_key=tenant)
    return replace(rendered, stored=stored, spec=spec)


@cache
def _rendered(tasks: int, side_effects: SideEffects) -> LoadedRun:
    """Returns a rendered run; cached, since ten thousand tasks take long to render."""
    given = tuple(
        TaskSpec(name=f"t{n}", type="delay", run={"seconds": 1.0}, needs=(f"t{n - 1}",) if n else ())
        for n in range(tasks)
    )
    spec = Spec(tasks=given, side_effects=side_effects)
    document = Workflow(api_version="waypost/v1", kind="Workflow", metadata=Metadata(name="w"), spec=spec)
    run = Run(
        id="run-1",
        tenant="t",
        name="w",
        subject="s",
        issuer="i",
        priority=5,
        shard_count=1,
        workflow=msgjson.encode(document),
        created_at=NOW.wall,
        decision_id="d",
        decided_at=NOW.wall,
        permitted=("beijing",),
    )
    return render_run(run)


def tracked(
    of: LoadedRun, index: int, *, resumption: Resumption | None = NOTHING, **changes: Any
) -> TrackedShard:
    """Returns a shard that is dispatching in `beijing`, committed and not yet sent, with `changes`."""
    placed: dict[str, Any] = {
        "region": "beijing",
        "incarnation": "journal",
        "fence": Fence(boot="boot", not_after=14.0),
    }
    fields: dict[str, Any] = {"phase": Phase.DISPATCHING, "epoch": 1} | placed | changes
    shard = Shard(run=of.stored.id, index=index, **fields)
    return TrackedShard(
        shard=shard, run=of, stored_rev=0, fenced_until=NOW.monotonic + 5.0, resumption=resumption
    )


def working_set(*shards: TrackedShard, regions: tuple[Region, ...] | None = None) -> WorkingSet:
    return WorkingSet(
        regions={one.name: one for one in (region(),) if regions is None}
        | {one.name: one for one in regions or ()},
        shards={one.shard.key: one for one in shards},
    )
