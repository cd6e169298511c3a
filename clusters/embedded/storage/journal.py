"""What survives a SIGKILL: runs, attempts, task results, tombstones, and the events that the gateway has not acknowledged.

Every step of the scheduler is one item of a group commit (`waypost.sqlite_database`).
Reading back gives `RecoveredState`, from which a scheduler starts.
"""

import sqlite3
import uuid
from collections.abc import Sequence

import msgspec

from clusters.embedded.scheduling.attempt import Attempt, TaskGraph
from clusters.embedded.scheduling.ownership import Owner
from clusters.embedded.scheduling.recovered_state import RecoveredState
from clusters.embedded.scheduling.retention import EndedAttempt
from clusters.embedded.scheduling.step import Step
from clusters.protocol import AttemptEnded, AttemptId, RunSpec, ShardSpec, TaskChanged, TaskResult

SCHEMA = (
    "create table if not exists meta (name text primary key, value text not null) without rowid",
    "create table if not exists run (run text primary key, spec blob not null) without rowid",
    "create table if not exists attempt (run text, shard integer, epoch integer, spec blob not null, end_seq integer not null default 0,"
    " at real not null, failed text not null default '', primary key (run, shard, epoch)) without rowid",
    "create table if not exists task (run text, shard integer, epoch integer, task text, tries integer not null, result blob,"
    " due real not null default 0, primary key (run, shard, epoch, task)) without rowid",
    "create table if not exists event (seq integer primary key, state blob not null)",
    "create table if not exists tombstone (run text, shard integer, epoch integer, at real not null, primary key (run, shard, epoch))"
    " without rowid",
)
ADDED = (("attempt", "failed", "text not null default ''"), ("task", "due", "real not null default 0"))
"""Columns that journals of the first days do not have."""
EVENTS_BYTES = 4 * 1_048_576
Event = TaskChanged | AttemptEnded

encode = msgspec.json.encode
_run = msgspec.json.Decoder(RunSpec).decode
_attempt = msgspec.json.Decoder(ShardSpec).decode
_result = msgspec.json.Decoder(TaskResult).decode
_event = msgspec.json.Decoder(Event).decode


def open_journal(db: sqlite3.Connection) -> RecoveredState:
    """Makes the tables where there are none, and reads what they hold. A new journal takes a new incarnation."""
    for statement in SCHEMA:
        db.execute(statement)
    for table, column, form in ADDED:
        if column not in [row[1] for row in db.execute(f"pragma table_info({table})")]:
            db.execute(f"alter table {table} add column {column} {form}")
    meta_at_first = "('incarnation', ?), ('seq', '0'), ('acknowledged', '0'), ('store', ''), ('era', '0')"
    db.execute(f"insert or ignore into meta values {meta_at_first}", (uuid.uuid4().hex,))
    meta = dict(db.execute("select name, value from meta"))
    acknowledged = int(meta["acknowledged"])
    graphs = {name: TaskGraph(_run(spec)) for name, spec in db.execute("select run, spec from run")}
    going = "select run, spec, end_seq, at, failed from attempt where end_seq = 0 or end_seq > ? order by at"
    attempts = [
        _load(db, _attempt(spec), graphs[run], end_seq=end_seq, at=at, failed=failed)
        for run, spec, end_seq, at, failed in db.execute(going, (acknowledged,))
    ]
    ended = "select run, shard, epoch, end_seq, at, failed from attempt where end_seq between 1 and ?"
    ended_attempts = {
        AttemptId(run=run, shard=shard, epoch=epoch): EndedAttempt(
            end_seq=end_seq, ended_at=at, succeeded=not failed
        )
        for run, shard, epoch, end_seq, at, failed in db.execute(ended, (acknowledged,))
    }
    tombstones = {
        AttemptId(run=r, shard=s, epoch=e): at
        for r, s, e, at in db.execute("select run, shard, epoch, at from tombstone")
    }
    highest: dict[tuple[str, int], int] = {}
    for identity in [*tombstones, *ended_attempts, *(attempt.id for attempt in attempts)]:
        shard = (identity.run, identity.shard)
        highest[shard] = max(highest.get(shard, 0), identity.epoch)
    return RecoveredState(
        incarnation=meta["incarnation"],
        owner=Owner(store=meta["store"], era=int(meta["era"])),
        seq=int(meta["seq"]),
        acknowledged=acknowledged,
        attempts=attempts,
        ended=ended_attempts,
        tombstones=tombstones,
        highest=highest,
    )


