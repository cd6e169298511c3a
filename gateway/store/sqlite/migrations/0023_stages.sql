-- Stages of a run: `staged` where it has shards of its own for `collect` or `finally`; both times are of `finally`.

alter table run add column staged integer not null default 0;
alter table run add column finally_deadline_at real;
alter table run add column finally_cancelled_at real;
create index run_by_finally_deadline on run (tenant, finally_deadline_at) where finally_deadline_at is not null and finished_at is null;
