"""The executor of `http` tasks: sends one request and takes the answer as the task's output.

`run_type.py` is the type of the task's `run`. `answer.py` reads the answer within its bounds; `executor.py`
runs one execution (try), over connections of `waypost/egress`, which lead only to hosts that may be called.
Imports what its parent room may.
"""
