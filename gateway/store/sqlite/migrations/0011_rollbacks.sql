-- Alerts as they were sent, settled once nothing more is to do about them; and the rollbacks that followed.

create table alert (
    id integer primary key,
    group_key text not null,
    fingerprint text not null,
    starts_at text not null,
    settled integer not null,
    state text not null,
    unique (group_key, fingerprint, starts_at)
);
create index open_alerts on alert (id) where settled = 0;

create table released_rollback (
    id integer primary key,
    rev integer not null,
    kind text not null,
    released text not null,
    acted integer not null,
    state text not null
);
create unique index one_rollback_a_release on released_rollback (kind, released) where acted = 1;
