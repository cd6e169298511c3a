"""The decisions about runs and shards that every store must make alike, whatever its database.

A store reads the rows, calls the function inside its transaction, and writes what that returns. Which rows a
query selects is the database's own work: the phases that it selects by are here, and the conformance suite
(`tests/conformance/store.py`) tests that all stores select alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final

import msgspec
from msgspec import Struct, field, structs

from gateway.core.decision import Decision
from gateway.core.history import HistoryEntry, HistoryKind, RunPhaseDetail
from gateway.core.run import Run, RunPhase
from gateway.core.shard_states import PLACED, TERMINAL, Event, Phase, Shard, advance
from gateway.steady_clock import MachineBoot
from gateway.store.interface import Cursor, ShardWrite
from waypost.workflow.graph import topological_order
from waypost.workflow.instances import task_of
from waypost.workflow.task_phase import TaskPhase
from waypost.workflow.trigger_rule import FINISHED

KEY_SECONDS: Final = 72 * 3600
"""The lifetime of an idempotency key in seconds, from the acceptance of the run that it made."""

FIRST_ERA: Final = 0
"""The era of a store that was never restored from a copy."""

UNFINISHED: Final = frozenset(Phase) - TERMINAL
"""The phases of shards that have not ended, which the gauge counts."""

ACTIVE: Final = PLACED | {Phase.CANCELLING}
"""The phases of shards whose current attempt may be in a cluster."""

CANCELLABLE: Final = PLACED | {Phase.PENDING}
"""The phases of shards that a cancellation or the deadline of their run has not reached yet."""

RETRYABLE: Final = frozenset({RunPhase.FAILED, RunPhase.CANCELLED})
"""The phases of runs that a retry opens again (T13)."""

CANNOT_WRITE: Final = "the store does not take writes now"
CANNOT_READ: Final = "the store does not answer now"
RETRY_AFTER_SECONDS: Final = 1.0
"""The seconds that a caller is asked to wait before it tries an unavailable store again."""

STEP_SECONDS: Final = 2.0
"""The difference between two clock readings above which the wall clock was set, in seconds."""


class _Needs(Struct, frozen=True, kw_only=True):
    name: str
    needs: tuple[str, ...] = ()


class _Spec(Struct, frozen=True, kw_only=True):
    tasks: tuple[_Needs, ...]
    collect: tuple[_Needs, ...] = ()
    final: tuple[_Needs, ...] = field(name="finally", default=())


class _Document(Struct, frozen=True, kw_only=True):
    spec: _Spec


_decode_needs: Final = msgspec.json.Decoder(_Document).decode
"""Reads the graph of a workflow document, whatever version has written it."""


class RunPhaseChange(Struct, frozen=True, kw_only=True):
    """A run's new phase, and the history entry about this change."""

    phase: RunPhase
    finished_at: float | None
    """The end of the run in seconds since 1970; None if it has not ended, or the time is unknown."""
    entry: HistoryEntry


def key_expired(*, made_at: float, now: float) -> bool:
    """Returns whether the idempotency key of a run accepted at `made_at` has expired by `now`.

    Both times are in seconds since 1970.
    """
    return made_at < now - KEY_SECONDS


def permitted_regions(decision: Decision) -> tuple[str, ...]:
    """Returns the regions in which a policy decision permits a run: none for a refusal."""
    return decision.obligations.regions if decision.allow else ()


def run_phase(counts: Mapping[Phase, int], *, cancelled: bool) -> RunPhase:
    """Returns the phase of a run, by the number of its shards in each phase.

    While a shard has not ended: Cancelling if the run is `cancelled`, else Pending if none was placed yet,
    else Running. After that: Failed if any shard is Failed or Quarantined, else Cancelled if any is, else
    Succeeded.
    """
    present = {phase for phase, count in counts.items() if count}
    if present & UNFINISHED:
        if cancelled:
            return RunPhase.CANCELLING
        return RunPhase.PENDING if present <= {Phase.PENDING, Phase.WAITING} else RunPhase.RUNNING
    if present & {Phase.FAILED, Phase.QUARANTINED}:
        return RunPhase.FAILED
    return RunPhase.CANCELLED if Phase.CANCELLED in present else RunPhase.SUCCEEDED


def run_phase_change(
    run_id: str, before: RunPhase, counts: Mapping[Phase, int], *, cancelled: bool, at: float | None
) -> RunPhaseChange | None:
    """Returns the change of a run's phase that follows from its shards' phases; None if there is no change.

    `counts` is the number of its shards in each phase. `at` is when the last of the shards changed; None
    where that change has no history entry, and so no time.
    """
    return phase_change(run_id, before, run_phase(counts, cancelled=cancelled), at=at)


def phase_change(
    run_id: str, before: RunPhase, phase: RunPhase, *, at: float | None, reason: str = ""
) -> RunPhaseChange | None:
    """Returns the change of a run's phase from `before` to `phase` at `at`; None if there is none."""
    if phase is before:
        return None
    entry = HistoryEntry(
        run=run_id,
        kind=HistoryKind.RUN_PHASE,
        at=at or 0.0,
        detail=RunPhaseDetail(before=before, after=phase, reason=reason),
    )
    return RunPhaseChange(phase=phase, finished_at=at if phase.terminal else None, entry=entry)


