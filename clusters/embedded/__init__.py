"""The embedded cluster: one process that takes attempts over HTTP and runs their tasks on its own machine.

`main` is the process, `node` the cluster in it. `scheduling` decides, purely; `commit_loop` writes each
decision to the journal (`storage`) and only then has it carried out: `task_runner` starts and kills tasks in
their executors (`executors`), `event_streams` sends events to the gateway, `garbage_collection` removes what
is past its retention, and `disk_pressure` evicts the shards that fill the disk. `ownership` decides for which
gateway's store the cluster works, `capabilities` whether it can run a run's tasks.
`http` has the HTTP server of the cluster and the gateway's client for it.
May import `clusters.protocol`, `clusters.interface`, `clusters.errors`, `clusters.transport`, `observability`
and `waypost`. Nothing here knows tenants, policy or `gateway`.
"""
