"""Compiles and evaluates conditions (`tasks[].when`, in CEL) in child processes that can be killed.

`evaluator` asks one process for many conditions, on behalf of one caller; `messages` are what goes to and
fro; `worker_main` is the process, with `expressions` in it: the only file that knows the CEL library.
`syntax_tree` reads a compiled condition (`protobuf_messages`) and has texts checked (`strict_texts`) where
the library is laxer than CEL. Imports `waypost.worker_pool`.
"""
