"""The parts of the SQLite store about releases: released workflows, routing, and alerts with rollbacks.

`kept_workflows` keeps versions of workflows, `kept_routing` those of the routing, `kept_rollbacks` alerts and
the rollbacks that followed. Imports what `gateway/store/sqlite` imports.
"""
