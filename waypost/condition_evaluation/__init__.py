"""Compiles and evaluates conditions (`tasks[].when`, in CEL) in child processes that can be killed.

`evaluator` sends many conditions to one process, on behalf of one caller; `messages` has the types of the
requests and replies; `worker_main` is the process's program, with `expressions` in it: the only file that
imports the CEL library. `syntax_tree` reads a compiled condition (`protobuf_messages`) and adds checks of
strings (`strict_texts`) where the library is laxer than CEL. Imports `waypost.worker_pool`.
"""
