"""The tracked shard and its loaded run: a shard under way with its changes and timers, in memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from clusters.protocol import RunSpec, TaskPhase
from gateway.core.history import Detail, HistoryEntry, HistoryKind, TransitionDetail
from gateway.core.instant import NEVER, Instant
from gateway.core.resume import Resumption
from gateway.core.run import FailedTry, Run, TaskRow
from gateway.core.shard_states import LEAVES_ORPHAN, Event, Orphan, Shard, advance
from gateway.documents.workflow import Workflow
from gateway.store.interface import ShardWrite
from waypost.workflow.task import SideEffects, TaskSpec

FINISHED = frozenset({TaskPhase.SUCCEEDED, TaskPhase.SKIPPED})
"""Phases of a task that need not run again."""


def output_size(output: Any) -> int:
    """The bytes of a task's output as JSON; 0 where there is none."""
    return 0 if output is None else len(msgspec.json.encode(output))


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedRun:
    """A run as stored, with its document decoded and rendered once for all of its shards."""

    stored: Run
    workflow: Workflow
    spec: RunSpec
    """The tasks as a cluster gets them."""
    tasks: Mapping[str, TaskSpec]

    @property
    def readable(self) -> bool:
        """Whether the document could be decoded: one that could has at least one task."""
        return bool(self.tasks)

    @property
    def exclusive(self) -> bool:
        """Whether no two attempts of a shard may ever run at once."""
        return self.spec.side_effects is SideEffects.EXCLUSIVE


