"""The conditions that a region can be in, and the taints that an operator can set on it.

A condition is what the gateway finds out by itself; a taint is what a person says, and stays until it is
taken away.
"""

from enum import StrEnum
from typing import Final


class RegionCondition(StrEnum):
    """How well a region serves, as this gateway sees it. `health.condition_of` decides which one holds."""

    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    """Slow, but it answers: takes new work only where no faster region fits."""
    WARMING = "Warming"
    """Back from an outage or an ejection: slow start, as Envoy calls it. It takes a growing share of new
    work."""
    EJECTED = "Ejected"
    """It answers probes, but calls fail (Envoy's outlier ejection): no new work for a time. Running shards
    stay."""
    UNREACHABLE = "Unreachable"
    """It answers no probes."""
    UNKNOWN = "Unknown"
    """It has answered no probe yet since this gateway started."""

    @property
    def reachable(self) -> bool:
        """The region answers its probes, so its attempts can be asked about and batches can be sent."""
        return self not in _SILENT

    @property
    def ready(self) -> bool:
        """The region may get new work, as a Kubernetes node that is Ready: it is reachable and not
        ejected."""
        return self in _READY


_SILENT: Final = frozenset({RegionCondition.UNREACHABLE, RegionCondition.UNKNOWN})
_READY: Final = frozenset(RegionCondition) - _SILENT - {RegionCondition.EJECTED}


class Taint(StrEnum):
    """What an operator may mark a region with, after the taints of Kubernetes' nodes; no workflow tolerates
    one.

    The values are stored, and are the names of the commands that set them.
    """

    CORDONED = "cordon"
    """No new work; what runs there finishes."""
    FORGOTTEN = "forget"
    """Gone for good: nothing there is waited for until it answers again, and the blackout guard does not
    count it."""
