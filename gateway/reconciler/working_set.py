"""The controller's working memory: the shards that need watching, and what is known of each region.

A copy, never the truth: it is rebuilt from the store at any start, a shard changes here first and counts only once `report` has
committed it, and nothing is sent to a region that is not committed. One coroutine owns it, so nothing in it is locked.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from clusters.protocol import AttemptId, Batch, ClusterStatus, Fence, Renewal, RunSpec, TaskPhase
from gateway.core.history import Detail, HistoryEntry, HistoryKind, TransitionDetail
from gateway.core.instant import Instant
from gateway.core.resume import Resumption
from gateway.core.run import Run, TaskRow
from gateway.core.shard_states import LEAVES_ORPHAN, Event, Orphan, Phase, Shard, advance
from gateway.documents.workflow import Workflow
from gateway.reconciler.links.reports import Report
from gateway.regions.health import RegionHealth
from gateway.regions.region_condition import Taint
from gateway.regions.region_view import RegionView, region_view
from gateway.settings import HealthSettings
from gateway.store.interface import Cursor, ShardWrite
from waypost.workflow.task import SideEffects, TaskSpec

NEVER = float("-inf")
START = Cursor()
FINISHED = frozenset({TaskPhase.SUCCEEDED, TaskPhase.SKIPPED})


class Link(Protocol):
    """The I/O of one region. Everything returns at once; what comes of it is a report."""

    name: str

    @property
    def idle(self) -> bool:
        """No batch is under way."""
        ...

    def drain(self) -> list[Report]: ...

    def probe(self) -> None: ...

    def send(self, batch: Batch) -> None: ...

    def compare(self) -> None: ...

    def reopen(self, cursor: Cursor) -> None:
        """Open the event stream again, from there."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What the shards of one run have in common."""

    run: Run
    workflow: Workflow
    spec: RunSpec
    tasks: Mapping[str, TaskSpec]

    @property
    def readable(self) -> bool:
        """A document has a task at least."""
        return bool(self.tasks)

    @property
    def exclusive(self) -> bool:
        return self.spec.side_effects is SideEffects.EXCLUSIVE


@dataclass(kw_only=True, slots=True)
class Tracked:
    """A shard under way. `shard` is as it will be; `stored_rev` and the three lists say what of it is not committed yet.

    All times are monotonic seconds of this controller: a new owner waits anew.
    """

    shard: Shard
    work: Work
    stored_rev: int
    tasks: dict[str, TaskPhase] = field(default_factory=dict)
    """Of the tasks that this attempt need not run again or has reported on."""
    running_since: dict[str, float] = field(default_factory=dict)
    fenced_until: float
    """After this no cluster takes the create of the current epoch any more."""
    confirmed_at: float = NEVER
    suspected_at: float = NEVER
    heard_until: float = NEVER
    """When its region was last heard of, as it became suspect: what its tasks have run since then nobody knows."""
    sent_at: float = NEVER
    resumption: Resumption | None = None
    """What goes with the create; None: to be read from the store first."""
    lost_at: float | None = None
    """Since when the shard has been without a region that answers, for the duration of its failover."""
    left_at: float = NEVER
    """Since when an exclusive shard waits for its orphans' leases to end; NEVER where that was waited for already (T7)."""
    tombstoned_at: dict[Orphan, float] = field(default_factory=dict)
    rows: list[TaskRow] = field(default_factory=list)
    history: list[HistoryEntry] = field(default_factory=list)
    dirty: bool = False

    def note(self, now: Instant, kind: HistoryKind, detail: Detail) -> None:
        """Adds to the shard's history; stored with the shard's next write."""
        self.history.append(
            HistoryEntry(run=self.shard.run, shard=self.shard.index, kind=kind, at=now.wall, detail=detail)
        )
        self.dirty = True

    def change(self, now: Instant, event: Event, *, reason: str = "", **changes: Any) -> None:
        """Moves the shard by the table and writes its history. Raises `Refused`."""
        before = self.shard
        self.shard = advance(before, event, reason=reason, **changes)
        detail = TransitionDetail(
            reason=reason,
            before=before.phase,
            after=self.shard.phase,
            epoch=self.shard.epoch,
            region=self.shard.region or before.region,
        )
        self.note(now, HistoryKind(event), detail)
        if not self.shard.phase.placed:
            self.running_since.clear()
        if event in LEAVES_ORPHAN:
            self.left_at = NEVER if event is Event.ABANDONED else now.monotonic

    def leases_over(self, now: Instant, wait_seconds: float) -> bool:
        """May another attempt run? At once where two may overlap; else when every orphan is gone or its lease must have ended."""
        if not self.work.exclusive or not self.shard.orphans:
            return True
        return now.monotonic - max(self.left_at, self.fenced_until) >= wait_seconds

    def drop(self, orphan: Orphan) -> None:
        """Nothing of that attempt runs any more. To be noted."""
        self.tombstoned_at.pop(orphan, None)
        self.shard = self.shard.without(orphan)

    def write(self) -> ShardWrite:
        self.shard = self.shard.at(self.stored_rev + 1)
        return ShardWrite(shard=self.shard, tasks=tuple(self.rows), history=tuple(self.history))

    def resume(self, resumption: Resumption, rows: Iterable[TaskRow]) -> None:
        """Takes up what earlier attempts left: tasks that are made again count as not yet run."""
        self.resumption = resumption
        kept = (row for row in rows if row.task not in resumption.remade)
        self.tasks = {
            row.task: row.phase for row in kept if row.phase in FINISHED or row.epoch == self.shard.epoch
        }

    def committed(self) -> None:
        self.stored_rev += 1
        self.rows.clear()
        self.history.clear()
        self.dirty = False


