"""Adapters through which the gateway talks to a cluster, and the cluster that ships with us.

`interface.py` is what the gateway asks of a cluster, whatever engine is behind it; `protocol.py` has the
values that are exchanged, `protocol_bounds.py` their bounds, `errors.py` the one error. `transport.py` is the
HTTP client that adapters share, over the connections of `bounded_connections.py`; `transport_failures.py`
says why a call failed, `answer_checks.py` checks what a cluster says. `registry.py` lists the kinds of
clusters by the scheme of their URL; `plugin_settings.py` reads the settings that each declares. Each kind has
a room of its own: `embedded` is the scheduler cluster that ships with us.

Knows no tenant, no policy and nothing of the gateway. Imports only `waypost`, and `observability.logs` where
a cluster is a process.
"""
