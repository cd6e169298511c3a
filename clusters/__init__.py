"""Adapters through which the gateway calls clusters, and the embedded cluster that ships with Waypost.

`interface.py` is the interface that the gateway calls, whatever engine is behind it; `protocol.py` has the
messages that are exchanged, `protocol_bounds.py` their bounds, `errors.py` the error `ClusterError`.
`registry.py` lists the kinds of cluster by the scheme of their URL. It wraps each adapter in a
`checked_cluster.py`, which checks what the cluster reports by `answer_checks.py`. `plugin_settings.py` reads
the settings that each kind declares. `transport.py` is an HTTP client with mutual TLS for adapters, over the
connections of `waypost/egress`; `transport_failures.py` translates the failures of its calls. Each
kind has a room (package) of its own: `embedded` is the scheduler cluster that ships with us.

Nothing here knows tenants, policy or the gateway. Imports only `waypost`, and `observability.logs` where a
cluster is a process.
"""
