"""Tests that work that only an Ejected region could take is placed there."""

import pytest
from msgspec import structs

from gateway.regions.placement import Unplaceable, place
from gateway.regions.placement_demand import Demand
from gateway.regions.region_condition import RegionCondition, Taint
from tests.gateway.regions.test_placement import EVERYWHERE, REPORTED, SETTINGS, chosen, first, region

BEIJING = frozenset({"beijing"})
CORDONED = frozenset({Taint.CORDONED})


@pytest.mark.parametrize(
    ("demand", "others"),
    [
        (Demand(permitted=EVERYWHERE, requested=BEIJING), {}),
        (Demand(permitted=BEIJING), {}),
        (Demand(permitted=EVERYWHERE), {"taints": CORDONED}),
        (Demand(permitted=EVERYWHERE), {"condition": RegionCondition.UNREACHABLE}),
        (Demand(permitted=EVERYWHERE), {"condition": RegionCondition.UNKNOWN}),
        (Demand(permitted=EVERYWHERE, executors=frozenset({"process"})), {"status": None, "free_slots": 0}),
        (
            Demand(permitted=EVERYWHERE, cpu=4.0),
            {"status": structs.replace(REPORTED, cpu=2.0), "free_slots": 0},
        ),
        (Demand(permitted=EVERYWHERE, avoid=BEIJING), {"taints": CORDONED}),
    ],
)
def test_an_ejected_region_takes_what_no_other_would_ever_take(
    demand: Demand, others: dict[str, object]
) -> None:
    """It answers. An ejection sends work elsewhere, and for this work there is none."""
    ejected = region("beijing", condition=RegionCondition.EJECTED)
    assert chosen(demand, ejected, region("shanghai", **others), region("shenzhen", **others)) == "beijing"


@pytest.mark.parametrize(
    ("ejected", "other", "reason"),
    [
        ({}, {"free_slots": 0}, "ejected"),
        ({"taints": CORDONED}, {"condition": RegionCondition.UNREACHABLE}, "cordoned"),
        ({"free_slots": 0}, {"taints": CORDONED}, "no free slot"),
    ],
)
def test_an_ejected_region_is_not_the_last_resort_of_what_another_will_take(
    ejected: dict[str, object], other: dict[str, object], reason: str
) -> None:
    """A full region has room again at any moment. And the last resort has the other requirements."""
    regions = [region("beijing", condition=RegionCondition.EJECTED, **ejected), region("shanghai", **other)]
    found = place(Demand(permitted=EVERYWHERE), regions, choose=first, settings=SETTINGS)

    assert isinstance(found, Unplaceable)
    assert found.rejected["beijing"] == reason


def test_an_ejected_region_is_passed_over_for_one_that_is_avoided() -> None:
    ejected = region("beijing", condition=RegionCondition.EJECTED)
    demand = Demand(permitted=EVERYWHERE, avoid=frozenset({"shanghai"}))
    assert chosen(demand, ejected, region("shanghai")) == "shanghai"
