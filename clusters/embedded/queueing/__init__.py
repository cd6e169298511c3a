"""The queue of an embedded cluster's ready tasks: which starts next, and why the others wait. Pure.

`task_queue` is what the scheduler calls. A `ready_queue` serves fairness keys (tenants) in turn; in each a
`key_queue` orders the key's tasks by one of the `policies`, and lets none of them starve. `admission` holds
back tasks for which a semaphore or a rate has no place (`semaphores`, `token_buckets`); none starts without
free processors and memory (`capacity`). `unacknowledged_events` holds back a key whose events pile up before
the gateway. Imports `clusters.protocol`, `clusters.task_waits` and `waypost.workflow`;
`clusters.embedded.scheduling` and the node import it.
"""
