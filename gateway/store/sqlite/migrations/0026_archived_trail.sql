-- That the oldest part of the audit trail was archived is among acts; and how many entries are under its seals.

drop index audit_of_acts;
create index audit_of_acts on audit (seq) where kind = 'CancelRequested' or kind = 'Reopened' or kind = 'JournalReleased' or kind = 'Cordoned' or kind = 'Uncordoned' or kind = 'ForgetRequested' or kind = 'RoutingApplied' or kind = 'RoutingRolledBack' or kind = 'PolicyUploaded' or kind = 'PolicyShadowed' or kind = 'PolicyCanaried' or kind = 'PolicyActivated' or kind = 'PolicyRolledBack' or kind = 'PolicyStepAsked' or kind = 'PolicyStepApproved' or kind = 'PolicyApprovalRefused' or kind = 'BundleRefused' or kind = 'WorkflowApplied' or kind = 'WorkflowCanaried' or kind = 'WorkflowPromoted' or kind = 'WorkflowAborted' or kind = 'WorkflowRolledBack' or kind = 'DeploymentRolledBack' or kind = 'ExceptionAsked' or kind = 'ExceptionApproved' or kind = 'ExceptionRevoked' or kind = 'ExceptionApprovalRefused' or kind = 'BackupRestored' or kind = 'TrailArchived';

insert into meta select 'sealed_entries', coalesce(sum(json_array_length(state, '$.entries')), 0) from seal;
create index archived_run_by_time on archived_run (state ->> '$.archived_at') where purged = 1;
create index exception_by_end on policy_exception (state ->> '$.expires_at');