def run_after_retry(run: Run, decision: Decision) -> Run:
    """Returns the run after a retry: open again, under the policy `decision`, not cancelled."""
    return structs.replace(
        run,
        cancel_requested_at=None,
        finally_deadline_at=None,
        finally_cancelled_at=None,
        finished_at=None,
        decision_id=decision.id,
        decided_at=decision.at,
        permitted=permitted_regions(decision),
    )


def shard_after_retry(shard: Shard) -> Shard | None:
    """Returns the shard after its run's retry: Pending, with counts of losses and failovers at zero.

    Returns None for a shard that has succeeded or has not ended, which stays as it is.
    """
    # What succeeded stays done, and a shard that is still under way needs no second start.
    if shard.phase not in TERMINAL or shard.phase is Phase.SUCCEEDED:
        return None
    return advance(
        shard, Event.RETRIED, attempts_lost=0, failovers=0, regions_lost=0, not_before=0.0
    ).with_rev(shard.rev + 1)


class RetriedTasks:
    """The tasks of a run that is retried, for the choice of the results that each of its shards keeps.

    `workflow` is the document of the run, which is read once for all shards, if that is needed.
    """

    def __init__(self, workflow: bytes) -> None:
        self._workflow = workflow

    @cached_property
    def _needs(self) -> Mapping[str, Sequence[str]]:
        """Returns the needs of each task, in topological order; nothing for a document that is unreadable."""
        try:
            spec = _decode_needs(self._workflow).spec
            tasks = (*spec.tasks, *spec.collect, *spec.final)
            order = topological_order(tasks)
        except (msgspec.MsgspecError, ValueError):
            return {}
        needs = {task.name: task.needs for task in tasks}
        return {name: needs[name] for name in order if name in needs}

    def dropped(self, phases: Mapping[str, TaskPhase]) -> Sequence[str]:
        """Returns the tasks of a shard whose results are dropped: these run again, with all tries.

        `phases` are those of the shard's tasks. All but the Succeeded and the Skipped are dropped, and what
        needs one of those: how that has ended may have followed from them.
        """
        dropped = {name for name, phase in phases.items() if phase not in FINISHED}
        after: set[str] = set()
        if dropped and len(dropped) < len(phases):
            after = _after(dropped, self._needs)
        # An instance that succeeded is kept though its task failed, but not where the items may change.
        return [name for name in phases if name in dropped or name in after or task_of(name) in after]


def _after(tasks: Iterable[str], needs: Mapping[str, Sequence[str]]) -> set[str]:
    """Returns all that need one of `tasks`, also by others; `needs` is in topological order."""
    found: set[str] = set()
    begin = set(tasks)
    for name, needed in needs.items():
        if not begin.isdisjoint(needed) or not found.isdisjoint(needed):
            found.add(name)
    return found


def tasks_stopped_at(write: ShardWrite) -> float | None:
    """Returns the end time to record for a shard's tasks that are still Running; None to leave them.

    They are left where an attempt is current. Elsewhere nothing runs, and a task that stayed Running would be
    shown as running for ever.
    """
    was_placed = write.shard.epoch > 0
    if write.shard.phase.placed or not was_placed:
        return None
    # A write without history gives no time, and comes from a retry or changes nothing but the revision: its
    # tasks have stopped before.
    return write.history[-1].at if write.history else None


def changed_runs(writes: Sequence[ShardWrite], took: Iterable[bool]) -> Mapping[str, float | None]:
    """Returns the runs of the shards that were written, each with the time of its last change.

    The time is None where it is unknown. The phases of these runs must be derived again. `took` says of each
    write whether it was made.
    """
    return {
        write.shard.run: write.history[-1].at if write.history else None
        for write, done in zip(writes, took, strict=True)
        if done
    }


def cursors_to_write(took: Iterable[bool], cursors: Mapping[str, Cursor]) -> Mapping[str, Cursor]:
    """Returns the event cursors to write: all of them if every write in `took` was made, else none.

    An event before a cursor never comes again, so the write that it led to must not be lost.
    """
    return cursors if all(took) else {}


def cursor_after_binding(cursor: Cursor | None, incarnation: str) -> Cursor:
    """Returns a region's event cursor after its name was bound to the cluster journal `incarnation`.

    Sequence numbers count within one journal: another journal is read from its beginning.
    """
    if cursor is not None and cursor.incarnation == incarnation:
        return cursor
    return Cursor(incarnation=incarnation)


def next_era(era: int) -> int:
    """Returns the number of the era (store generation) that follows `era`.

    A store restored from a copy begins one; `next_epoch` gives its epochs, which outrank those of all earlier
    eras.
    """
    return era + 1


def clock_step(before: MachineBoot | None, now: MachineBoot) -> float:
    """Returns the seconds by which the wall clock was set forward (below 0: back) between two readings.

    A reading is the machine's latest boot with its time, which changes when the clock is set. Returns
    0 for at most `STEP_SECONDS`, and where it is unknown: after a reboot nobody can tell a step of the clock
    from the time that the machine was off.
    """
    if before is None or not now.id or before.id != now.id:
        return 0.0
    step = now.at - before.at
    return step if abs(step) > STEP_SECONDS else 0.0
