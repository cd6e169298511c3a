-- Tenants take turns, have bounds of their own, and find their runs without a scan.

alter table shard add column tenant text not null default '';
update shard set tenant = coalesce((select tenant from run where run.id = shard.run), '');
drop index shard_by_phase;
create index shard_by_phase on shard (phase, tenant, priority desc, run, idx);

drop index run_by_deadline;
create index run_by_deadline on run (tenant, deadline_at) where deadline_at is not null and finished_at is null;
drop index run_by_cancel;
create index run_by_cancel on run (tenant, cancel_requested_at) where cancel_requested_at is not null and finished_at is null;
create index run_by_phase on run (tenant, phase, id);

create table run_label (
    tenant text not null,
    name text not null,
    value text not null,
    run text not null,
    primary key (tenant, name, value, run)
) without rowid;
insert or ignore into run_label
    select run.tenant, label.key, label.value, run.id from run, json_each(run.state, '$.labels') as label;

-- What each tenant has open; `weight` is that of its newest run.
create table tenant_usage (
    tenant text primary key,
    runs integer not null,
    shards integer not null,
    tasks integer not null,
    weight real not null
) without rowid;
insert into tenant_usage
    select tenant, count(*), sum(state ->> '$.shard_count'), sum(state ->> '$.shard_count'), 1.0
    from run where phase not in ('Succeeded', 'Failed', 'Cancelled') group by tenant;
