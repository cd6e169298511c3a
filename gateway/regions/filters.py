"""Which regions fit: one function per predicate. Each returns None, or the words in which the region is refused."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from gateway.regions.region_view import TAKES_WORK, Condition, Demand, RegionView

FULL: Final = "no free slot"
"""The refusal that passes by itself, when something there ends."""

Filter: TypeAlias = Callable[[Demand, RegionView], str | None]


def permitted(demand: Demand, region: RegionView) -> str | None:
    return None if region.name in demand.permitted else "not permitted by policy"


def wished(demand: Demand, region: RegionView) -> str | None:
    return None if not demand.wished or region.name in demand.wished else "not among the wished regions"


def reachable(_: Demand, region: RegionView) -> str | None:
    if region.condition in TAKES_WORK:
        return None
    return "not heard of yet" if region.condition is Condition.UNKNOWN else region.condition.lower()


def uncordoned(_: Demand, region: RegionView) -> str | None:
    return "cordoned" if region.cordoned else None


def roomy(_: Demand, region: RegionView) -> str | None:
    return None if region.free_slots > 0 else FULL


def equipped(demand: Demand, region: RegionView) -> str | None:
    missing = demand.executors - region.executors
    return f"has no executor {', '.join(sorted(missing))}" if missing else None


def strong(demand: Demand, region: RegionView) -> str | None:
    if region.cpu is None or region.cpu >= demand.cpu:
        return None
    return f"with too few processors ({region.cpu:g}, where {demand.cpu:g} are asked for)"


FILTERS: Final[Sequence[Filter]] = (permitted, wished, reachable, uncordoned, roomy, equipped, strong)
"""In this order: the law, the wish, the state of the region, its equipment. The first refusal is the reason that is shown."""


def refusal(demand: Demand, region: RegionView) -> str | None:
    """Why `region` does not fit, or None where it does."""
    for fits in FILTERS:
        if (reason := fits(demand, region)) is not None:
            return reason
    return None


def admits(region: RegionView) -> bool:
    """Does the region take new work at all, whatever is asked of it?"""
    return region.condition in TAKES_WORK and not region.cordoned and region.free_slots > 0
