"""What leaves a store in SQLite once it is archived: ended runs, and the oldest part of the audit trail.

`archived_runs` takes runs out and deletes rows bit by bit, `archived_trail` does so with the trail;
`trail_mark` says how far that has left, and `deletion_budget` how much one commit deletes. Imports what
`gateway/store/sqlite` imports.
"""
