"""What survives a SIGKILL: runs, attempts, task results, tombstones, and the events that the gateway has not acknowledged.

Every step of the scheduler is one item of a group commit (`waypost.durable`). Reading back gives `Loaded`, from which a scheduler starts.
"""

import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from clusters.embedded.state import Attempt, Step
from clusters.spec import AttemptEnded, AttemptId, RunSpec, ShardSpec, TaskChanged, TaskResult

SCHEMA = (
    "create table if not exists meta (name text primary key, value text not null) without rowid",
    "create table if not exists run (run text primary key, spec blob not null) without rowid",
    "create table if not exists attempt (run text, shard integer, epoch integer, spec blob not null, end_seq integer not null default 0,"
    " at real not null, primary key (run, shard, epoch)) without rowid",
    "create table if not exists task (run text, shard integer, epoch integer, task text, tries integer not null, result blob,"
    " primary key (run, shard, epoch, task)) without rowid",
    "create table if not exists event (seq integer primary key, state blob not null)",
    "create table if not exists tombstone (run text, shard integer, epoch integer, at real not null, primary key (run, shard, epoch))"
    " without rowid",
)
RETENTION_SECONDS = 24 * 3600.0
"""Attempts that ended and were acknowledged are forgotten after this, with their workspaces."""
TOMBSTONE_SECONDS = 7 * 24 * 3600.0

Event = TaskChanged | AttemptEnded

encode = msgspec.json.encode
_run = msgspec.json.Decoder(RunSpec).decode
_attempt = msgspec.json.Decoder(ShardSpec).decode
_result = msgspec.json.Decoder(TaskResult).decode
_event = msgspec.json.Decoder(Event).decode


@dataclass(kw_only=True)
class Loaded:
    """What a journal holds at the start."""

    incarnation: str
    seq: int = 0
    acknowledged: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    tombstones: list[AttemptId] = field(default_factory=list)
    highest: dict[tuple[str, int], int] = field(default_factory=dict)


def open_journal(db: sqlite3.Connection, wall: float) -> Loaded:
    """Makes the tables where there are none, forgets what is old, and reads the rest. A new journal takes a new incarnation."""
    for statement in SCHEMA:
        db.execute(statement)
    db.execute("insert or ignore into meta values ('incarnation', ?), ('seq', '0'), ('acknowledged', '0')", (uuid.uuid4().hex,))
    meta = dict(db.execute("select name, value from meta"))
    _forget(db, int(meta["acknowledged"]), wall)
    runs = {name: _run(spec) for name, spec in db.execute("select run, spec from run")}
    attempts = [
        _load(db, _attempt(spec), runs[run], end_seq)
        for run, spec, end_seq in db.execute("select run, spec, end_seq from attempt order by at")
    ]
    tombstones = [AttemptId(run=r, shard=s, epoch=e) for r, s, e in db.execute("select run, shard, epoch from tombstone")]
    highest: dict[tuple[str, int], int] = {}
    for identity in [*tombstones, *(attempt.id for attempt in attempts)]:
        shard = (identity.run, identity.shard)
        highest[shard] = max(highest.get(shard, 0), identity.epoch)
    return Loaded(
        incarnation=meta["incarnation"],
        seq=int(meta["seq"]),
        acknowledged=int(meta["acknowledged"]),
        attempts=[attempt for attempt in attempts if attempt.id not in set(tombstones)],
        tombstones=tombstones,
        highest=highest,
    )


def _load(db: sqlite3.Connection, spec: ShardSpec, run: RunSpec, end_seq: int) -> Attempt:
    identity = spec.attempt
    finished, tries = {result.task: result for result in spec.results}, dict(spec.tries)
    where = "select task, tries, result from task where run = ? and shard = ? and epoch = ?"
    for task, count, result in db.execute(where, (identity.run, identity.shard, identity.epoch)):
        tries[task] = count
        if result is not None:
            finished[task] = _result(result)
    tasks = {task.name: task for task in run.tasks}
    return Attempt(spec=spec, run=run, tasks=tasks, finished=finished, tries=tries, end_seq=end_seq)


def _forget(db: sqlite3.Connection, acknowledged: int, wall: float) -> None:
    old = "end_seq > 0 and end_seq <= ? and at < ?"
    keys = "(run, shard, epoch) in (select run, shard, epoch from attempt where " + old + ")"
    db.execute(f"delete from task where {keys}", (acknowledged, wall - RETENTION_SECONDS))
    db.execute(f"delete from attempt where {old}", (acknowledged, wall - RETENTION_SECONDS))
    db.execute("delete from run where run not in (select run from attempt)")
    db.execute("delete from tombstone where at < ?", (wall - TOMBSTONE_SECONDS,))


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
    if step.incarnation:
        db.execute("update meta set value = ? where name = 'incarnation'", (step.incarnation,))
        db.execute("update meta set value = '0' where name = 'acknowledged'")
    for identity in step.tombstones:
        db.execute("insert or ignore into tombstone values (?, ?, ?, ?)", (identity.run, identity.shard, identity.epoch, wall))
    for run in step.runs:
        db.execute("insert or ignore into run values (?, ?)", (run.run, encode(run)))
    for spec in step.attempts:
        values = (spec.attempt.run, spec.attempt.shard, spec.attempt.epoch, encode(spec), wall)
        db.execute("insert or ignore into attempt (run, shard, epoch, spec, at) values (?, ?, ?, ?, ?)", values)
    for task in step.tasks:
        result = None if task.result is None else encode(task.result)
        key = (task.attempt.run, task.attempt.shard, task.attempt.epoch, task.task)
        db.execute("insert or replace into task values (?, ?, ?, ?, ?, ?)", (*key, task.tries, result))
    for event in step.events:
        db.execute("insert into event values (?, ?)", (event.seq, encode(event)))
        if isinstance(event, AttemptEnded):
            identity = event.attempt
            ended = (event.seq, wall, identity.run, identity.shard, identity.epoch)
            db.execute("update attempt set end_seq = ?, at = ? where run = ? and shard = ? and epoch = ?", ended)


def read_events(db: sqlite3.Connection, after: int, limit: int) -> list[Event]:
    """Journalled events after `after`, in order."""
    return [_event(state) for (state,) in db.execute("select state from event where seq > ? order by seq limit ?", (after, limit))]
