-- Released workflows with the documents of their versions; what people had done with them is among acts.

create table released_workflow (
    tenant text not null,
    name text not null,
    rev integer not null,
    state text not null,
    primary key (tenant, name)
) without rowid;

create table workflow_version (
    tenant text not null,
    name text not null,
    number integer not null,
    document blob not null,
    primary key (tenant, name, number)
);

drop index audit_of_acts;
create index audit_of_acts on audit (seq) where kind in ('CancelRequested', 'Reopened', 'JournalReleased', 'Cordoned', 'Uncordoned', 'ForgetRequested', 'PolicyUploaded', 'PolicyShadowed', 'PolicyCanaried', 'PolicyActivated', 'PolicyRolledBack', 'PolicyStepAsked', 'PolicyStepApproved', 'PolicyApprovalRefused', 'WorkflowApplied', 'WorkflowCanaried', 'WorkflowPromoted', 'WorkflowRolledBack', 'ExceptionAsked', 'ExceptionApproved', 'ExceptionRevoked', 'ExceptionApprovalRefused');
