"""Choosing a region: filter, score, select. Pure: the snapshot, the time and the dice come from outside."""

from collections import Counter
from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from gateway.regions.filters import refusal
from gateway.regions.region_view import Demand, RegionView
from gateway.regions.scores import outranked, score, tier
from gateway.settings import Placing


class Placement(Struct, frozen=True, kw_only=True):
    """The region taken, each fitting region's score (lower is better), and why the others were refused or passed over."""

    region: str
    scores: dict[str, float]
    rejected: dict[str, str]


class Unplaceable(Struct, frozen=True, kw_only=True):
    """No region fits: why not, region by region."""

    rejected: dict[str, str]

    def __str__(self) -> str:
        """`0/3 regions fit: 2 not permitted by policy, 1 no free slot`."""
        reasons = ", ".join(
            f"{count} {reason}" for reason, count in Counter(self.rejected.values()).most_common()
        )
        return f"0/{len(self.rejected)} regions fit: {reasons}"


def place(
    demand: Demand,
    regions: Sequence[RegionView],
    *,
    choose: Callable[[Sequence[str]], str],
    settings: Placing,
) -> Placement | Unplaceable:
    """The region for one attempt, or why there is none.

    `choose` picks among those within `settings.near` of the best score. A region that fits and was passed over for a preference
    has both a score and a reason. Whoever plans many attempts passes each chosen region on as `taken`.
    """
    rejected: dict[str, str] = {}
    fitting: list[RegionView] = []
    for region in regions:
        if (reason := refusal(demand, region)) is None:
            fitting.append(region)
        else:
            rejected[region.name] = reason
    if not fitting:
        return Unplaceable(rejected=rejected)
    best_tier = min(tier(demand, region) for region in fitting)
    rejected |= {
        region.name: reason
        for region in fitting
        if (reason := outranked(demand, region, best_tier)) is not None
    }
    scores = {region.name: score(region, floor_seconds=settings.latency_floor_seconds) for region in fitting}
    compared = {name: value for name, value in scores.items() if name not in rejected}
    near = min(compared.values()) * settings.near
    return Placement(
        region=choose([name for name, value in compared.items() if value <= near]),
        scores=scores,
        rejected=rejected,
    )


def taken(region: RegionView) -> RegionView:
    """The region after one more attempt was placed there, for the rest of the same plan."""
    return structs.replace(region, inflight=region.inflight + 1, free_slots=region.free_slots - 1)
