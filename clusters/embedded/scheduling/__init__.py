"""The scheduler of one cluster as a state machine, without I/O, clock or randomness.

`scheduler` takes calls, outcomes and the time, and returns a `scheduler_step`: records to journal and actions
to take after that. It starts from a `recovered_state`. `attempt_creation` decides about creates (`fencing`:
too late or superseded; `capabilities`: can it run here), `attempt_lifecycle` moves an `attempt` from its
ready tasks (`readiness`, `ready_queue`, `launch`) to its end, `outcomes` decides what follows from a try,
`lease_requests` has the run-leases of exclusive attempts, `retention` what is kept of attempts that are over.
Imports `clusters.protocol`, `clusters.embedded.ownership` and `waypost.workflow`; journal, executors and node
import it.
"""
