"""The part of Rego that the embedded engine accepts; it does not start with rules outside of it.

`constructs` checks the language, `type_check` the arguments of calls, `unknown_fields` the names in input and
data. They work on the parser's trees (`syntax_tree`), what names refer to (`scopes`), the types of values
(`types`, `type_inference`) and the functions that are permitted (`builtins`).
"""
