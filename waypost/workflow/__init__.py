"""The language of workflow documents, shared by the gateway, which checks them, and the clusters.

`task` has the types of a task, `run_types` the types of `run` for the executors that ship with us (an
executor that is added has its own type in its own room), `conditions` checks the text of conditions (CEL),
`placeholders` fills placeholders in, `graph` sorts the DAG, `ijson_limits` has the limits of I-JSON.
Everything is pure (no I/O, no clock).
"""
