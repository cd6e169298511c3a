"""The conditions of a region, as the gateway finds them, and the taints that an operator can set on it.

A condition is what the gateway finds out by itself; a taint is what a person sets, and stays until it is
removed.
"""

from enum import StrEnum
from typing import Final


class RegionCondition(StrEnum):
    """How well a region serves, as this gateway has found out by probes and calls (`health.condition_of`)."""

    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    """The region is slow but answers: it takes new work only where no faster region fits."""
    WARMING = "Warming"
    """The region is back from an outage or ejection: its share of new work grows (Envoy's slow start)."""
    EJECTED = "Ejected"
    """The region answers probes but fails calls: no new work for a time, shards stay (Envoy's ejection)."""
    UNREACHABLE = "Unreachable"
    """The region answers no probes."""
    UNKNOWN = "Unknown"
    """The region has answered no probe yet since this gateway started."""

    @property
    def reachable(self) -> bool:
        """Whether the region answers its probes, so that calls are sent to it and its attempts stay there."""
        return self not in _SILENT

    @property
    def ready(self) -> bool:
        """Whether the region may get new work: it is reachable and not ejected."""
        return self in _READY


_SILENT: Final = frozenset({RegionCondition.UNREACHABLE, RegionCondition.UNKNOWN})
_READY: Final = frozenset(RegionCondition) - _SILENT - {RegionCondition.EJECTED}


class Taint(StrEnum):
    """A mark that an operator sets on a region: cordoned, or forgotten.

    The enum's values are stored, and are the names of the commands that set them.
    """

    CORDONED = "cordon"
    """The region gets no new work; attempts that run there finish (`cordon`)."""
    FORGOTTEN = "forget"
    """The region is given up for good (`forget`): the gateway no longer waits for anything there.

    This ends when the region answers again. The blackout guard does not count a forgotten region.
    """