@dataclass(kw_only=True, slots=True, repr=False)
class TrackedShard:
    """A shard under way, as the next commit will store it.

    All times are monotonic seconds of this controller. A new owner knows none of them: it waits again.
    """

    shard: Shard
    run: LoadedRun
    stored_rev: int
    """The shard's revision in the store, which the next write compares and swaps on."""
    tasks: dict[str, TaskPhase] = field(default_factory=dict)
    """Phases of the tasks that this attempt need not run again or has reported on."""
    output_bytes: int = 0
    """Bytes of the outputs that `tasks` have, as JSON."""
    running_since: dict[str, float] = field(default_factory=dict)
    """When each task that runs now was reported to have started."""
    fenced_until: float
    """The time after which no cluster takes the create of the current epoch any more."""
    confirmed_at: float = NEVER
    """When a cluster said that it has the current attempt."""
    suspected_at: float = NEVER
    heard_until: float = NEVER
    """When the region was last heard before the shard became Suspect: how its tasks went on is unknown."""
    intended_at: float = NEVER
    """When the current attempt was placed; NEVER once it is confirmed, which ends the measurement."""
    sent_at: float = NEVER
    """When the create of the current epoch was last sent."""
    resumption: Resumption | None = None
    """The results that go with the create; None: they have to be read from the store before it is sent."""
    lost_at: float | None = None
    """Since when the shard has no region that answers, to measure its failover; None: it has one."""
    blamed: bool = False
    """Whether a task of it ran when its region was lost: that counts against it if the region is gone."""
    ran_seconds: float = 0.0
    """How long the longest of its tasks had run at any such loss."""
    apart_until: float = NEVER
    """Until then its region gets no other shard that may be poison; NEVER: it may."""
    left_at: float = NEVER
    """Since when an exclusive shard waits for its orphans' leases to end; NEVER: the wait is over (T7)."""
    tombstoned_at: dict[Orphan, float] = field(default_factory=dict)
    """When the tombstone of each orphan was last sent."""
    rows: list[TaskRow] = field(default_factory=list)
    """The task results that the next write stores."""
    history: list[HistoryEntry] = field(default_factory=list)
    """The history entries that the next write stores."""
    failed_tries: dict[str, FailedTry] = field(default_factory=dict)
    """The last try of each task that failed and was not the task's end."""
    dirty: bool = False
    """Whether something of the shard is not committed yet."""

    def __repr__(self) -> str:
        """`<TrackedShard run-1/0 Suspect epoch 3 in beijing, rev 7 dirty, sent at 12.0, ...>`."""
        shard = self.shard
        parts = [
            f"{shard.run}/{shard.index} {shard.phase} epoch {shard.epoch} in {shard.region}",
            f"rev {self.stored_rev}{' dirty' if self.dirty else ''}",
            f"fenced until {self.fenced_until:.1f}",
        ]
        times = ("sent_at", "confirmed_at", "suspected_at", "left_at")
        parts += [
            f"{name.replace('_', ' ')} {at:.1f}" for name in times if (at := getattr(self, name)) > NEVER
        ]
        if self.running_since:
            parts.append(f"running {', '.join(sorted(self.running_since))}")
        parts += [f"orphan {orphan.epoch} in {orphan.region}" for orphan in shard.orphans]
        if shard.reason:
            parts.append(shard.reason)
        return f"<TrackedShard {', '.join(parts)}>"

    def add_history(self, now: Instant, kind: HistoryKind, detail: Detail) -> None:
        """Adds an entry to the shard's history; the shard's next write stores it."""
        shard = self.shard
        self.history.append(
            HistoryEntry(run=shard.run, shard=shard.index, kind=kind, at=now.wall, detail=detail)
        )
        self.dirty = True

    def apply_event(self, now: Instant, event: Event, *, reason: str = "", **changes: Any) -> None:
        """Moves the shard by the table of its states and adds the transition to its history.

        `changes` are further fields of the shard. Raises `InvalidTransition` where its phase does not take
        the event.
        """
        before = self.shard
        self.shard = advance(before, event, reason=reason, **changes)
        detail = TransitionDetail(
            reason=reason,
            before=before.phase,
            after=self.shard.phase,
            epoch=self.shard.epoch,
            failover=self.shard.failovers > before.failovers,
            region=self.shard.region or before.region,
        )
        self.add_history(now, HistoryKind(event), detail)
        if not self.shard.phase.placed:
            self.running_since.clear()
        if event in LEAVES_ORPHAN:
            # A shard that was suspect has waited for the lease to end before it was abandoned. After any
            # other event the attempt may hold its lease for the whole term still.
            self.left_at = NEVER if event is Event.ABANDONED else now.monotonic

    def leases_ended(self, now: Instant, wait_seconds: float) -> bool:
        """Whether another attempt may run beside the orphans, `wait_seconds` being a lease and its drift."""
        if not self.run.exclusive or not self.shard.orphans:
            return True  # attempts of an idempotent shard may overlap
        # Until the fence a late create may start an orphan, which holds a lease from that moment on.
        return now.monotonic - max(self.left_at, self.fenced_until) >= wait_seconds

    def drop_orphan(self, orphan: Orphan) -> None:
        """Removes `orphan` from the shard's list; the caller adds the reason to the history."""
        self.tombstoned_at.pop(orphan, None)
        self.shard = self.shard.without_orphan(orphan)

    def start_from(self, resumption: Resumption, rows: Iterable[TaskRow]) -> None:
        """Sets the results that the current attempt starts from; tasks that run again count as not run."""
        self.resumption = resumption
        kept = [row for row in rows if row.task not in resumption.remade]
        self.output_bytes = sum(output_size(row.output) for row in kept)
        self.tasks = {
            row.task: row.phase for row in kept if row.phase in FINISHED or row.epoch == self.shard.epoch
        }

    def write(self) -> ShardWrite:
        """Makes the write of the next commit: the shard at its next revision, task results and history."""
        return ShardWrite(
            shard=self.shard.with_rev(self.stored_rev + 1),
            tasks=tuple(self.rows),
            history=tuple(self.history),
        )

    def mark_committed(self) -> None:
        """Records that the write took, so that the shard is stored as it is here."""
        self.stored_rev += 1
        self.shard = self.shard.with_rev(self.stored_rev)
        self.rows.clear()
        self.history.clear()
        self.dirty = False
