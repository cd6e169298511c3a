-- Archived runs are counted in a small index: a row of theirs has a kilobyte.

create index archived_run_count on archived_run (purged);
