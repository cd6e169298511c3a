"""The commands about policy rules: check, test, evaluate, compare and replay them, and build OPA's bundle.

`checks` finds every problem of a bundle, with `opa_program` where an OPA is at hand, and measures its `cost`;
`evaluation` answers one question. `replay` asks recorded questions again, `diff` asks two bundles: `corpus`
reads the questions, `candidates` opens the rules, `impact` shows what changed. But for what a gateway has
recorded they read files alone.
"""
