"""Policy engines, and the life cycle of policy bundles. Default deny: only a complete permission allows.

`interface` is the interface of an engine. `embedded` is the engine that ships with the gateway, `opa` the one
that asks an OPA; `circuit_breaker` decides when to stop asking an engine. `rollout` is the life cycle of
bundles. All other modules import no engine (a contract in pyproject.toml): `bundle` reads a bundle, and
`source` has its parts that engines load; `question` encodes policy queries, with `all_tasks` of a document,
`answer` parses the answers of the rules, `decisions` makes decisions of them, and `enforcement` applies the
levels of rules. `masking` and `fault_texts` remove values from what is recorded, `replay` asks recorded
queries again, and `flips` compares the decisions.

Imports `gateway.core`, `gateway.settings` and `waypost`.
"""
