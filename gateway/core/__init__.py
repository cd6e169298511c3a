"""The data types that every layer of the gateway shares, and pure functions that compute with them.

Runs (`run.py`), the life of a shard as a table (`shard_states.py`), their history (`history.py`), the results
that a new attempt starts from (`resume.py`), the waits and bounds of failover (`failover_rules.py`), callers
(`principal.py`), questions to policy and its decisions (`decision.py`), refusals (`errors.py`), and a moment
on two clocks (`instant.py`). No I/O, no clock, no randomness: what comes from outside is passed in.
Imports `gateway.settings`, the values of `clusters.protocol`, and `waypost.workflow`.
"""
