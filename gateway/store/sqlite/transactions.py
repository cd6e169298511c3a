"""The store's transactions, each a plain function over one connection. May be run twice; sees nothing but the database."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from gateway.core.principal import Decision
from gateway.core.run import AuditEntry, Run, run_phase
from gateway.core.shard_states import TERMINAL, Event, Phase, Shard, advance
from gateway.store.interface import Admission, Admitted, Cursor, ShardWrite
from gateway.store.sqlite import row_mapping

KEY_SECONDS = 72 * 3600
"""How long an idempotency key is kept."""

INSERT_RUN = (
    "insert into run (id, tenant, idempotency_key, phase, created_at, deadline_at, decision_id, decided_at, permitted, state, workflow)"
    " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
REOPEN_RUN = "update run set cancel_requested_at = null, finished_at = null, deadline_at = ?, state = ?, workflow = ? where id = ?"
INSERT_SHARD = "insert into shard (run, idx, phase, rev, priority, not_before, orphans, state) values (?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_DECISION = "insert or replace into decision (id, at, state) values (?, ?, ?)"
INSERT_AUDIT = "insert into audit (run, shard, kind, at, actor, detail) values (?, ?, ?, ?, ?, ?)"
UPSERT_TASK = "insert or replace into task_result (run, shard, task, state) values (?, ?, ?, ?)"
GIVE_ORDER = "insert or ignore into region_order values (?, ?)"
WITHDRAW_ORDER = "delete from region_order where region = ? and name = ?"
BEGIN_CURSOR = (
    "insert into cursor values (?, ?, 0) on conflict (region) do update set incarnation = excluded.incarnation, seq = 0"
    " where incarnation <> excluded.incarnation"
)
STOP_TASKS = (
    "update task_result set state = json_set(state, '$.phase', 'Stopped', '$.ended_at', ?)"
    " where run = ? and shard = ? and state ->> 'phase' = 'Running'"
)
SWAP_SHARD = "update shard set phase = ?, rev = ?, not_before = ?, orphans = ?, state = ? where run = ? and idx = ? and rev = ?"


def admit(db: sqlite3.Connection, admission: Admission) -> Admitted:
    """All of one acceptance, or the run that its key has already made."""
    run = admission.run
    try:
        db.execute(INSERT_RUN, row_mapping.run_row(run))
    except sqlite3.IntegrityError:
        known = _by_key(db, run)
        if known is not None:
            return Admitted(run=known, replay=True)
        db.execute(INSERT_RUN, row_mapping.run_row(run))
    for shard in admission.shards:
        db.execute(INSERT_SHARD, row_mapping.shard_row(shard, run.priority))
    db.execute(INSERT_DECISION, row_mapping.decision_row(admission.decision))
    append(db, admission.audit)
    return Admitted(run=run, replay=False)


def _by_key(db: sqlite3.Connection, run: Run) -> Run | None:
    """The run that holds the key; None where it has grown old, and is free again."""
    where = (run.tenant, run.idempotency_key)
    row = db.execute(
        f"select created_at, {row_mapping.RUN} from run where tenant = ? and idempotency_key = ?", where
    ).fetchone()
    if row is None:
        raise sqlite3.IntegrityError(f"run {run.id} exists")
    created_at, *columns = row
    if created_at >= run.created_at - KEY_SECONDS:
        return row_mapping.read_run(tuple(columns))
    db.execute("update run set idempotency_key = null where tenant = ? and idempotency_key = ?", where)
    return None


def append(db: sqlite3.Connection, entries: Iterable[AuditEntry]) -> None:
    for entry in entries:
        db.execute(INSERT_AUDIT, row_mapping.audit_row(entry))


def record(db: sqlite3.Connection, writes: Sequence[ShardWrite], cursors: Mapping[str, Cursor]) -> list[bool]:
    """Swaps each shard whose revision is still the one it was decided on; cursors only if all of them took."""
    took = [_swap(db, write) for write in writes]
    touched = {
        write.shard.run: write.audit[-1].at if write.audit else None
        for write, done in zip(writes, took, strict=True)
        if done
    }
    for run_id, at in touched.items():
        derive(db, run_id, at)
    if all(took):
        for region, cursor in cursors.items():
            db.execute(
                "insert or replace into cursor values (?, ?, ?)", (region, cursor.incarnation, cursor.seq)
            )
    return took


def _swap(db: sqlite3.Connection, write: ShardWrite) -> bool:
    shard = write.shard
    after = (shard.phase, shard.rev, shard.not_before, len(shard.orphans), row_mapping.encode(shard).decode())
    if db.execute(SWAP_SHARD, (*after, shard.run, shard.index, shard.rev - 1)).rowcount == 0:
        return False
    for task in write.tasks:
        db.execute(UPSERT_TASK, (task.run, task.shard, task.task, row_mapping.encode(task).decode()))
    if shard.epoch and not shard.phase.placed and write.audit:
        db.execute(STOP_TASKS, (write.audit[-1].at, shard.run, shard.index))
    append(db, write.audit)
    return True


def derive(db: sqlite3.Connection, run_id: str, at: float | None) -> None:
    """The run's phase from those of its shards. `at`: when its last shard ended, if that is now."""
    counts = Counter(
        {
            Phase(phase): n
            for phase, n in db.execute(
                "select phase, count(*) from shard where run = ? group by phase", (run_id,)
            )
        }
    )
    before, cancelled = db.execute(
        "select phase, cancel_requested_at is not null from run where id = ?", (run_id,)
    ).fetchone()
    phase = run_phase(counts, cancelled=bool(cancelled))
    if phase != before:
        db.execute(
            "update run set phase = ?, finished_at = ? where id = ?",
            (phase, at if phase.terminal else None, run_id),
        )
        append(
            db, [AuditEntry(run=run_id, kind="RunPhase", at=at or 0.0, detail={"from": before, "to": phase})]
        )


