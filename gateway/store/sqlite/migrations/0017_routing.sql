-- The routing revisions of the gateway, all in one row; what people had done with them is among acts.

create table routing (
    id integer primary key check (id = 1),
    rev integer not null,
    state text not null
);

drop index audit_of_acts;
create index audit_of_acts on audit (seq) where kind = 'CancelRequested' or kind = 'Reopened' or kind = 'JournalReleased' or kind = 'Cordoned' or kind = 'Uncordoned' or kind = 'ForgetRequested' or kind = 'RoutingApplied' or kind = 'RoutingRolledBack' or kind = 'PolicyUploaded' or kind = 'PolicyShadowed' or kind = 'PolicyCanaried' or kind = 'PolicyActivated' or kind = 'PolicyRolledBack' or kind = 'PolicyStepAsked' or kind = 'PolicyStepApproved' or kind = 'PolicyApprovalRefused' or kind = 'WorkflowApplied' or kind = 'WorkflowCanaried' or kind = 'WorkflowPromoted' or kind = 'WorkflowAborted' or kind = 'WorkflowRolledBack' or kind = 'ExceptionAsked' or kind = 'ExceptionApproved' or kind = 'ExceptionRevoked' or kind = 'ExceptionApprovalRefused';
