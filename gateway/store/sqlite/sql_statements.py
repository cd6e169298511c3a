"""All SQL statements of the SQLite store, as constants. The tables are in `migrations/`."""

from collections.abc import Iterable
from typing import Final

from gateway.core.shard_states import Phase
from gateway.store import rules
from waypost.workflow.stages import COLLECT_SHARD, FINALLY_SHARD


def _in(phases: Iterable[Phase]) -> str:
    """Returns the SQL condition `in ('...', ...)` for these phases."""
    return f"in ({', '.join(repr(phase.value) for phase in Phase if phase in frozenset(phases))})"


_UNFINISHED = f"phase {_in(rules.UNFINISHED)}"
_CANCELLABLE = f"phase {_in(rules.CANCELLABLE)}"

IDENTIFY: Final = "insert or ignore into meta values ('identity', ?)"
BEGIN_ERAS: Final = "insert or ignore into meta values ('era', ?)"
READ_META: Final = "select name, value from meta"
READ_ERA: Final = "select value from meta where name = 'era'"
WRITE_ERA: Final = "update meta set value = ? where name = 'era'"
READ_BOOT: Final = "select value from meta where name = 'boot'"
WRITE_BOOT: Final = "insert or replace into meta values ('boot', ?)"
MOVE_DEADLINES: Final = (
    "update run set deadline_at = deadline_at + :step, finally_deadline_at = finally_deadline_at + :step"
    # By both indexes: `or` would walk the whole table.
    " where id in (select id from run where deadline_at is not null and finished_at is null"
    " union select id from run where finally_deadline_at is not null and finished_at is null)"
)
MOVE_PAUSES: Final = (
    "update shard set not_before = not_before + :step,"
    " state = json_set(state, '$.not_before', not_before + :step)"
    " where phase = 'Pending' and not_before > 0"
)
TRY_WRITE: Final = "insert or replace into meta values ('checked', ?)"

