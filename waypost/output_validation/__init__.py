"""Checks outputs of tasks against the JSON Schemas that the tasks declare, in child processes.

`validator` sends one output to a process that can be killed, since a pattern of a schema can take for ever;
`worker_main` is that process's program, and `messages` has what the two say. Imports `waypost.worker_pool`.
"""
