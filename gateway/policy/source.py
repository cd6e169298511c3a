"""The source of a policy as an engine loads it: Rego modules, data, and the rules to query."""

from msgspec import Struct


class PolicySource(Struct, frozen=True, kw_only=True):
    """The source of a policy as an engine loads it: Rego modules, their data, and the rules to query.

    `modules` are (file name, text), `data` is the data document as JSON text, `entry_points` are the full
    names of the rules to evaluate. The class stands in a file of its own because the process that evaluates
    large documents needs no more of `bundle`, and starts faster without it.
    """

    modules: tuple[tuple[str, str], ...]
    data: str
    entry_points: tuple[str, ...]
