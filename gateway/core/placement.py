"""Choosing a region: filter, score, select. Pure: the snapshot, the time and the dice come from outside."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class Condition(StrEnum):
    """A region as the gateway sees it. Only the first three take new work, DEGRADED only where nothing better is left."""

    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    """Slow, but it answers."""
    WARMING = "Warming"
    """Back from an outage: slow start."""
    EJECTED = "Ejected"
    """It answers probes, but calls fail: it serves its time out. Running shards stay."""
    UNREACHABLE = "Unreachable"
    UNKNOWN = "Unknown"
    """Not yet heard of since this gateway started."""


class RegionView(Struct, frozen=True, kw_only=True):
    """What is known of a region at one moment. `weight` in 0..1 carries slow start."""

    name: str
    condition: Condition
    free_slots: int
    peak_ewma_seconds: float
    inflight: int
    weight: float = 1.0
    queued: int = 0
    cordoned: bool = False
    executors: frozenset[str] = frozenset()
    since: float = 0.0
    """Wall-clock seconds since 1970 at which the condition began, for people."""
    reason: str = ""
    """Why the condition is what it is, for people: `3 probes failed: Timeout`."""


class Demand(Struct, frozen=True, kw_only=True):
    """What one attempt asks of a region. `spread`: shards of this run by region, where it wants spreading."""

    permitted: frozenset[str]
    wished: frozenset[str] = frozenset()
    avoid: frozenset[str] = frozenset()
    executors: frozenset[str] = frozenset()
    spread: Mapping[str, int] | None = None


class Placement(Struct, frozen=True, kw_only=True):
    """The region taken, each fitting region's score (lower is better), and why the others were not looked at."""

    region: str
    scores: dict[str, float]
    rejected: dict[str, str]


class Unplaceable(Struct, frozen=True, kw_only=True):
    """No region fits: why not, region by region."""

    rejected: dict[str, str]

    def __str__(self) -> str:
        """`0/3 regions fit: 2 not permitted by policy, 1 no free slot`."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(self.rejected.values()).most_common())
        return f"0/{len(self.rejected)} regions fit: {reasons}"
