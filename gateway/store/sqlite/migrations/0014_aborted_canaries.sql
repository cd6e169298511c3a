-- The end of a workflow's canary without a verdict is an act too: the index of acts is made anew.

drop index audit_of_acts;
create index audit_of_acts on audit (seq) where kind in ('CancelRequested', 'Reopened', 'JournalReleased', 'Cordoned', 'Uncordoned', 'ForgetRequested', 'PolicyUploaded', 'PolicyShadowed', 'PolicyCanaried', 'PolicyActivated', 'PolicyRolledBack', 'PolicyStepAsked', 'PolicyStepApproved', 'PolicyApprovalRefused', 'WorkflowApplied', 'WorkflowCanaried', 'WorkflowPromoted', 'WorkflowAborted', 'WorkflowRolledBack', 'ExceptionAsked', 'ExceptionApproved', 'ExceptionRevoked', 'ExceptionApprovalRefused');
