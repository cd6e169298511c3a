-- Exceptions from rules of policy; what people had done to them is among acts.

create table policy_exception (
    id text primary key,
    rev integer not null,
    tenant text not null,
    ends_at real not null,
    state text not null
) without rowid;

drop index audit_of_acts;
create index audit_of_acts on audit (seq) where kind in ('CancelRequested', 'Reopened', 'JournalReleased', 'Cordoned', 'Uncordoned', 'ForgetRequested', 'PolicyUploaded', 'PolicyShadowed', 'PolicyCanaried', 'PolicyActivated', 'PolicyRolledBack', 'ExceptionAsked', 'ExceptionApproved', 'ExceptionRevoked');
