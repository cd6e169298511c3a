"""Limits the connections of a server and the file descriptors of a process, and closes connections over them.

`acceptor.py` accepts connections within the bound that `connection_room.py` keeps, `tcp_progress.py` measures
what a client takes of its answers, `descriptors.py` raises the limit of the process. Imported by the server
in `waypost` and by the processes.
"""
