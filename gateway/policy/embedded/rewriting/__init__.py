"""Changes of Rego rules' text after which the embedded engine evaluates them as OPA does, and faster.

`rules.py` makes every change but that of names (`short_names.py`). `missing_values.py` finds what may be
undefined inside an expression.
"""
