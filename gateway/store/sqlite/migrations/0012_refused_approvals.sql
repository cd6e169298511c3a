-- Approvals that are refused, since one is no second pair of eyes, are among acts.

drop index audit_of_acts;
create index audit_of_acts on audit (seq) where kind in ('CancelRequested', 'Reopened', 'JournalReleased', 'Cordoned', 'Uncordoned', 'ForgetRequested', 'PolicyUploaded', 'PolicyShadowed', 'PolicyCanaried', 'PolicyActivated', 'PolicyRolledBack', 'PolicyStepAsked', 'PolicyStepApproved', 'PolicyApprovalRefused', 'ExceptionAsked', 'ExceptionApproved', 'ExceptionRevoked', 'ExceptionApprovalRefused');
