"""The life cycle of policy bundles in a gateway: uploaded, in shadow, in canary, active, rolled back.

`bundle_states` is that life cycle as a table, pure; `bundle_gate` reads and checks uploads. `rollout` makes
each change: it asks the table, writes the store and replaces the engines. `chosen_engine` routes policy
queries to the engines in use; `bundle_engines` makes an engine for a bundle. `bundle_place` takes bundles
from a file. `interface` defines the store and the upload check that the rollout needs. `gate_process` checks
uploads in a process that can be killed. Imports the engines, `gateway.core` and `waypost`.
"""
