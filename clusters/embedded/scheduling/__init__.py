"""The scheduler of an embedded cluster, as a state machine without I/O, clock or randomness.

`scheduler` takes calls, outcomes and the time, and returns a `scheduler_step`: records to journal and actions
to take after that. `attempt_creation` decides about create requests (`fencing`: too late or superseded),
`attempt_lifecycle` moves an `attempt` from its ready tasks (`readiness`, `launch`) to its end, `fan_out` runs
tasks with `forEach` as instances, `outcomes` decides what follows from an execution (try),
`event_reports` makes the events about it, `lease_requests` requests the run-leases of exclusive attempts,
`retention` keeps records of ended attempts, `waiting_tasks` says what tasks wait for. Imports
`clusters.protocol`, `clusters.features`, `clusters.embedded.ownership`, `clusters.embedded.capabilities`,
`clusters.embedded.queueing` and `waypost.workflow`; journal, executors and node import it.
"""
