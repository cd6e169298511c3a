"""Adapters through which the gateway calls clusters, and the embedded cluster that ships with Waypost.

`interface.py` is the interface that the gateway calls, whatever engine is behind it; `protocol.py` has the
messages that are exchanged, `protocol_bounds.py` their bounds, `errors.py` the error `ClusterError`.
`transport.py` is the HTTP client that adapters share, over the connections of `bounded_connections.py`;
`transport_failures.py` translates the failures of calls, `answer_checks.py` checks a cluster's answers.
`registry.py` lists the kinds of cluster by the scheme of their URL; `plugin_settings.py` reads the settings
that each kind declares. Each kind has a room (package) of its own: `embedded` is the scheduler cluster that
ships with us.

Nothing here knows tenants, policy or the gateway. Imports only `waypost`, and `observability.logs` where a
cluster is a process.
"""
