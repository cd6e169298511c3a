"""The API call that reads the log of a task from the region in which it ran.

`task_log.py` is the handler: it chooses the attempt, and where in its log to begin (`selection.py`: the last
lines, those since a time). `reading.py` reads one attempt's log from a cluster, `following.py` those of one
attempt after another. `lines.py` sends them, `line_forms.py` puts times before lines, here and on the command
line. May import what `gateway/api` may.
"""
