"""A region as a decision sees it, and what an attempt asks of one. Snapshots: whoever plans passes them in."""

from collections.abc import Mapping

from msgspec import Struct

from gateway.regions.region_condition import RegionCondition


class RegionView(Struct, frozen=True, kw_only=True):
    """What is known of a region at one moment. `weight` above 0 is its share: the operator's times that of slow start."""

    name: str
    condition: RegionCondition
    free_slots: int
    peak_ewma_seconds: float
    inflight: int
    weight: float = 1.0
    queued: int = 0
    """Tasks there that are ready and wait for a processor."""
    cordoned: bool = False
    forgotten: bool = False
    executors: frozenset[str] = frozenset()
    cpu: float | None = None
    """Its processors; None where its cluster does not say."""
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
    cpu: float = 0.0
    """What its largest task takes."""
    spread: Mapping[str, int] | None = None
