"""Policy: asks whether a caller may do something, and takes no for the answer unless the rules say a complete
yes.

`interface` is what an engine does; `question`, `answer`, `bundle` and `source` are what all engines share and
import none of them (a contract in pyproject.toml). `embedded` is the engine that ships with us.

Imports `gateway.core`, `gateway.settings` and `waypost`.
"""
