"""The data types that every layer of the gateway shares, and pure functions that compute with them.

They are runs (`run`), the life of a shard as a table (`shard_states`), the history of both (`history`,
`history_details`), the results that a new attempt starts from (`resume`), the waits and bounds of failover
(`failover_rules`), named workflows (`workflow_release`), automatic rollbacks (`rollback`), callers
(`principal`), policy queries and decisions (`decision`), exceptions from policy (`policy_exception`),
approvals (`approvals`), errors (`errors`), a moment on two clocks (`instant`), and local addresses
(`loopback`).

Performs no I/O and reads no clock; times and random values are passed in. Imports `gateway.settings`, the
values of `clusters.protocol`, and `waypost.workflow`.
"""
