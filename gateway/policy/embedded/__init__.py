"""The policy engine that ships with the gateway: evaluates Rego in this process, with regorus.

`engine` answers questions. `loading` checks a bundle: `gate` finds what would be answered otherwise than by
OPA, with the one list of `builtins`. `interpreter` wraps that of regorus, and evaluates what `rewriting`,
`replaced_builtins` (and `patterns`) make of the rules, where regorus differs; `inline_evaluation` has
small documents evaluated on the event loop; `interruption` ends what takes long, which `evaluation_worker`
then evaluates in a process that can be killed (`worker_main` is what runs there). `rego_tests` runs the
tests of a bundle. `syntax_tree` reads the parser's trees.

Imports the engine-neutral modules of `gateway.policy`. `gateway.policy_composition` puts it to work;
`gateway.policy.rollout` and `gateway.cli` evaluate bundles with it.
"""
