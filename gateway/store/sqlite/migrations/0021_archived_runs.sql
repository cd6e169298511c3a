-- Runs whose records are in an archive, and, until all of their rows are deleted, that this is to be done.

create table archived_run (
    id text primary key,
    tenant text not null,
    purged integer not null,
    state text not null
) without rowid;
create index archived_run_to_purge on archived_run (id) where purged = 0;
create index run_by_end on run (finished_at) where finished_at is not null;
