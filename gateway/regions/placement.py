"""Chooses a region for an attempt: filter, score, select, as the Kubernetes scheduler does."""

from collections import Counter
from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from gateway.regions.filters import as_last_resort, can_serve, refusal
from gateway.regions.placement_demand import Demand
from gateway.regions.region_view import RegionView
from gateway.regions.scores import score, tier, why_outranked
from gateway.settings import PlacingSettings


class Placement(Struct, frozen=True, kw_only=True):
    """The result of `place` if a region fits: the region, all scores, and the reasons against others."""

    region: str
    scores: dict[str, float]
    rejected: dict[str, str]


class Unplaceable(Struct, frozen=True, kw_only=True):
    """The result of `place` if no region fits: the reason against each region, by name."""

    rejected: dict[str, str]

    def __str__(self) -> str:
        """Formats the result as a sentence: `0/3 regions fit: 2 not permitted by policy, 1 no free slot`."""
        reasons = ", ".join(
            f"{count} {reason}" for reason, count in Counter(self.rejected.values()).most_common()
        )
        return f"0/{len(self.rejected)} regions fit: {reasons}"


def place(
    demand: Demand,
    regions: Sequence[RegionView],
    *,
    choose: Callable[[Sequence[str]], str],
    settings: PlacingSettings,
) -> Placement | Unplaceable:
    """Chooses the region for one attempt; if none fits, returns the reason against each region.

    `choose` picks one of the names whose score is within `settings.near` of the best. A region that fits and
    is passed over for a preference has both a score and a reason. Ejected regions take the attempt if no
    other region ever would. To place many, replace the chosen region by `after_placement` of it before the
    next call.
    """
    fitting, rejected = _filtered(demand, regions)
    if not fitting and not any(can_serve(demand, region) for region in regions):
        # Envoy's panic threshold, for each demand: an ejection sends work elsewhere, and there is none.
        fitting, rejected = _filtered(demand, [as_last_resort(region) for region in regions])
    if not fitting:
        return Unplaceable(rejected=rejected)
    tiers = {region.name: tier(demand, region) for region in fitting}
    best = min(tiers.values())
    rejected |= {name: why for name, own in tiers.items() if (why := why_outranked(own, best)) is not None}
    scores = {region.name: score(region, floor_seconds=settings.latency_floor_seconds) for region in fitting}
    compared = {name: value for name, value in scores.items() if name not in rejected}
    # not always the very best: several gateways would send all that waits to the same region at once
    near = min(compared.values()) * settings.near
    return Placement(
        region=choose([name for name, value in compared.items() if value <= near]),
        scores=scores,
        rejected=rejected,
    )


def _filtered(demand: Demand, regions: Sequence[RegionView]) -> tuple[list[RegionView], dict[str, str]]:
    """Returns the regions that can take the attempt now, and the reason against each of the others."""
    fitting: list[RegionView] = []
    rejected: dict[str, str] = {}
    for region in regions:
        if (reason := refusal(demand, region)) is None:
            fitting.append(region)
        else:
            rejected[region.name] = reason
    return fitting, rejected


def after_placement(region: RegionView) -> RegionView:
    """Returns a region's view with one more attempt counted in its load."""
    return structs.replace(region, inflight=region.inflight + 1, free_slots=region.free_slots - 1)
