"""The executor of `python` tasks: calls functions of installed packages in warm worker processes.

`run_type.py` is the type of the task's `run`, `settings.py` says which packages may be called. `worker.py` is
a program, which runs in each worker process; `worker_process.py` starts and kills one, `worker_pool.py`
decides which one serves a try, and that none serves two tenants. `executor.py` runs one execution (try).

Imports what its parent room may, and the watchdog and the leftovers of `process`; `worker.py` only the
standard library, since its interpreter may be that of another environment.
"""
