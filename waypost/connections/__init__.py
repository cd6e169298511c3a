"""Connections of a server, and descriptors of a process: how many there may be, and which are cut off.

`acceptor.py` accepts connections within the bound that `connection_room.py` keeps, `tcp_progress.py` measures
what a client takes of its answers, `descriptors.py` raises the limit of the process. Imported by the server
in `waypost` and by the processes.
"""
