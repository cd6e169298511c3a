"""Limits a server's open connections and a process's file descriptors; closes connections over the limit.

`acceptor.py` accepts connections within the limit that `connection_room.py` keeps, `tcp_progress.py` measures
how much of its answers a client has received, `tls_peer.py` identifies a client by certificate,
`descriptors.py` raises the limit of the process. Imported by
the server in `waypost` and by the processes.
"""
