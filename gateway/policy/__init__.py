"""Policy engines, and the life cycle of policy bundles. Default deny: only a complete permission allows.

`interface` is what an engine does; `question`, `answer`, `bundle` and `source` are what all engines share and
import none of them (a contract in pyproject.toml); `circuit_breaker` says when to stop asking one. `embedded`
is the engine that ships with the gateway.

Imports `gateway.core`, `gateway.settings` and `waypost`.
"""
