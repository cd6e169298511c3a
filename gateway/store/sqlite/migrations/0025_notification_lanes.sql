-- Whose a notification is, and to which host: hosts that are slow, and tenants with many, delay no others.

alter table notification add column tenant text not null default '';
alter table notification add column host text not null default '';

update notification set
    tenant = coalesce((select tenant from run where run.id = notification.run), ''),
    host = lower(substr(url, instr(url, '://') + 3));
update notification set host = substr(host, 1, instr(host || '/', '/') - 1);
update notification set host = substr(host, 1, instr(host || '?', '?') - 1);
update notification set host = substr(host, 1, instr(host || '#', '#') - 1);
update notification set host = substr(host, 1, instr(host || ':', ':') - 1);

drop index notification_by_due;
create index notification_by_lane on notification (tenant, host, tries, due_at);
