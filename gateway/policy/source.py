"""What a policy engine loads: Rego modules, their data, and the rules that it will be asked for."""

from msgspec import Struct


class PolicySource(Struct, frozen=True, kw_only=True):
    """Rego modules as (file name, text), the data document as JSON text, and the full names of the rules to query.

    A file of its own, free of imports: the process that evaluates large documents needs nothing else to start.
    """

    modules: tuple[tuple[str, str], ...]
    data: str
    entry_points: tuple[str, ...]
