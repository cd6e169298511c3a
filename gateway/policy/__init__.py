"""Policy engines, and the life cycle of policy bundles. Default deny: only a complete permission allows.

`interface` is the interface of an engine; `question`, `answer`, `bundle` and `source` are what all engines
share and import no engine (a contract in pyproject.toml); `circuit_breaker` decides when to stop asking one.
`embedded` is the engine that ships with the gateway, `opa` the one that asks an OPA; `rollout` is the life
cycle of bundles.

Imports `gateway.core`, `gateway.settings` and `waypost`.
"""
