"""Policy decides what callers may do. Anything but a complete permission from the rules is a refusal.

`interface` is what an engine does; `question`, `answer`, `bundle` and `source` are what all engines share and
import none of them (a contract in pyproject.toml). `embedded` is the engine that ships with the gateway.

Imports `gateway.core`, `gateway.settings` and `waypost`.
"""
