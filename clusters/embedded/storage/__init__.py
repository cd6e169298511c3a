"""The files of an embedded cluster on disk: its journal, and the files of the shards that it runs.

`journal.py` makes the scheduler's steps durable in SQLite, `state_folder.py` lays out workspaces, scratch
folders and logs, `task_logs.py` reads logs and keeps them within a bound; `log_recorder.py` records when logs
grow, `log_times.py` has these records; both open files by `regular_files.py`, as a task may have put others
in their place. `disk_usage.py` measures the usage of each shard, `removal.py` removes folders. May import the
values of `clusters.embedded.scheduling`, `clusters.protocol`, `clusters.errors` and `waypost`.
"""
