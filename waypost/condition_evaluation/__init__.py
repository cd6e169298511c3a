"""Conditions (`tasks[].when`) compiled and evaluated, in processes that can be killed.

`evaluator` asks one process for many conditions, on behalf of one caller; `messages` are what goes to and
fro; `worker_main` is the process, with `expressions` in it: the only file that knows the CEL library. Imports
`waypost.workflow` and `waypost.worker_pool`.
"""
