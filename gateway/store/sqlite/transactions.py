"""The write transactions of the SQLite store, each a plain function over one connection.

Each reads, calls a function of `gateway/store/rules.py`, and writes what that returned. A transaction may be
run twice, when the group that it was committed with failed, so it reads nothing but the database.
"""

import sqlite3
import uuid
from collections.abc import Iterable, Mapping, Sequence

from gateway.core.decision import Decision
from gateway.core.history import HistoryEntry
from gateway.core.run import Run, RunPhase
from gateway.core.shard_states import Phase
from gateway.regions.region_condition import Taint
from gateway.steady_clock import MachineBoot
from gateway.store import rules, tenant_limits
from gateway.store.interface import Admission, Admitted, Cursor, OpenWork, ShardWrite
from gateway.store.sqlite import decision_queries, row_mapping
from gateway.store.sqlite import sql_statements as sql
from gateway.store.sqlite.outbox.kept_notifications import queue_notifications
from gateway.store.sqlite.schema_migrations import migrate
from gateway.store.stages import rules as stage_rules
from waypost.workflow.stages import FINALLY_SHARD
from waypost.workflow.task_phase import TaskPhase


def prepare(db: sqlite3.Connection) -> tuple[str, int]:
    """Brings the schema up to date, gives a new file an identity and an era, and returns these two."""
    migrate(db)
    db.execute(sql.IDENTIFY, (uuid.uuid4().hex,))
    db.execute(sql.BEGIN_ERAS, (str(rules.FIRST_ERA),))
    meta = dict(db.execute(sql.READ_META))
    return meta["identity"], int(meta["era"])


def correct_times(db: sqlite3.Connection, boot: MachineBoot) -> float:
    """Moves stored deadlines and pauses by the seconds by which the wall clock was set; returns the seconds.

    The clock was set if the machine's boot has another time now, in `boot`, than in the stored reading.
    `boot` replaces that only where times were moved or the machine has booted, so that steps too small to
    correct add up.
    """
    before = row_mapping.read_boot(db.execute(sql.READ_BOOT).fetchone())
    step = rules.clock_step(before, boot)
    if step:
        db.execute(sql.MOVE_DEADLINES, {"step": step})
        db.execute(sql.MOVE_PAUSES, {"step": step})
    if step or before is None or before.id != boot.id:
        db.execute(sql.WRITE_BOOT, (row_mapping.to_json(boot),))
    return step


def try_write(db: sqlite3.Connection) -> None:
    """Writes a new random value, to check that the database takes writes."""
    db.execute(sql.TRY_WRITE, (uuid.uuid4().hex,))


def admit(db: sqlite3.Connection, admission: Admission) -> Admitted:
    """Stores a new run with its shards, its policy decision and the history of its acceptance.

    Writes nothing where its idempotency key has already made a run, or where its tenant would pass a limit.
    """
    run, work = admission.run, tenant_limits.work_of(admission.run)
    if admission.limits is not None:
        exceeded = tenant_limits.exceeded(count_open_work(db, run.tenant), work, admission.limits)
        if exceeded:
            known = None if run.idempotency_key is None else _run_by_key(db, run)
            if known is None or rules.key_expired(made_at=known.created_at, now=run.created_at):
                return Admitted(run=run, replay=False, exceeded=exceeded)
            return Admitted(run=known, replay=True)
    try:
        db.execute(sql.INSERT_RUN, row_mapping.run_row(run))
    except sqlite3.IntegrityError as error:
        # Most acceptances bring a new key: asking the unique index is cheaper than a read before each.
        known = _run_by_key(db, run)
        if known is None:
            raise sqlite3.IntegrityError(f"run {run.id} exists") from error
        if not rules.key_expired(made_at=known.created_at, now=run.created_at):
            return Admitted(run=known, replay=True)
        db.execute(sql.FREE_KEY, (run.tenant, run.idempotency_key))
        db.execute(sql.INSERT_RUN, row_mapping.run_row(run))
    for shard in admission.shards:
        db.execute(sql.INSERT_SHARD, row_mapping.shard_row(shard, run.priority, run.tenant))
    db.executemany(sql.INSERT_LABEL, row_mapping.label_rows(run))
    db.execute(sql.OPEN_RUN, (run.tenant, work.runs, work.shards, work.tasks, run.weight))
    decision_queries.insert(db, admission.decision, run, asked_about=run.fingerprint)
    append_history(db, admission.history)
    return Admitted(run=run, replay=False)


def _run_by_key(db: sqlite3.Connection, run: Run) -> Run | None:
    """Reads the run that was stored with the idempotency key of `run`; None if there is none."""
    row = db.execute(sql.RUN_BY_KEY, (run.tenant, run.idempotency_key)).fetchone()
    return None if row is None else row_mapping.read_run(row)


def count_open_work(db: sqlite3.Connection, tenant: str) -> OpenWork:
    """Returns the number of the tenant's runs that have not ended, and of their shards and tasks."""
    row = db.execute(sql.OPEN_WORK, (tenant,)).fetchone()
    return OpenWork() if row is None else OpenWork(runs=row[0], shards=row[1], tasks=row[2])


