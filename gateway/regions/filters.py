"""Decides which regions can take an attempt: one function for each requirement on a region.

Each function returns None if the region meets the requirement, else the reason for a refusal, which users
see.
"""

from typing import Final

from msgspec import structs

from gateway.documents.workflow import ANY_ENGINE
from gateway.regions.placement_demand import Demand
from gateway.regions.region_condition import RegionCondition, Taint
from gateway.regions.region_view import RegionView

NO_FREE_SLOT: Final = "no free slot"
"""The refusal text of a region without a free slot."""
SHARING: Final = frozenset({"process"})
"""The executors whose tasks could reach those of other tenants in a region that isolates nothing."""
NO_SHARE: Final = "no slot left for the tenant"
"""The refusal text of a region where the tenant has used up its share of the slots.

It holds until attempts of the tenant end there, or more slots are free.
"""


def why_closed(region: RegionView) -> str | None:
    """Returns why the region takes no new work of any kind; None if it takes new work."""
    if not region.condition.ready:
        unknown = region.condition is RegionCondition.UNKNOWN
        return "not heard of yet" if unknown else region.condition.lower()
    if region.cordoned:
        return "cordoned" if Taint.CORDONED in region.taints else "cordoned by the routing"
    return None if region.free_slots > 0 else NO_FREE_SLOT


def takes_work(region: RegionView) -> bool:
    """Returns whether the region takes new work of any kind; an Ejected region does, as a last resort."""
    return why_closed(as_last_resort(region)) is None


def as_last_resort(region: RegionView) -> RegionView:
    """Returns an Ejected region's view with the condition Warming, for work that fits in no other region.

    Returns any other view unchanged.
    """
    if region.condition is not RegionCondition.EJECTED:
        return region
    return structs.replace(region, condition=RegionCondition.WARMING)


TRIED_THERE: Final = "where a shard that may have ended other regions is tried first"
"""The refusal text of a region where a possibly poisonous shard is on trial.

It passes by itself when that shard has ended its trial.
"""


def apart_from_trials(demand: Demand, region: RegionView) -> str | None:
    return TRIED_THERE if region.name in demand.apart_from else None


def permitted_by_policy(demand: Demand, region: RegionView) -> str | None:
    return None if region.name in demand.permitted else "not permitted by policy"


def requested_by_workflow(demand: Demand, region: RegionView) -> str | None:
    if not demand.requested or region.name in demand.requested:
        return None
    return "not among the wished regions"


def of_engine(demand: Demand, region: RegionView) -> str | None:
    return None if demand.engine in (ANY_ENGINE, region.engine) else f"not of the engine {demand.engine}"


def within_share(demand: Demand, region: RegionView) -> str | None:
    return NO_SHARE if region.name in demand.used_up else None


def has_executors(demand: Demand, region: RegionView) -> str | None:
    if missing := demand.executors.difference(region.executors):
        return f"has no executor {', '.join(sorted(missing))}"
    # A cluster that does not report them refuses the shard itself, which fails then.
    if not demand.exclusive or region.exclusive_executors is None:
        return None
    missing = demand.executors.difference(region.exclusive_executors)
    return f"runs {', '.join(sorted(missing))} without run-leases" if missing else None


def has_features(demand: Demand, region: RegionView) -> str | None:
    missing = demand.features.difference(region.features)
    return f"its cluster cannot do {', '.join(sorted(missing))} yet" if missing else None


def has_processors(demand: Demand, region: RegionView) -> str | None:
    cpu = region.cpu
    if cpu is None or cpu >= demand.cpu:
        return None  # a cluster that does not report its processors refuses the task itself if it has too few
    return f"with too few processors ({cpu:g}, where {demand.cpu:g} are asked for)"


def has_memory(demand: Demand, region: RegionView) -> str | None:
    mib = region.memory_mib
    if mib is None or mib >= demand.memory_mib:
        return None
    return f"with too little memory ({mib} MiB, where {demand.memory_mib} are asked for)"


def beside_other_tenants(demand: Demand, region: RegionView) -> str | None:
    others = set(region.tenants or ()) - {demand.tenant}
    if not demand.tenant or not others or not SHARING & demand.executors:
        return None
    return "has no sandbox, and works for another tenant"


def can_serve(demand: Demand, region: RegionView) -> bool:
    """Returns whether the region can take attempts with this demand, whether or not a slot is free now."""
    return (
        region.condition.ready
        and not region.cordoned
        and permitted_by_policy(demand, region) is None
        and requested_by_workflow(demand, region) is None
        and of_engine(demand, region) is None
        and has_executors(demand, region) is None
        and has_features(demand, region) is None
        and has_processors(demand, region) is None
        and has_memory(demand, region) is None
        and beside_other_tenants(demand, region) is None
    )


def refusal(demand: Demand, region: RegionView) -> str | None:
    """Returns the reason why the region cannot take an attempt with this demand now; None if it can.

    The first reason found is returned, in this order: policy, the workflow's wish, its engine, the region's
    state, the tenant's share, trials, executors, features, processors,
    memory, other tenants.
    """
    return (
        permitted_by_policy(demand, region)
        or requested_by_workflow(demand, region)
        or of_engine(demand, region)
        or why_closed(region)
        or within_share(demand, region)
        or apart_from_trials(demand, region)
        or has_executors(demand, region)
        or has_features(demand, region)
        or has_processors(demand, region)
        or has_memory(demand, region)
        or beside_other_tenants(demand, region)
    )
