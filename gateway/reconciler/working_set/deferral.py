"""The deferral of a run that could not be placed: until a time, or until certain regions take work."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Deferral:
    """The deferral of a run that could not be placed: other runs' shards are placed before its own.

    Until `until`, or until a region of `regions` takes work again.
    """

    regions: frozenset[str]
    until: float
    """The end of the deferral, in monotonic seconds."""