def append_history(db: sqlite3.Connection, entries: Iterable[HistoryEntry]) -> None:
    """Stores history entries, which are numbered in the given order."""
    for entry in entries:
        db.execute(sql.INSERT_HISTORY, row_mapping.history_row(entry))


def record(db: sqlite3.Connection, writes: Sequence[ShardWrite], cursors: Mapping[str, Cursor]) -> list[bool]:
    """Writes each shard whose stored revision has not changed; returns, in order, which were written.

    Event cursors are written only if all shards were.
    """
    took = [_swap(db, write) for write in writes]
    for run_id, at in rules.changed_runs(writes, took).items():
        derive_run_phase(db, run_id, at)
    for region, cursor in rules.cursors_to_write(took, cursors).items():
        _write_cursor(db, region, cursor)
    return took


def _swap(db: sqlite3.Connection, write: ShardWrite) -> bool:
    shard = write.shard
    where = (shard.run, shard.index, shard.rev - 1)
    if db.execute(sql.SWAP_SHARD, (*row_mapping.shard_changes(shard), *where)).rowcount == 0:
        return False
    for task in write.tasks:
        db.execute(sql.UPSERT_TASK, row_mapping.task_row(task))
    # After this write's own tasks, which may say Running of an attempt that the same write ends.
    if (stopped_at := rules.tasks_stopped_at(write)) is not None:
        db.execute(sql.STOP_TASKS, (stopped_at, shard.run, shard.index))
    append_history(db, write.history)
    return True


def derive_run_phase(db: sqlite3.Connection, run_id: str, at: float | None) -> None:
    """Derives a run's phase from those of its shards, and stores it if it has changed.

    A stage of the run whose time has come begins. `at` is the time of the last change, None: not known.
    """
    before, cancelled, staged = db.execute(sql.RUN_PHASE, (run_id,)).fetchone()
    if staged:
        stages = _go_on(db, run_id, at, cancelled=bool(cancelled))
        phase, reason = stage_rules.staged_run_phase(stages, cancelled=bool(cancelled))
        change = rules.phase_change(run_id, RunPhase(before), phase, at=at, reason=reason)
    else:
        # One of each stands for all: the run's phase follows from which there are.
        counts = {Phase(phase): 1 for (phase,) in db.execute(sql.PHASES_OF_RUN, (run_id,))}
        change = rules.run_phase_change(run_id, RunPhase(before), counts, cancelled=bool(cancelled), at=at)
    if change is not None:
        # A retry opens the run again.
        if (opened := RunPhase(before).terminal - change.phase.terminal) and (run := _run(db, run_id)):
            work = tenant_limits.work_of(run)
            counts_of_run = (opened * work.runs, opened * work.shards, opened * work.tasks)
            db.execute(sql.OPEN_RUN, (run.tenant, *counts_of_run, run.weight))
            queue_notifications(db, run, change.phase, change.finished_at)
        db.execute(sql.CHANGE_RUN_PHASE, (change.phase, change.finished_at, run_id))
        append_history(db, [change.entry])


def _go_on(
    db: sqlite3.Connection, run_id: str, at: float | None, *, cancelled: bool
) -> stage_rules.RunStages:
    """Lets the stages of a run begin whose time has come; returns the stages as they are then."""
    while True:
        stages = stage_rules.stages_of(
            [Phase(phase) for (phase,) in db.execute(sql.MAIN_PHASES_OF_RUN, (run_id,))],
            row_mapping.read_shards(db.execute(sql.OTHER_STAGES, (run_id,))),
        )
        # A change without a time is no end of a shard.
        write = None if at is None else stage_rules.next_stage(stages, cancelled=cancelled, at=at)
        if write is None:
            return stages
        _swap(db, write)
        if write.shard.index == FINALLY_SHARD:
            db.execute(sql.BEGIN_FINALLY, (at, run_id))


def cancel(db: sqlite3.Connection, run_id: str, at: float, entry: HistoryEntry) -> Run | None:
    """Stores the cancellation of a run that has not ended; returns the run.

    If the run is already cancelled, only a history entry is stored, one for each further person.
    """
    run = _run(db, run_id)
    if run is None or run.phase.terminal:
        return run
    if (after := stage_rules.after_cancellation(run, at)) is None:
        asked = (run_id, entry.kind, entry.actor, run.cancel_requested_at)
        if db.execute(sql.ACT_OF_RUN, asked).fetchone() is None:
            append_history(db, [entry])
        return run
    db.execute(sql.CANCEL_RUN, (after.cancel_requested_at, after.finally_cancelled_at, run_id))
    append_history(db, [entry])
    derive_run_phase(db, run_id, at)
    return _run(db, run_id)


def _run(db: sqlite3.Connection, run_id: str) -> Run | None:
    row = db.execute(sql.RUN, (run_id,)).fetchone()
    return None if row is None else row_mapping.read_run(row)


