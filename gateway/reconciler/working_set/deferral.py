"""The type of a run's deferral: the time, or the regions, that a run waits for after it was not placed."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Deferral:
    """The deferral of a run that could not be placed: shards of other runs are placed first.

    It lasts until `until`, or until a region of `regions` takes work again.
    """

    regions: frozenset[str]
    until: float
    """The end of the deferral, in monotonic seconds."""
