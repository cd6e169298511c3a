"""Executors, which run tasks: each executes the tasks of one type; one execution is a try.

`registry.py` lists them, `interface.py` defines them. `delay` waits; `process` runs commands and has a room
of its own. `run_lease.py` is the time until which an exclusive attempt may run. Each executor passes
`tests/conformance/executor.py`.
May import `clusters.embedded.storage`, the values `Launch` and `Outcome` of `clusters.embedded.scheduling`,
`clusters.protocol` and `waypost`.
"""
