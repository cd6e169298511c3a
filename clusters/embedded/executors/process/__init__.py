"""The executor of `process` tasks: runs each task's command, and ends every process that it started.

`executor.py` runs one execution (try) from start to end. `process_spec.py` describes its process,
`process_start.py` starts it (within `memory_limit.py`), `child_exit.py` waits for it. `termination.py` ends
it: SIGTERM, then SIGKILL, then `leftovers.py` for the processes that have left its process group.
`sandbox/` confines it where the machine can, `workspace_bounds.py` bounds its files, `outcome.py` says how it
failed.

`watchdog.py` is a program, not a module of the cluster: a watchdog process kills all tries when the cluster
itself is killed (`watchdog_client.py`), and one guard process for each exclusive try kills that try when its
lease expires (`lease_guard.py`).

Imports what its parent room may; `watchdog.py` only the standard library.
"""
