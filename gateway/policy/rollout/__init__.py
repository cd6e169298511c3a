"""The life cycle of policy bundles in a gateway: uploaded, in shadow, in canary, active, rolled back.

`bundle_states` is that life as a table, pure; `bundle_gate` reads and checks what is uploaded. `rollout`
takes each step: it asks the table, writes the store and changes what decides. `chosen_engine` stands in front
of all engines; `bundle_engines` makes one for a bundle. `bundle_place` takes bundles from a file. `interface`
is what is needed of others. `gate_process` has uploads checked where that can be killed. Imports the
engines, `gateway.core` and `waypost`.
"""