@dataclass(kw_only=True, slots=True)
class Region:
    """One region as this controller knows it."""

    name: str
    link: Link
    health: RegionHealth
    weight: float = 1.0
    status: ClusterStatus | None = None
    heard_at: float = NEVER
    greeted: bool = False
    """Its event stream was opened since this gateway started."""
    incarnation: str = ""
    """The journal that this region's name is bound to; empty until one was admitted."""
    stranger: str = ""
    """Another journal that answers under this name, and is not admitted."""
    bound_at: float = NEVER
    """When the store was last asked which journal the name is bound to."""
    cursor: Cursor = START
    """Up to here the region's events are in the working set; committed with the next write."""
    cursor_dirty: bool = False
    acknowledged: int = 0
    """What the cluster was last told that is committed."""
    acknowledged_at: float = NEVER
    compared_at: float = NEVER
    renewals: dict[AttemptId, Renewal] = field(default_factory=dict)
    strays: dict[AttemptId, float] = field(default_factory=dict)
    """Attempts found there that the store does not know as current, and when their tombstone was last sent."""
    inflight: int = 0
    absent: bool = False
    """It is in the rows of shards and not in the settings."""
    taints: frozenset[Taint] = frozenset()
    """Set by operators, as of the last scan."""

    @property
    def admitted(self) -> bool:
        """Its name's own journal answers, and has opened the stream: it would not for a store that is behind what it acknowledged."""
        if self.status is None or self.stranger or not self.greeted:
            return False
        return bool(self.incarnation) and self.status.incarnation == self.incarnation

    def fence(self, now: Instant, seconds: float) -> Fence | None:
        """`seconds` from now on the cluster's own clock, early rather than late; None while it has not been heard."""
        if self.status is None:
            return None
        return Fence(
            boot=self.status.boot, not_after=self.status.uptime + (now.monotonic - self.heard_at) + seconds
        )

    def view(self, now: Instant, settings: HealthSettings) -> RegionView:
        """The region as placement and the API see it."""
        return region_view(
            self.health,
            status=self.status,
            inflight=self.inflight,
            now=now,
            settings=settings,
            weight=self.weight,
            taints=self.taints,
            admitted=self.admitted,
            unknown_journal=self.stranger,
        )


@dataclass(kw_only=True, slots=True)
class WorkingSet:
    """Everything a pass looks at."""

    regions: dict[str, Region]
    shards: dict[tuple[str, int], Tracked] = field(default_factory=dict)
    restored_at: float = NEVER
    """When the store was found to be an older copy: attempts may run of which it knows nothing."""

    def add(self, tracked: Tracked) -> None:
        self.shards[tracked.shard.key] = tracked

    def current(self, region: str, attempt: AttemptId) -> Tracked | None:
        """The shard whose own attempt this is, there; None for a superseded one."""
        tracked = self.shards.get((attempt.run, attempt.shard))
        if tracked is None or tracked.shard.region != region or tracked.shard.epoch != attempt.epoch:
            return None
        return tracked if tracked.shard.phase.placed else None

    def orphan(self, region: str, attempt: AttemptId) -> Tracked | None:
        """The shard that lists this attempt as an orphan there."""
        tracked = self.shards.get((attempt.run, attempt.shard))
        return None if tracked is None or tracked.shard.orphan(region, attempt.epoch) is None else tracked

    def placed_in(self, region: str, *phases: Phase) -> Iterator[Tracked]:
        return (t for t in self.shards.values() if t.shard.region == region and t.shard.phase in phases)

    def count_inflight(self) -> None:
        """Brings each region's `inflight` up to date: attempts of its own and orphans that may still run there."""
        for region in self.regions.values():
            region.inflight = 0
        for tracked in self.shards.values():
            for name in (
                tracked.shard.region if tracked.shard.phase.placed else None,
                *(o.region for o in tracked.shard.orphans),
            ):
                if name is not None and name in self.regions:
                    self.regions[name].inflight += 1
