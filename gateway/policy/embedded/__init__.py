"""The policy engine that ships with the gateway: evaluates Rego in this process, with regorus.

`engine` answers questions. `loading` checks a bundle: `gate` finds rules that regorus evaluates otherwise
than OPA, with the one list of `builtins`. `interpreter` wraps that of regorus, and evaluates the rules as
`rewriting` and `replaced_builtins` have changed them, where regorus differs, under short names, which it
evaluates more quickly. `inline_evaluation` evaluates small documents on the event
loop; `interruption` ends evaluations that take long, which `evaluation_worker` then repeats in a process that
can be killed (`worker_main` is its program). `rego_tests` runs the tests of a bundle. `syntax_tree` reads the
parser's trees.

Imports the engine-neutral modules of `gateway.policy`. `gateway.composition.policy` builds it;
`gateway.policy.rollout` and `gateway.cli` evaluate bundles with it.
"""
