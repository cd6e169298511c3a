-- What people had done is listed without a scan of all history.

create index audit_of_acts on audit (seq) where kind in ('CancelRequested', 'Reopened', 'JournalReleased', 'Cordoned', 'Uncordoned', 'ForgetRequested');
