"""The cluster that ships with us: one process that takes attempts over HTTP and runs their tasks on its host.

`main` is the process, `node` the cluster in it. `scheduling` decides, purely; `commit_loop` journals each
decision (`storage`) and only then has it carried out: `task_runner` starts and kills tries in their executors
(`executors`), `event_streams` sends events to the gateway, `garbage_collection` removes what is past its
retention, and `disk_pressure` what fills the disk. `ownership` says for which gateway's store the cluster
works. `http` puts a cluster on the network, and has the gateway's end of it. May import `clusters.protocol`,
`clusters.interface`, `clusters.errors`, `clusters.transport`, `observability` and `waypost`. Knows no tenant,
no policy and nothing of `gateway`.
"""