RUN_COLUMNS: Final = (
    "phase, deadline_at, cancel_requested_at, finally_deadline_at, finally_cancelled_at, finished_at,"
    " decision_id, decided_at, permitted, state, workflow"
)
"""The columns that `row_mapping.read_run` decodes, in this order."""
INSERT_RUN: Final = (
    "insert into run (id, tenant, idempotency_key, phase, created_at, deadline_at, decision_id, decided_at,"
    " permitted, staged, state, workflow) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
RUN: Final = f"select {RUN_COLUMNS} from run where id = ?"
RUN_BY_KEY: Final = f"select {RUN_COLUMNS} from run where tenant = ? and idempotency_key = ?"
FREE_KEY: Final = "update run set idempotency_key = null where tenant = ? and idempotency_key = ?"
RUN_PHASE: Final = "select phase, cancel_requested_at is not null, staged from run where id = ?"
CHANGE_RUN_PHASE: Final = "update run set phase = ?, finished_at = ? where id = ?"
CANCEL_RUN: Final = "update run set cancel_requested_at = ?, finally_cancelled_at = ? where id = ?"
BEGIN_FINALLY: Final = "update run set finally_deadline_at = ? + (state ->> '$.finally_seconds') where id = ?"
REOPEN_RUN: Final = (
    "update run set deadline_at = ?, cancel_requested_at = ?, finally_deadline_at = ?,"
    " finally_cancelled_at = ?, finished_at = ?, decision_id = ?,"
    " decided_at = ?, permitted = ?, state = ?, workflow = ? where id = ?"
)
REPLACE_DECISION: Final = "update run set decision_id = ?, decided_at = ?, permitted = ? where id = ?"

INSERT_SHARD: Final = (
    "insert into shard (run, idx, phase, rev, priority, not_before, orphans, state, tenant)"
    " values (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
SWAP_SHARD: Final = (
    "update shard set phase = ?, rev = ?, not_before = ?, orphans = ?, state = ?"
    " where run = ? and idx = ? and rev = ?"
)
CHANGE_PRIORITY: Final = "update shard set priority = ? where run = ?"
SHARD: Final = "select state from shard where run = ? and idx = ?"
SHARDS_OF_RUN: Final = "select state from shard where run = ? order by idx"
OTHER_STAGES: Final = f"select state from shard where run = ? and idx >= {COLLECT_SHARD}"
# By one step into the index for each phase: a count would walk a million shards at every commit.
PHASES_OF_RUN: Final = (
    "with given(phase) as (values "
    + ", ".join(f"('{phase}')" for phase in Phase)
    + "), of(tenant, priority, run) as (select tenant, priority, run from shard where run = ? limit 1)"
    " select given.phase from of cross join given where exists (select 1 from shard indexed by shard_by_phase"
    " where shard.phase = given.phase and shard.tenant = of.tenant and shard.priority = of.priority"
    " and shard.run = of.run)"
)
MAIN_PHASES_OF_RUN: Final = PHASES_OF_RUN.removesuffix(")") + f" and shard.idx < {COLLECT_SHARD})"
# Ids of runs are in the order of their acceptance.
OLDEST_PENDING: Final = (
    "select created_at from run where id ="
    # A run may take hours until its other stages begin to wait.
    f" (select min(run) from shard where phase = 'Pending' and idx < {COLLECT_SHARD})"
)
COUNT_SHARDS: Final = f"select phase, count(*) from shard where {_UNFINISHED} group by phase"
# A union, since `or` would walk the whole table: each half has an index of its own.
ACTIVE_SHARDS: Final = (
    f"select state from shard where phase {_in(rules.ACTIVE)} union select state from shard where orphans > 0"
)
# Of one tenant. Bounded inside: a backlog whose runs are cancelled must not be walked at every pass.
PENDING_SHARDS: Final = (
    "select waiting.state from (select run, state, priority, idx from shard"
    " where phase = 'Pending' and tenant = ? and not_before <= ?"
    " and run not in (select value from json_each(?))"
    " order by priority desc, run, idx limit ?) as waiting"
    " join run on run.id = waiting.run"
    f" where case when waiting.idx = {FINALLY_SHARD}"
    " then run.finally_cancelled_at is null and run.finally_deadline_at > ?"
    " else run.cancel_requested_at is null and (run.deadline_at is null or run.deadline_at > ?) end"
    " order by waiting.priority desc, waiting.run, waiting.idx"
)
# The plus before `shard.phase` keeps SQLite from walking the index of all unfinished shards: the few runs
# that these two are about come first, by an index of their own.
OVERDUE_SHARDS: Final = (
    "select shard.state from shard join run on run.id = shard.run"
    " where run.tenant = ?1 and run.deadline_at <= ?2 and run.finished_at is null"
    f" and run.cancel_requested_at is null and shard.idx <> {FINALLY_SHARD} and +shard.{_CANCELLABLE}"
    " union all select shard.state from shard join run on run.id = shard.run"
    " where run.tenant = ?1 and run.finally_deadline_at <= ?2 and run.finished_at is null"
    f" and shard.idx = {FINALLY_SHARD} and +shard.{_CANCELLABLE} limit ?3"
)
SHARDS_TO_CANCEL: Final = (
    "select shard.state from shard join run on run.id = shard.run"
    " where run.tenant = ? and run.cancel_requested_at is not null and run.finished_at is null"
    f" and (shard.idx <> {FINALLY_SHARD} or run.finally_cancelled_at is not null)"
    f" and +shard.{_CANCELLABLE} limit ?"
)

OPEN_TENANTS: Final = "select tenant, weight from tenant_usage where runs > 0"
OPEN_WORK: Final = "select runs, shards, tasks from tenant_usage where tenant = ?"
OPEN_RUN: Final = (
    "insert into tenant_usage (tenant, runs, shards, tasks, weight) values (?, ?, ?, ?, ?)"
    " on conflict (tenant) do update set runs = runs + excluded.runs, shards = shards + excluded.shards,"
    " tasks = tasks + excluded.tasks, weight = excluded.weight"
)
LABELS_OF_RUN: Final = (
    "select run.tenant, label.key, label.value, run.id"
    " from run, json_each(run.state, '$.labels') as label where run.id = ?"
)
INSERT_LABEL: Final = "insert or ignore into run_label (tenant, name, value, run) values (?, ?, ?, ?)"
DELETE_LABEL: Final = "delete from run_label where tenant = ? and name = ? and value = ? and run = ?"

UPSERT_TASK: Final = "insert or replace into task_result (run, shard, task, state) values (?, ?, ?, ?)"
STOP_TASKS: Final = (
    "update task_result set state = json_set(state, '$.phase', 'Stopped', '$.next_try_at', null,"
    # a try that has failed before has ended then
    " '$.ended_at', coalesce(state ->> 'ended_at', ?))"
    " where run = ? and shard = ? and state ->> 'phase' in ('Running', 'Retrying')"
)
TASK_PHASES: Final = "select task, state ->> 'phase' from task_result where run = ? and shard = ?"
DELETE_TASK: Final = "delete from task_result where run = ? and shard = ? and task = ?"
DELETE_ALL_TASKS: Final = "delete from task_result where run = ? and shard = ?"
TASK: Final = "select state from task_result where run = ? and shard = ? and task = ?"

INSERT_HISTORY: Final = "insert into audit (run, shard, kind, at, actor, detail) values (?, ?, ?, ?, ?, ?)"
HISTORY: Final = (
    "select seq, run, shard, kind, at, actor, detail from audit where run = ? and seq > ?"
    " order by seq limit ?"
)
WRITE_CURSOR: Final = "insert or replace into cursor values (?, ?, ?)"
CURSOR: Final = "select incarnation, seq from cursor where region = ?"
CURSORS: Final = "select region, incarnation, seq from cursor"
BIND_INCARNATION: Final = "insert or ignore into incarnation values (?, ?)"
BOUND_INCARNATION: Final = "select incarnation from incarnation where region = ?"
RELEASE_INCARNATION: Final = "delete from incarnation where region = ?"

# Taints were called orders when migration 2 named their table.
ADD_TAINT: Final = "insert or ignore into region_order values (?, ?)"
REMOVE_TAINT: Final = "delete from region_order where region = ? and name = ?"
LAST_ACT: Final = (
    "select actor from audit where run = '' and kind = ? and cast(detail as text) ->> 'region' = ?"
    " order by seq desc limit 1"
)
ACT_OF_RUN: Final = "select 1 from audit where run = ? and kind = ? and actor = ? and at >= ? limit 1"
TAINTS: Final = "select region, name from region_order"


def tasks_of(
    run_id: str, shard: int | None, *, limit: int | None, outputs: bool
) -> tuple[str, tuple[object, ...]]:
    """Returns the SQL statement, with parameters, that lists the tasks of a run or of one of its shards."""
    where, parameters = _of_shard(run_id, shard)
    state = "state" if outputs else "json_remove(state, '$.output')"
    # SQLite takes -1 for no limit.
    return (
        f"select {state} from task_result where {where} order by run, shard, task limit ?",
        (*parameters, -1 if limit is None else limit),
    )


def task_counts_of(run_id: str, shard: int | None) -> tuple[str, tuple[object, ...]]:
    """Returns the SQL statement, with parameters, that counts a run's or shard's tasks by phase.

    Instances of a task (`forEach`) are not counted: only their names have brackets.
    """
    where, parameters = _of_shard(run_id, shard)
    where = f"{where} and instr(task, '[') = 0"
    return f"select state ->> 'phase', count(*) from task_result where {where} group by 1", parameters


def _of_shard(run_id: str, shard: int | None) -> tuple[str, tuple[object, ...]]:
    return ("run = ?", (run_id,)) if shard is None else ("run = ? and shard = ?", (run_id, shard))
