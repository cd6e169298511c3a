"""The in-memory form of a shard under way, with its uncommitted changes and timers, and of its run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from clusters.features import AFTER_FAILURE
from clusters.protocol import RunSpec
from gateway.core.history import Detail, HistoryEntry, HistoryKind, TransitionDetail
from gateway.core.instant import NEVER, Instant
from gateway.core.resume import Resumption
from gateway.core.run import FailedTry, Run, TaskRow
from gateway.core.shard_states import LEAVES_ORPHAN, Event, Orphan, Shard, advance
from gateway.documents.workflow import Workflow
from gateway.regions.placement_demand import Demand, demand_of
from gateway.store.interface import ShardWrite
from waypost.workflow.instances import instance_of, task_of
from waypost.workflow.stages import Stage
from waypost.workflow.task import SideEffects, TaskSpec
from waypost.workflow.task_phase import TaskPhase
from waypost.workflow.trigger_rule import fails_shard


def output_size(output: Any) -> int:
    """Returns the size of a task's output as JSON, in bytes; 0 without an output."""
    return 0 if output is None else len(msgspec.json.encode(output))


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedRun:
    """The in-memory form of a run: its document decoded and rendered, once for all of its shards."""

    stored: Run
    workflow: Workflow
    spec: RunSpec
    """The tasks as a cluster receives them."""
    tasks: Mapping[str, TaskSpec]
    stage: Stage = Stage.MAIN
    """The stage of the run whose tasks `spec` and `tasks` are."""
    features: frozenset[str] = frozenset()
    """What a cluster must have to run these tasks, as `features_of` finds it."""

    @property
    def deadline_at(self) -> float | None:
        """The deadline of the stage's shards, in seconds since 1970; None for no deadline."""
        stored = self.stored
        return stored.finally_deadline_at if self.stage is Stage.FINALLY else stored.deadline_at

    @property
    def readable(self) -> bool:
        """Returns whether this version could decode the run's document (which then has tasks)."""
        return bool(self.tasks)

    @property
    def carries_failures(self) -> bool:
        """Returns whether only a cluster that knows failed results (`AFTER_FAILURE`) gets the run."""
        return AFTER_FAILURE in self.features

    def demand(self, stage: Stage) -> Demand:
        """Returns what a shard of the `stage`, with all its tasks, demands of a region."""
        features = self.features if self.stage is stage else None
        return demand_of(self.workflow, self.stored.permitted, stage, self.stored.tenant, features=features)

    @property
    def exclusive(self) -> bool:
        """Returns whether no two attempts of a shard of this run may ever run at once."""
        return self.spec.side_effects is SideEffects.EXCLUSIVE


