-- What was promised. JSON in `state` columns is of the values in gateway/core; columns beside it are those that queries or updates need.

create table meta (name text primary key, value text not null) without rowid;

create table run (
    id text primary key,
    tenant text not null,
    idempotency_key text,
    phase text not null,
    created_at real not null,
    deadline_at real,
    cancel_requested_at real,
    finished_at real,
    decision_id text not null,
    decided_at real not null,
    permitted text not null,
    state text not null,
    workflow blob not null
) without rowid;
create index run_by_tenant on run (tenant, id);
create unique index run_by_key on run (tenant, idempotency_key) where idempotency_key is not null;
create index run_by_deadline on run (deadline_at) where deadline_at is not null and finished_at is null;
create index run_by_cancel on run (cancel_requested_at) where cancel_requested_at is not null and finished_at is null;

create table shard (
    run text not null,
    idx integer not null,
    phase text not null,
    rev integer not null,
    priority integer not null,
    not_before real not null,
    orphans integer not null,
    state text not null,
    primary key (run, idx)
) without rowid;
create index shard_by_phase on shard (phase, priority desc, run, idx);
create index shard_orphaned on shard (run, idx) where orphans > 0;

create table task_result (
    run text not null,
    shard integer not null,
    task text not null,
    state text not null,
    primary key (run, shard, task)
) without rowid;

create table decision (id text primary key, at real not null, state text not null) without rowid;

create table audit (
    seq integer primary key,
    run text not null,
    shard integer,
    kind text not null,
    at real not null,
    actor text not null,
    detail text not null
);
create index audit_by_run on audit (run, seq);

create table cursor (region text primary key, incarnation text not null, seq integer not null) without rowid;
create table incarnation (region text primary key, incarnation text not null) without rowid;
