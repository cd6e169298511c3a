"""The policy engine that ships with the gateway: Rego evaluated in this process by regorus.

`engine` answers questions. `compilation` checks and compiles a bundle, `evaluator` wraps the two evaluators
of regorus, `evaluation_worker` evaluates large documents in a process that can be killed (`worker_main` is
what runs there), `rego_tests` runs the tests of a bundle. `subset` decides which Rego the engine accepts.

Imports the engine-neutral modules of `gateway.policy`, and is imported by `gateway.app` and `gateway.cli`
alone.
"""