def cancel(db: sqlite3.Connection, run_id: str, at: float, audit: AuditEntry) -> Run | None:
    """The wish, once. A terminal run is left as it is."""
    row = db.execute(f"select {row_mapping.RUN} from run where id = ?", (run_id,)).fetchone()
    run = None if row is None else row_mapping.read_run(row)
    if run is None or run.phase.terminal or run.cancel_requested_at is not None:
        return run
    db.execute("update run set cancel_requested_at = ? where id = ?", (at, run_id))
    append(db, [audit])
    derive(db, run_id, at)
    return row_mapping.read_run(
        db.execute(f"select {row_mapping.RUN} from run where id = ?", (run_id,)).fetchone()
    )


def retry(db: sqlite3.Connection, run: Run, decision: Decision, audit: AuditEntry) -> bool:
    """Opens what ended without success, under fresh counts (T13)."""
    phase = db.execute("select phase from run where id = ?", (run.id,)).fetchone()
    if phase is None or phase[0] not in ("Failed", "Cancelled"):
        return False
    for shard in row_mapping.read_shards(db.execute("select state from shard where run = ?", (run.id,))):
        if shard.phase in TERMINAL and shard.phase is not Phase.SUCCEEDED:
            opened = advance(shard, Event.RETRIED, attempts_lost=0, failovers=0, not_before=0.0).at(
                shard.rev + 1
            )
            _swap(db, ShardWrite(shard=opened))
            failed = "delete from task_result where run = ? and shard = ? and state ->> 'phase' = 'Failed'"
            db.execute(failed, (run.id, shard.index))
    db.execute("update shard set priority = ? where run = ?", (run.priority, run.id))
    db.execute(REOPEN_RUN, (run.deadline_at, row_mapping.run_state(run), run.workflow, run.id))
    redecide(db, run.id, decision)
    append(db, [audit])
    derive(db, run.id, audit.at)
    return True


def redecide(db: sqlite3.Connection, run_id: str, decision: Decision) -> None:
    """Another decision is in force: its regions are where the run may be."""
    db.execute(INSERT_DECISION, row_mapping.decision_row(decision))
    permitted = decision.obligations.regions if decision.allow else ()
    values = (decision.id, decision.at, row_mapping.encode(permitted).decode(), run_id)
    db.execute("update run set decision_id = ?, decided_at = ?, permitted = ? where id = ?", values)


def bind_incarnation(db: sqlite3.Connection, region: str, incarnation: str) -> str:
    """The journal that the region's name is bound to, from the first that came."""
    if db.execute("insert or ignore into incarnation values (?, ?)", (region, incarnation)).rowcount:
        db.execute(BEGIN_CURSOR, (region, incarnation))
    return str(db.execute("select incarnation from incarnation where region = ?", (region,)).fetchone()[0])


def release_incarnation(db: sqlite3.Connection, region: str, audit: AuditEntry) -> bool:
    """The region's name is free for another journal."""
    if db.execute("delete from incarnation where region = ?", (region,)).rowcount == 0:
        return False
    append(db, [audit])
    return True


def raise_era(db: sqlite3.Connection, audit: AuditEntry) -> int:
    """The era that begins."""
    db.execute("update meta set value = cast(value as integer) + 1 where name = 'era'")
    append(db, [audit])
    return int(db.execute("select value from meta where name = 'era'").fetchone()[0])


def set_order(db: sqlite3.Connection, statement: str, order: tuple[str, str], audit: AuditEntry) -> bool:
    """`GIVE_ORDER` or `WITHDRAW_ORDER`; nothing where that changes nothing."""
    if db.execute(statement, order).rowcount == 0:
        return False
    append(db, [audit])
    return True


def shards_where(db: sqlite3.Connection, where: str, parameters: Sequence[object]) -> list[Shard]:
    return row_mapping.read_shards(db.execute(f"select shard.state from shard {where}", parameters))
