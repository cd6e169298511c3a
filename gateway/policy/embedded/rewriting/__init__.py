"""Changes of Rego rules' text after which the embedded engine evaluates them as OPA does, and faster.

`rules.py` makes every change but three: object patterns (`object_patterns.py`), names (`short_names.py`), and
one module out of several (`joined_modules.py`).
`missing_values.py` finds what may be undefined inside an expression.
"""