def _load(
    db: sqlite3.Connection, spec: ShardSpec, graph: TaskGraph, *, end_seq: int, at: float, failed: str
) -> Attempt:
    identity = spec.attempt
    finished, tries = {result.task: result for result in spec.results}, dict(spec.tries)
    pauses: dict[str, float] = {}
    where = "select task, tries, result, due from task where run = ? and shard = ? and epoch = ?"
    for task, count, result, due in db.execute(where, _key(identity)):
        tries[task] = count
        if result is not None:
            finished[task] = _result(result)
        elif due:
            pauses[task] = due
    return Attempt(
        spec=spec,
        graph=graph,
        finished=finished,
        tries=tries,
        interrupted_pauses=pauses,
        end_seq=end_seq,
        ended_at=at if end_seq else 0.0,
        failure=failed,
    )


def write_steps(db: sqlite3.Connection, steps: Sequence[Step], wall: float) -> None:
    """Journals what `steps` changed, in their order."""
    for step in steps:
        _write(db, step, wall)
    newest = max((event.seq for step in steps for event in step.events), default=0)
    if newest:
        db.execute("update meta set value = ? where name = 'seq'", (str(newest),))
    acknowledged = max((step.acknowledged for step in steps), default=0)
    if acknowledged:
        db.execute("delete from event where seq <= ?", (acknowledged,))
        db.execute("update meta set value = ? where name = 'acknowledged'", (str(acknowledged),))


def _write(db: sqlite3.Connection, step: Step, wall: float) -> None:
    _write_identity(db, step)
    for identity in step.expired:
        db.execute("delete from tombstone where run = ? and shard = ? and epoch = ?", _key(identity))
        _remove(db, identity)
    for identity in step.tombstones:
        db.execute("insert or ignore into tombstone values (?, ?, ?, ?)", (*_key(identity), wall))
        _remove(db, identity)
    _write_attempts(db, step, wall)


def _write_identity(db: sqlite3.Connection, step: Step) -> None:
    if step.incarnation:
        db.execute("update meta set value = ? where name = 'incarnation'", (step.incarnation,))
        db.execute("update meta set value = '0' where name = 'acknowledged'")
    if step.owner is not None:
        changes = {"store": step.owner.store, "era": str(step.owner.era), "acknowledged": "0"}
        db.executemany(
            "update meta set value = ? where name = ?", [(value, name) for name, value in changes.items()]
        )


def _write_attempts(db: sqlite3.Connection, step: Step, wall: float) -> None:
    for run in step.runs:
        db.execute("insert or ignore into run values (?, ?)", (run.run, encode(run)))
    for spec in step.created:
        values = (*_key(spec.attempt), encode(spec), wall)
        db.execute(
            "insert or ignore into attempt (run, shard, epoch, spec, at) values (?, ?, ?, ?, ?)", values
        )
    for task in step.tasks:
        result = None if task.result is None else encode(task.result)
        db.execute(
            "insert or replace into task values (?, ?, ?, ?, ?, ?, ?)",
            (*_key(task.attempt), task.task, task.tries, result, task.due),
        )
    for identity, reason in step.failures:
        db.execute(
            "update attempt set failed = ? where run = ? and shard = ? and epoch = ?",
            (reason, *_key(identity)),
        )
    for event in step.events:
        db.execute("insert into event values (?, ?)", (event.seq, encode(event)))
        if isinstance(event, AttemptEnded):
            ended = (event.seq, wall, event.reason, *_key(event.attempt))
            db.execute(
                "update attempt set end_seq = ?, at = ?, failed = ? where run = ? and shard = ? and epoch = ?",
                ended,
            )


def _key(identity: AttemptId) -> tuple[str, int, int]:
    return (identity.run, identity.shard, identity.epoch)


def _remove(db: sqlite3.Connection, identity: AttemptId) -> None:
    """The attempt's rows, and its run's with the last of them."""
    for table in ("task", "attempt"):
        db.execute(f"delete from {table} where run = ? and shard = ? and epoch = ?", _key(identity))
    db.execute(
        "delete from run where run = ?1 and not exists (select 1 from attempt where run = ?1)",
        (identity.run,),
    )


def read_events(db: sqlite3.Connection, after: int, limit: int) -> list[Event]:
    """Journalled events after `after`, in order: so many, or fewer where they are large."""
    events, size = list[Event](), 0
    for (state,) in db.execute("select state from event where seq > ? order by seq limit ?", (after, limit)):
        events.append(_event(state))
        size += len(state)
        if size > EVENTS_BYTES:
            break
    return events
