-- Steps with policy bundles that others must approve are among acts.

drop index audit_of_acts;
create index audit_of_acts on audit (seq) where kind in ('CancelRequested', 'Reopened', 'JournalReleased', 'Cordoned', 'Uncordoned', 'ForgetRequested', 'PolicyUploaded', 'PolicyShadowed', 'PolicyCanaried', 'PolicyActivated', 'PolicyRolledBack', 'PolicyStepAsked', 'PolicyStepApproved', 'ExceptionAsked', 'ExceptionApproved', 'ExceptionRevoked');