@dataclass(kw_only=True, slots=True, repr=False)
class TrackedShard:
    """The in-memory form of a shard under way, with its uncommitted changes and timers.

    All times are monotonic seconds of this controller. A new owner knows none of them: it waits again.
    """

    shard: Shard
    run: LoadedRun
    stored_rev: int
    """The shard's revision in the store, which the next write compares and swaps on."""
    tasks: dict[str, TaskPhase] = field(default_factory=dict)
    """The phases of the tasks that this attempt need not run again or has reported on."""
    has_failed: bool = False
    """Whether a task among `tasks` has failed, so that the shard will."""
    instances: int = 0
    """The number of instances of tasks among `tasks` (`forEach`)."""
    output_bytes: int = 0
    """The total bytes, as JSON, of the outputs of `tasks`."""
    running_since: dict[str, float] = field(default_factory=dict)
    """The time at which each running task was reported to have started."""
    fenced_until: float
    """The time after which no cluster accepts the create request of the current epoch."""
    confirmed_at: float = NEVER
    """The time at which a cluster confirmed that it has the current attempt."""
    suspected_at: float = NEVER
    heard_until: float = NEVER
    """The time at which the region last reported before the shard became Suspect."""
    intended_at: float = NEVER
    """The time at which the current attempt was placed; NEVER once it is confirmed."""
    sent_at: float = NEVER
    """The time at which the create request of the current epoch was last sent."""
    resumption: Resumption | None = None
    """The results that are sent with the create request; None: they must be read first."""
    unfit: str = ""
    """The reason why the shard can be sent to no cluster; empty where it can."""
    lost_at: float | None = None
    """The time since which the shard has no region that answers; None while it has one."""
    blamed: bool = False
    """Whether a task of the shard ran when its region was lost, which may count against the shard."""
    unproven_boots: dict[int, str] = field(default_factory=dict)
    """By epoch, the boot of a region that was left without proof of its loss, which would have counted."""
    unheard_until: int = 0
    """The newest event of the journal at the region's last restart, if no task was known to run there."""
    ran_seconds: float = 0.0
    """The longest time that a task of the shard had run when it lost a region."""
    apart_until: float = NEVER
    """The time until which the region gets no other possibly poisonous shard; NEVER: no restriction."""
    trial_began: bool = False
    """Whether a task has started since the region gets no other such shard, so that the trial is one."""
    left_at: float = NEVER
    """The time since which an exclusive shard waits for its orphans' leases to end; NEVER: no wait (T7)."""
    tombstoned_at: dict[Orphan, float] = field(default_factory=dict)
    """The time at which each orphan was last ordered to end (sent its tombstone)."""
    rows: list[TaskRow] = field(default_factory=list)
    """The task results that the next write stores."""
    history: list[HistoryEntry] = field(default_factory=list)
    """The history entries that the next write stores."""
    failed_tries: dict[str, FailedTry] = field(default_factory=dict)
    """The last failed try of each task that another try followed."""
    dirty: bool = False
    """Whether the shard has changes that are not committed yet."""

    def __repr__(self) -> str:
        """Returns text such as `<TrackedShard run-1/0 Suspect epoch 3 in beijing, rev 7 dirty, ...>`."""
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

    @property
    def stops_others(self) -> bool:
        """Returns whether a failure in the shard ends its other tasks (`failFast`)."""
        return self.has_failed and self.run.spec.fail_fast

    def add_history(self, now: Instant, kind: HistoryKind, detail: Detail) -> None:
        """Appends an entry to the shard's history; the shard's next commit stores it."""
        shard = self.shard
        self.history.append(
            HistoryEntry(run=shard.run, shard=shard.index, kind=kind, at=now.wall, detail=detail)
        )
        self.dirty = True

    def apply_event(self, now: Instant, event: Event, *, reason: str = "", **changes: Any) -> None:
        """Moves the shard to its next phase by an event of the state table, and records it in the history.

        `changes` are further fields of the shard. Raises `InvalidTransition` where its phase does not allow
        the event.
        """
        before = self.shard
        self.shard = advance(before, event, reason=reason, **changes)
        ended = before.phase.placed and not self.shard.phase.placed
        detail = TransitionDetail(
            reason=reason,
            before=before.phase,
            after=self.shard.phase,
            epoch=self.shard.epoch,
            failover=self.shard.failovers > before.failovers,
            region=self.shard.region or before.region,
            seconds=max(0.0, now.wall - before.placed_at) if ended and before.placed_at else None,
        )
        self.add_history(now, HistoryKind(event), detail)
        if not self.shard.phase.placed:
            self.running_since.clear()
        if event in LEAVES_ORPHAN:
            # A shard that was suspect has waited for the lease to end before it was abandoned. After any
            # other event the attempt may hold its lease for the whole term still.
            self.left_at = NEVER if event is Event.ABANDONED else now.monotonic

    def leases_ended(self, now: Instant, wait_seconds: float) -> bool:
        """Returns whether all run-leases of the shard's orphans have ended, so that a new attempt may run.

        Each lease ends within `wait_seconds`.
        """
        if not self.run.exclusive or not self.shard.orphans:
            return True  # attempts of an idempotent shard may overlap
        # Until the fence a late create may start an orphan, which holds a lease from that moment on.
        return now.monotonic - max(self.left_at, self.fenced_until) >= wait_seconds

    def drop_orphan(self, orphan: Orphan) -> None:
        """Takes `orphan` off the shard's list of orphans; the caller adds the reason to the history."""
        self.tombstoned_at.pop(orphan, None)
        self.shard = self.shard.without_orphan(orphan)

    def start_from(self, resumption: Resumption, rows: Iterable[TaskRow]) -> None:
        """Sets the task results that the attempt starts from; drops those of tasks to be run again."""
        self.resumption = resumption
        carried = {result.task for result in resumption.results}
        # The rows of an attempt that has ended say nothing of the next one, which the shard still waits for.
        epoch = self.shard.epoch if self.shard.phase.placed else None
        remade = resumption.remade
        kept = [
            row
            for row in rows
            if row.task in carried or (row.epoch == epoch and task_of(row.task) not in remade)
        ]
        self.output_bytes = sum(output_size(row.output) for row in kept)
        self.tasks = {row.task: row.phase for row in kept}
        self.instances = sum(instance_of(name) is not None for name in self.tasks)
        of_run = self.run.tasks
        self.has_failed = any(
            phase is TaskPhase.FAILED and fails_shard(of_run[name], phase)
            for name, phase in self.tasks.items()
            if name in of_run
        )

    def write(self) -> ShardWrite:
        """Builds the shard's write for the next commit: its next revision, task results and history."""
        return ShardWrite(
            shard=self.shard.with_rev(self.stored_rev + 1),
            tasks=tuple(self.rows),
            history=tuple(self.history),
        )

    def mark_committed(self) -> None:
        """Records that the shard's changes were committed: the store has the shard as it is in memory."""
        self.stored_rev += 1
        self.shard = self.shard.with_rev(self.stored_rev)
        self.rows.clear()
        self.history.clear()
        self.dirty = False