def retry(db: sqlite3.Connection, run: Run, decision: Decision, entry: HistoryEntry) -> bool:
    """Reopens a run that ended without success; returns False, with nothing written, for any other."""
    stored = db.execute(sql.RUN_PHASE, (run.id,)).fetchone()
    if stored is None or RunPhase(stored[0]) not in rules.RETRYABLE:
        return False
    retried = rules.RetriedTasks(run.workflow)
    shards = row_mapping.read_shards(db.execute(sql.SHARDS_OF_RUN, (run.id,)))
    for index, (opened, kept) in stage_rules.shards_after_retry(shards).items():
        _swap(db, ShardWrite(shard=opened))
        if kept:
            found = db.execute(sql.TASK_PHASES, (run.id, index))
            dropped = retried.dropped({task: TaskPhase(phase) for task, phase in found})
            db.executemany(sql.DELETE_TASK, [(run.id, index, task) for task in dropped])
        else:
            db.execute(sql.DELETE_ALL_TASKS, (run.id, index))
    db.execute(sql.CHANGE_PRIORITY, (run.priority, run.id))
    for label in db.execute(sql.LABELS_OF_RUN, (run.id,)).fetchall():
        db.execute(sql.DELETE_LABEL, label)
    for label in row_mapping.label_rows(run):
        db.execute(sql.INSERT_LABEL, label)
    if (before := _run(db, run.id)) is not None and before.workflow != run.workflow:
        decision_queries.keep_document(db, before)
    db.execute(sql.REOPEN_RUN, (*row_mapping.run_changes(rules.run_after_retry(run, decision)), run.id))
    decision_queries.insert(db, decision, run)
    append_history(db, [entry])
    derive_run_phase(db, run.id, entry.at)
    return True


def replace_decision(db: sqlite3.Connection, run_id: str, decision: Decision) -> None:
    """Stores a policy decision and makes it the one in force for the run."""
    decision_queries.insert(db, decision, _run(db, run_id))
    permitted = row_mapping.to_json(rules.permitted_regions(decision))
    db.execute(sql.REPLACE_DECISION, (decision.id, decision.at, permitted, run_id))


def bind_incarnation(db: sqlite3.Connection, region: str, incarnation: str) -> str:
    """Binds a region's name to the cluster journal `incarnation`, unless another journal is bound to it.

    Returns the journal that is bound now.
    """
    if db.execute(sql.BIND_INCARNATION, (region, incarnation)).rowcount:
        row = db.execute(sql.CURSOR, (region,)).fetchone()
        cursor = None if row is None else Cursor(incarnation=row[0], seq=row[1])
        _write_cursor(db, region, rules.cursor_after_binding(cursor, incarnation))
    return str(db.execute(sql.BOUND_INCARNATION, (region,)).fetchone()[0])


def _write_cursor(db: sqlite3.Connection, region: str, cursor: Cursor) -> None:
    db.execute(sql.WRITE_CURSOR, (region, cursor.incarnation, cursor.seq))


def release_incarnation(db: sqlite3.Connection, region: str, entry: HistoryEntry) -> bool:
    """Unbinds the region's name from its cluster's journal; returns False if no journal was bound."""
    return _change(db, sql.RELEASE_INCARNATION, (region,), entry)


def add_taint(db: sqlite3.Connection, region: str, taint: Taint, entry: HistoryEntry) -> bool:
    """Adds a taint to a region; returns whether the history `entry` was written.

    Where the region has the taint already, the entry is written only if the last such entry is another
    person's.
    """
    return _change(db, sql.ADD_TAINT, (region, taint), entry) or _note_repeated(db, region, entry)


def remove_taint(db: sqlite3.Connection, region: str, taint: Taint, entry: HistoryEntry) -> bool:
    """Removes a taint from a region; returns whether the history `entry` was written.

    Where the region lacks the taint, the entry is written only if the last such entry is another person's.
    """
    return _change(db, sql.REMOVE_TAINT, (region, taint), entry) or _note_repeated(db, region, entry)


def _note_repeated(db: sqlite3.Connection, region: str, entry: HistoryEntry) -> bool:
    """Stores the history entry of an action without effect, if the last such entry is another person's."""
    last = db.execute(sql.LAST_ACT, (entry.kind, region)).fetchone()
    if last is None or last[0] == entry.actor:
        return False
    append_history(db, [entry])
    return True


def _change(db: sqlite3.Connection, statement: str, parameters: tuple[str, ...], entry: HistoryEntry) -> bool:
    """Runs an SQL statement; if it changes a row, stores the history entry too and returns True."""
    if db.execute(statement, parameters).rowcount == 0:
        return False
    append_history(db, [entry])
    return True


def raise_era(db: sqlite3.Connection, entry: HistoryEntry) -> int:
    """Begins the next era (generation) of a store that was restored from a copy; returns its number."""
    era = rules.next_era(int(db.execute(sql.READ_ERA).fetchone()[0]))
    db.execute(sql.WRITE_ERA, (str(era),))
    append_history(db, [entry])
    return era
