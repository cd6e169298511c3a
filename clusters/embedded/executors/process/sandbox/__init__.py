"""The sandbox of `process` tasks: namespaces of their own, made by bubblewrap, with limits inside.

`probe.py` finds out, at the start of a cluster, whether this machine can make one. `command_line.py` builds
the command line of bubblewrap: what a task sees. `etc_view.py` makes the `/etc` that it sees, `task_user.py`
chooses its user, `call_filter.py` builds the filter of its system calls. `start_script.py` builds the script
that runs first inside: it sets the limits and the environment, and then is the task's command.
`init_process.py` finds and awaits the first process of a sandbox, whose end is the end of all its processes;
`shared_memory.py` measures what these share. `confinement.py` is the sandbox of one try.
"""
