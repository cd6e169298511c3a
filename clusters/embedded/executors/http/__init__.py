"""The executor of `http` tasks: sends one request and takes the answer as the task's output.

`run_type.py` is the type of the task's `run`. `egress.py` decides which hosts and addresses may be called,
and `checked_connections.py` connects to addresses that were checked, and to no other. `answer.py` reads the
answer within its bounds; `executor.py` runs one execution (try). Imports what its parent room may.
"""
