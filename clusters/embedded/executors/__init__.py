"""The executors of the embedded cluster: each runs the tasks of one type, such as `delay` or `process`.

`registry.py` lists them, `interface.py` defines their interface. `delay` waits; `process`, `docker`, `http`
and `python` have rooms (packages) of their own. `host.py` starts those that this machine can run. `output.py`
reads what a try has written as its result, `task_log.py` and `log_limits.py` are about its log.
`run_lease.py` is the time until which an exclusive attempt may run. Each executor passes
`tests/conformance/executor.py`. May import `clusters.embedded.storage`, the values `Launch` and `Outcome` of
`clusters.embedded.scheduling`, `clusters.protocol` and `waypost`.
"""
