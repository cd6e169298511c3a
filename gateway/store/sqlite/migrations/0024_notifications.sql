-- Notifications about runs that have ended, until they are delivered or given up.

create table notification (
    id text primary key, run text not null, url text not null, phase text not null, at real not null,
    tries integer not null, due_at real not null
) without rowid;
create index notification_by_due on notification (due_at);
