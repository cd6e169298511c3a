"""A working set of one shard in one region, for the stages that decide on it."""

from typing import Any

from msgspec import json as msgjson

from clusters.spec import AttemptId, ClusterStatus, Fence, Hello, SideEffects, TaskChanged, TaskPhase, TaskSpec
from gateway.core.health import unknown
from gateway.core.instant import Instant
from gateway.core.phase import Phase, Shard
from gateway.core.run import Run
from gateway.core.workflow import Metadata, Spec, Workflow
from gateway.stages.absent import absent
from gateway.stages.take_up import work_of
from gateway.stages.working_set import Region, Tracked, Work, WorkingSet

NOW = Instant(1000.0, 1_800_000_000.0)
BOOT = "boot-2"


def work(side_effects: SideEffects = SideEffects.IDEMPOTENT) -> Work:
    """Two tasks, the second of which needs the first."""
    first = TaskSpec(name="first", type="delay", run={"seconds": 1.0})
    second = TaskSpec(name="second", type="delay", run={"seconds": 1.0}, needs=("first",))
    spec = Spec(tasks=(first, second), side_effects=side_effects)
    workflow = Workflow(api_version="waypost/v1", kind="Workflow", metadata=Metadata(name="w"), spec=spec)
    run = Run(
        id="r",
        tenant="t",
        name="w",
        subject="s",
        issuer="i",
        priority=5,
        shard_count=1,
        workflow=msgjson.encode(workflow),
        created_at=NOW.wall,
        decision_id="d",
        decided_at=NOW.wall,
        permitted=("beijing",),
    )
    return work_of(run)


def tracked(phase: Phase, *, side_effects: SideEffects = SideEffects.IDEMPOTENT, **fields: Any) -> Tracked:
    """At epoch 3 in beijing, under a fence of its present boot, confirmed a while ago."""
    fence = Fence(boot=BOOT, not_after=60.0)
    placed: dict[str, Any] = {"region": "beijing", "incarnation": "journal", "fence": fence} if phase.placed else {}
    shard = Shard(run="r", index=0, phase=phase, epoch=3, **(placed | fields))
    return Tracked(
        shard=shard, work=work(side_effects), stored_rev=0, fenced_until=NOW.monotonic - 100.0, confirmed_at=NOW.monotonic - 90.0
    )


def region(name: str = "beijing") -> Region:
    """It answers, and its journal is the bound one."""
    found = Region(name=name, link=absent(name, NOW).link, health=unknown(name))
    found.status, found.heard_at, found.incarnation, found.greeted = status(), NOW.monotonic, "journal", True
    return found


def status() -> ClusterStatus:
    return ClusterStatus(region="beijing", incarnation="journal", boot=BOOT, uptime=70.0, slots=9, held=1, seq=5)


def working_set(*shards: Tracked) -> WorkingSet:
    found = WorkingSet(regions={"beijing": region(), "shanghai": region("shanghai")})
    for one in shards:
        found.add(one)
    return found


def attempt(epoch: int = 3) -> AttemptId:
    return AttemptId(run="r", shard=0, epoch=epoch)


def hello(*attempts: tuple[AttemptId, bool]) -> Hello:
    return Hello(status=status(), attempts=attempts)


def finished(task: str, *, epoch: int = 3) -> TaskChanged:
    return TaskChanged(
        seq=7, attempt=attempt(epoch), task=task, phase=TaskPhase.SUCCEEDED, tries=1, started_at=NOW.wall - 1.0, ended_at=NOW.wall
    )
