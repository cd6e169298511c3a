"""The parts of the SQLite store about releases: workflows, and alerts with the rollbacks that followed.

`kept_workflows` keeps versions of workflows, `kept_rollbacks` alerts and rollbacks. Imports what
`gateway/store/sqlite` imports.
"""
