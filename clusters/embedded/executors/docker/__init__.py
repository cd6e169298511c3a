"""The executor of `docker` tasks: runs each try in a container of a Docker Engine or of podman.

`run_type.py` is the type of the task's `run`. `container.py` describes the container of a try, `engine.py`
calls the engine over its socket, `container_log.py` copies what the container prints into the task's log.
`executor.py` runs one execution (try) from start to end. `reaper.py` removes what is left: containers of an
earlier cluster, and of tries that ended while the engine did not answer. `watchdog.py` is a program: it
removes the containers when the cluster itself is killed (`watchdog_client.py`).

Imports what its parent room may, and the watching of children from `process`; `watchdog.py` only the standard
library.
"""
