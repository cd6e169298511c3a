"""Tests that work goes to no region that has less memory than one of its tasks asks for."""

from gateway.regions.filters import can_serve, refusal
from gateway.regions.placement_demand import Demand
from tests.gateway.regions.test_placement import EVERYWHERE, with_status


def test_a_region_with_too_little_memory_is_refused() -> None:
    """The task would never start there. A cluster of an earlier version counts none."""
    demand = Demand(permitted=EVERYWHERE, memory_mib=4_096)
    refused = "with too little memory (2048 MiB, where 4096 are asked for)"
    assert refusal(demand, with_status(memory_mib=2_048)) == refused
    assert not can_serve(demand, with_status(memory_mib=2_048))
    for enough in (4_096, None):
        assert refusal(demand, with_status(memory_mib=enough)) is None
