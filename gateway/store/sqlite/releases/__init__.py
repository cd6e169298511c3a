"""The parts of the SQLite store about releases: released workflows, and alerts with rollbacks.

`kept_workflows` keeps versions of workflows, `kept_rollbacks` alerts and the rollbacks that followed. Imports
what `gateway/store/sqlite` imports.
"""
