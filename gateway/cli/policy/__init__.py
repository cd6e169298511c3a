"""The commands about policy rules: check, test, evaluate, compare and replay them, and build OPA's bundle.

`checks` finds every problem of a bundle, with `opa_program` where an OPA is at hand, and measures its `cost`;
`evaluation` evaluates the rules for one document. `replay` evaluates recorded policy queries again, `diff`
does so with two bundles: `corpus` reads the queries, `candidates` opens the rules, `impact` shows which
decisions change. The commands read files; only recorded queries may come from a gateway.
"""
