"""The policy engine of record: asks a real OPA, over HTTP or a Unix socket; all but a clear answer refuses.

`engine` answers questions. `client` is the OPA client of the outside, made strict; `address` reads where OPA
is, `reply` what it answers, `breaker` says when to stop asking. `bundle_archive` packs rules as OPA loads
them.

Imports the engine-neutral modules of `gateway.policy`, and is imported by `gateway.app` and `gateway.cli`
alone.
"""
