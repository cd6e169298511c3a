"""The command `waypost logs`: prints what tasks have written, read from the regions in which they ran.

`logs.py` is the command; `log_choices.py` chooses the shard and checks the task. `log_request.py` reads one
task's log from the gateway, `following.py` follows one as it grows, `all_logs.py` prints or follows those of
all tasks. Each talks to a gateway over its HTTP API, with what the commands share in `gateway/cli`.
"""
