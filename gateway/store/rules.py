"""Business rules of runs and shards that every store applies, whatever its database. Pure: no SQL, no clock.

A store reads the rows, calls the rule inside its transaction, and writes what the rule returns. Which rows a
query selects is the database's own work; the phases that it selects by are here, and the conformance suite
(`tests/conformance/store.py`) holds the rest.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct, structs

from clusters.protocol import TaskPhase
from gateway.core.decision import Decision
from gateway.core.history import HistoryEntry, HistoryKind, RunPhaseDetail
from gateway.core.run import Run, RunPhase
from gateway.core.shard_states import PLACED, TERMINAL, Event, Phase, Shard, advance
from gateway.store.interface import Cursor, ShardWrite

KEY_SECONDS: Final = 72 * 3600
"""How long an idempotency key names the run that it made: seconds from that run's acceptance."""

FIRST_ERA: Final = 0
"""The era of a store that was never restored from a copy."""

UNFINISHED: Final = frozenset(Phase) - TERMINAL
"""Phases of shards that have not ended: a deadline can end them, and the gauge counts them."""

ACTIVE: Final = PLACED | {Phase.CANCELLING}
"""Phases of shards whose current attempt may be in a cluster."""

CANCELLABLE: Final = PLACED | {Phase.PENDING}
"""Phases of shards that a cancellation of their run has yet to reach."""

RETRYABLE: Final = frozenset({RunPhase.FAILED, RunPhase.CANCELLED})
"""Phases of runs that a retry opens again (T13)."""

KEPT_BY_RETRY: Final = (TaskPhase.SUCCEEDED, TaskPhase.SKIPPED)
"""The phases of tasks that a retry keeps. All others are deleted: they run again, with all their tries."""

CANNOT_WRITE: Final = "the store does not take writes now"
CANNOT_READ: Final = "the store does not answer now"
RETRY_AFTER_SECONDS: Final = 1.0
"""How long a caller is asked to wait before it tries an unavailable store again."""


class RunPhaseChange(Struct, frozen=True, kw_only=True):
    """A run's new phase, and the history entry about the change."""

    phase: RunPhase
    finished_at: float | None
    """Seconds since 1970. None: the run has not ended, or the time is unknown."""
    entry: HistoryEntry


def key_expired(*, made_at: float, now: float) -> bool:
    """Whether the idempotency key of a run accepted at `made_at` is free. Both in seconds since 1970."""
    return made_at < now - KEY_SECONDS


def permitted_regions(decision: Decision) -> tuple[str, ...]:
    """The regions that a decision permits a run: a refusal permits none, whatever its obligations name."""
    return decision.obligations.regions if decision.allow else ()


def run_phase(counts: Mapping[Phase, int], *, cancelled: bool) -> RunPhase:
    """The phase of a run, by the number of its shards in each phase.

    Failed outranks Cancelled outranks Succeeded.
    """
    present = {phase for phase, count in counts.items() if count}
    if present & UNFINISHED:
        if cancelled:
            return RunPhase.CANCELLING
        return RunPhase.PENDING if present == {Phase.PENDING} else RunPhase.RUNNING
    if present & {Phase.FAILED, Phase.QUARANTINED}:
        return RunPhase.FAILED
    return RunPhase.CANCELLED if Phase.CANCELLED in present else RunPhase.SUCCEEDED


def run_phase_change(
    run_id: str, before: RunPhase, counts: Mapping[Phase, int], *, cancelled: bool, at: float | None
) -> RunPhaseChange | None:
    """The change to a run with `counts` shards in each phase; None where its phase stays `before`.

    `at` is when the last of the shards changed; None where that write brought no history entry, and so no
    time.
    """
    phase = run_phase(counts, cancelled=cancelled)
    if phase is before:
        return None
    entry = HistoryEntry(
        run=run_id,
        kind=HistoryKind.RUN_PHASE,
        at=at or 0.0,
        detail=RunPhaseDetail(before=before, after=phase),
    )
    return RunPhaseChange(phase=phase, finished_at=at if phase.terminal else None, entry=entry)


def may_cancel(run: Run) -> bool:
    """Whether a cancellation has an effect: the run has not ended, and none was committed before."""
    return not run.phase.terminal and run.cancel_requested_at is None


def run_after_retry(run: Run, decision: Decision) -> Run:
    """The run after a retry (T13): under `decision`, without an end or a cancellation."""
    return structs.replace(
        run,
        cancel_requested_at=None,
        finished_at=None,
        decision_id=decision.id,
        decided_at=decision.at,
        permitted=permitted_regions(decision),
    )


def shard_after_retry(shard: Shard) -> Shard | None:
    """The shard after its run's retry: Pending, with counts at zero. None: it is left as it is."""
    # What succeeded stays done, and a shard that is still under way needs no second start.
    if shard.phase not in TERMINAL or shard.phase is Phase.SUCCEEDED:
        return None
    return advance(
        shard, Event.RETRIED, attempts_lost=0, failovers=0, regions_lost=0, not_before=0.0
    ).with_rev(shard.rev + 1)


def tasks_stopped_at(write: ShardWrite) -> float | None:
    """The end time to record for the shard's tasks still Running; None: they are left as they are.

    Nothing runs where no attempt is current, and a task that stayed Running there would be shown as running
    for ever.
    """
    was_placed = write.shard.epoch > 0
    if write.shard.phase.placed or not was_placed:
        return None
    # A write without history gives no time, and comes from a retry or changes nothing but the revision: its
    # tasks have stopped before.
    return write.history[-1].at if write.history else None


def changed_runs(writes: Sequence[ShardWrite], took: Iterable[bool]) -> Mapping[str, float | None]:
    """The runs whose phase must be derived again, each with the time of its last change; None: unknown.

    `took` says of each write whether it was made.
    """
    return {
        write.shard.run: write.history[-1].at if write.history else None
        for write, done in zip(writes, took, strict=True)
        if done
    }


def cursors_to_write(took: Iterable[bool], cursors: Mapping[str, Cursor]) -> Mapping[str, Cursor]:
    """The cursors to write: all if `took`, the results of the shards' writes, are all true, else none.

    An event before a cursor never comes again, so its write must not be lost.
    """
    return cursors if all(took) else {}


def cursor_after_binding(cursor: Cursor | None, incarnation: str) -> Cursor:
    """A region's cursor after its name was bound to the journal `incarnation`.

    Sequence numbers count within one journal: another journal is read from its beginning.
    """
    if cursor is not None and cursor.incarnation == incarnation:
        return cursor
    return Cursor(incarnation=incarnation)


def next_era(era: int) -> int:
    """The number of the era after `era`, for a store that was restored from a copy.

    `next_epoch` gives its epochs, which outrank those of all earlier eras.
    """
    return era + 1
