-- The policy bundles that were uploaded, with where each stands; and what people had done to policy among acts.

create table policy_rollout (id integer primary key check (id = 1), generation integer not null, state text not null);
create table policy_bundle (sequence integer primary key, archive blob not null);

drop index audit_of_acts;
create index audit_of_acts on audit (seq) where kind in ('CancelRequested', 'Reopened', 'JournalReleased', 'Cordoned', 'Uncordoned', 'ForgetRequested', 'PolicyUploaded', 'PolicyShadowed', 'PolicyCanaried', 'PolicyActivated', 'PolicyRolledBack');
