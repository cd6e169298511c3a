"""The cluster's journal in SQLite: the state that survives a restart, even after a SIGKILL.

It holds runs, attempts, task results, tombstones, and the events that the gateway has not acknowledged. Every
scheduler decision (step) is one item of a group commit (`waypost.sqlite_group_commit`). A scheduler starts
from the `RecoveredState` that is read back.
"""

import sqlite3
import uuid
from collections.abc import Callable, Sequence

import msgspec

from clusters.embedded.ownership import Owner
from clusters.embedded.scheduling.attempt import Attempt, TaskGraph
from clusters.embedded.scheduling.retention import EndedAttempt
from clusters.embedded.scheduling.scheduler_step import RecoveredState, Step
from clusters.protocol import AttemptEnded, AttemptId, JournalledEvent, RunSpec, ShardSpec, TaskResult

SCHEMA = (
    "create table if not exists meta (name text primary key, value text not null) without rowid",
    "create table if not exists run (run text primary key, spec blob not null) without rowid",
    "create table if not exists attempt (run text, shard integer, epoch integer, spec blob not null,"
    " end_seq integer not null default 0, at real not null, failed text not null default '',"
    " primary key (run, shard, epoch)) without rowid",
    "create table if not exists task (run text, shard integer, epoch integer, task text,"
    " tries integer not null, result blob, due real not null default 0,"
    " primary key (run, shard, epoch, task)) without rowid",
    "create table if not exists event (seq integer primary key, state blob not null)",
    "create table if not exists tombstone (run text, shard integer, epoch integer, at real not null,"
    " primary key (run, shard, epoch)) without rowid",
    "create table if not exists tenant (key text primary key) without rowid",
)
ADDED_COLUMNS = (
    ("attempt", "failed", "text not null default ''"),
    ("task", "due", "real not null default 0"),
)
"""The columns that journals of older versions lack, as (table, name, definition)."""
OF_ATTEMPT = "where run = ? and shard = ? and epoch = ?"
EVENTS_BYTES = 4 * 1_048_576
"""The approximate limit, in bytes, of events read at once: each may carry an output of 64 KiB."""

_encode = msgspec.json.encode
_decode_run = msgspec.json.Decoder(RunSpec).decode
_decode_attempt = msgspec.json.Decoder(ShardSpec).decode
_decode_result = msgspec.json.Decoder(TaskResult).decode
_decode_event: Callable[[bytes], JournalledEvent] = msgspec.json.Decoder(JournalledEvent).decode


def _bring_up_to_date(db: sqlite3.Connection) -> None:
    """Creates the tables and columns that the journal lacks."""
    listed = db.execute("select 1 from sqlite_master where name = 'tenant'").fetchone()
    for statement in SCHEMA:
        db.execute(statement)
    for table, column, definition in ADDED_COLUMNS:
        # SQLite has no `add column if not exists`.
        if column not in [row[1] for row in db.execute(f"pragma table_info({table})")]:
            db.execute(f"alter table {table} add column {column} {definition}")
    if not listed:
        # Journals of older versions have the keys of their runs alone.
        db.execute(
            "insert or ignore into tenant select json_extract(cast(spec as text), '$.fairness_key') from run"
            ' where instr(cast(spec as text), \'"type":"process"\') > 0'
        )


def open_journal(db: sqlite3.Connection) -> RecoveredState:
    """Creates missing tables and columns of the journal, and reads the cluster's state from it.

    A new journal gets a new incarnation. Raises `sqlite3.Error` where the file is no journal.
    """
    _bring_up_to_date(db)
    new_journal = "('incarnation', ?), ('seq', '0'), ('acknowledged', '0'), ('store', ''), ('era', '0')"
    db.execute(f"insert or ignore into meta values {new_journal}", (uuid.uuid4().hex,))
    meta = dict(db.execute("select name, value from meta"))
    acknowledged = int(meta["acknowledged"])
    current = "from attempt where end_seq = 0 or end_seq > ?"
    # Of runs that have ended, which are most, nothing is needed but that they have.
    of_current = f"select run, spec from run where run in (select run {current})"
    graphs = {name: TaskGraph(_decode_run(spec)) for name, spec in db.execute(of_current, (acknowledged,))}
    columns = "select run, spec, end_seq, at, failed"
    attempts = [
        _load_attempt(db, _decode_attempt(spec), graphs[run], end_seq=end_seq, at=at, failed=failed)
        for run, spec, end_seq, at, failed in db.execute(f"{columns} {current} order by at", (acknowledged,))
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
        tenants=frozenset(key for (key,) in db.execute("select key from tenant")),
    )


