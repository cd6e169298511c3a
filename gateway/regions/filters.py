"""Which regions fit: one function per predicate. Each returns None, or the words in which the region is refused."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from gateway.regions.region_condition import RegionCondition
from gateway.regions.region_view import Demand, RegionView

NO_FREE_SLOT: Final = "no free slot"
"""The refusal that passes by itself, when something there ends."""


def why_closed(region: RegionView) -> str | None:
    """Why the region takes no new work at all, whatever is asked of it; None where it takes some."""
    if not region.condition.ready:
        unknown = region.condition is RegionCondition.UNKNOWN
        return "not heard of yet" if unknown else region.condition.lower()
    if region.cordoned:
        return "cordoned"
    return None if region.free_slots > 0 else NO_FREE_SLOT


def takes_work(region: RegionView) -> bool:
    """Whether the region takes new work at all, whatever is asked of it."""
    return why_closed(region) is None


Filter: TypeAlias = Callable[[Demand, RegionView], str | None]


def permitted(demand: Demand, region: RegionView) -> str | None:
    return None if region.name in demand.permitted else "not permitted by policy"


def wished(demand: Demand, region: RegionView) -> str | None:
    return None if not demand.wished or region.name in demand.wished else "not among the wished regions"


def open_for_work(_: Demand, region: RegionView) -> str | None:
    return why_closed(region)


def equipped(demand: Demand, region: RegionView) -> str | None:
    missing = demand.executors - region.executors
    return f"has no executor {', '.join(sorted(missing))}" if missing else None


def strong(demand: Demand, region: RegionView) -> str | None:
    if region.cpu is None or region.cpu >= demand.cpu:
        return None
    return f"with too few processors ({region.cpu:g}, where {demand.cpu:g} are asked for)"


FILTERS: Final[Sequence[Filter]] = (permitted, wished, open_for_work, equipped, strong)
"""In this order: the law, the wish, the state of the region, its equipment. The first refusal is the reason that is shown."""


def refusal(demand: Demand, region: RegionView) -> str | None:
    """Why `region` does not fit, or None where it does."""
    for fits in FILTERS:
        if (reason := fits(demand, region)) is not None:
            return reason
    return None
