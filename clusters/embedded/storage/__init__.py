"""The files of an embedded cluster on disk: its journal, and the files of the shards that it runs.

`journal.py` makes the scheduler's steps durable in SQLite, `state_folder.py` lays out workspaces, scratch
folders and logs, `task_logs.py` reads logs and keeps them within a bound, `disk_usage.py` measures the usage
of each shard, `removal.py` removes folders. May import the values of `clusters.embedded.scheduling`,
`clusters.protocol`, `clusters.errors` and `waypost`.
"""