def _load_attempt(
    db: sqlite3.Connection, spec: ShardSpec, graph: TaskGraph, *, end_seq: int, at: float, failed: str
) -> Attempt:
    """Builds an attempt from its row of the journal and the rows of its tasks.

    `at` is the time of the attempt's end, or of its creation where it has not ended (`end_seq` 0), in seconds
    since 1970.
    """
    identity = spec.attempt
    finished, tries = {result.task: result for result in spec.results}, dict(spec.tries)
    pauses: dict[str, float] = {}
    where = f"select task, tries, result, due from task {OF_ATTEMPT}"
    for task, count, result, due in db.execute(where, _key(identity)):
        tries[task] = count
        if result is not None:
            finished[task] = _decode_result(result)
        # The cluster ended during the pause before a retry.
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
    """Writes the records of scheduler decisions (steps) to the journal, in order.

    `wall` is the time, in seconds since 1970.
    """
    for step in steps:
        _write_step(db, step, wall)
    newest = max((event.seq for step in steps for event in step.events), default=0)
    # Kept apart from the events, which are deleted when acknowledged: no seq is used twice.
    if newest:
        db.execute("update meta set value = ? where name = 'seq'", (str(newest),))
    acknowledged = max((step.acknowledged for step in steps), default=0)
    if acknowledged:
        db.execute("delete from event where seq <= ?", (acknowledged,))
        db.execute("update meta set value = ? where name = 'acknowledged'", (str(acknowledged),))


def _write_step(db: sqlite3.Connection, step: Step, wall: float) -> None:
    _write_meta(db, step)
    for identity in step.expired:
        db.execute(f"delete from tombstone {OF_ATTEMPT}", _key(identity))
        _delete_attempt(db, identity)
    # Tombstones come before the attempts of the same step: a batch may end one epoch and create the next.
    for identity in step.tombstones:
        db.execute("insert or ignore into tombstone values (?, ?, ?, ?)", (*_key(identity), wall))
        _delete_attempt(db, identity)
    _write_attempts(db, step, wall)


def _write_meta(db: sqlite3.Connection, step: Step) -> None:
    if step.incarnation:
        db.execute("update meta set value = ? where name = 'incarnation'", (step.incarnation,))
        db.execute("update meta set value = '0' where name = 'acknowledged'")
    if step.owner is not None:
        # The new owner's store knows none of the events that the old one has acknowledged.
        changes = {"store": step.owner.store, "era": str(step.owner.era), "acknowledged": "0"}
        db.executemany(
            "update meta set value = ? where name = ?", [(value, name) for name, value in changes.items()]
        )


def _write_attempts(db: sqlite3.Connection, step: Step, wall: float) -> None:
    if step.tenants_gone:
        db.execute("delete from tenant")
    for key in step.tenants:
        db.execute("insert or ignore into tenant values (?)", (key,))
    for run in step.runs:
        # A run that is tried again may have another priority, or another end to tell `finally` of.
        db.execute(
            "insert into run values (?, ?) on conflict (run) do update set spec = excluded.spec"
            " where spec <> excluded.spec",
            (run.run, _encode(run)),
        )
    for spec in step.created:
        values = (*_key(spec.attempt), _encode(spec), wall)
        db.execute(
            "insert or ignore into attempt (run, shard, epoch, spec, at) values (?, ?, ?, ?, ?)", values
        )
    for task in step.tasks:
        result = None if task.result is None else _encode(task.result)
        db.execute(
            "insert or replace into task values (?, ?, ?, ?, ?, ?, ?)",
            (*_key(task.attempt), task.task, task.tries, result, task.due),
        )
    for identity, reason in step.failures:
        db.execute(
            f"update attempt set failed = ? {OF_ATTEMPT}",
            (reason, *_key(identity)),
        )
    for event in step.events:
        db.execute("insert into event values (?, ?)", (event.seq, _encode(event)))
        # The end of the attempt becomes durable together with the event that reports it.
        if isinstance(event, AttemptEnded):
            ended = (event.seq, wall, event.reason, *_key(event.attempt))
            db.execute(
                f"update attempt set end_seq = ?, at = ?, failed = ? {OF_ATTEMPT}",
                ended,
            )


def _key(identity: AttemptId) -> tuple[str, int, int]:
    return (identity.run, identity.shard, identity.epoch)


def _delete_attempt(db: sqlite3.Connection, identity: AttemptId) -> None:
    """Deletes an attempt's rows from the journal, and its run's row if that has no other attempt."""
    for table in ("task", "attempt"):
        db.execute(f"delete from {table} {OF_ATTEMPT}", _key(identity))
    db.execute(
        "delete from run where run = ?1 and not exists (select 1 from attempt where run = ?1)",
        (identity.run,),
    )


def read_events(db: sqlite3.Connection, after: int, limit: int) -> list[JournalledEvent]:
    """Reads at most `limit` events after seq `after` from the journal, in order.

    Ends early after the event with which they have more than `EVENTS_BYTES` bytes as stored.
    """
    events, size = list[JournalledEvent](), 0
    for (state,) in db.execute("select state from event where seq > ? order by seq limit ?", (after, limit)):
        events.append(_decode_event(state))
        size += len(state)
        # The stream reads on after these: the rest is not lost.
        if size > EVENTS_BYTES:
            break
    return events
