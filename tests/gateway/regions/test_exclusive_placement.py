"""Tests that exclusive work is placed only where executors hold to run-leases."""

import pytest
from msgspec import structs

from gateway.regions.filters import refusal
from gateway.regions.placement_demand import Demand, demand_of
from tests.gateway.regions.test_placement import EVERYWHERE, WELL, with_status
from tests.simulation.scenario import workflow
from waypost.workflow.task import SideEffects


def test_exclusive_work_goes_where_run_leases_hold() -> None:
    """Elsewhere it would fail, or run twice. A cluster that does not report it has to refuse it itself."""
    demand = Demand(permitted=EVERYWHERE, executors=frozenset({"delay"}), exclusive=True)

    assert refusal(demand, with_status(exclusive=())) == "runs delay without run-leases"
    assert refusal(demand, with_status(exclusive=("process",))) == "runs delay without run-leases"
    assert refusal(demand, with_status(exclusive=("delay",))) is None
    assert refusal(demand, WELL) is None
    assert refusal(structs.replace(demand, exclusive=False), with_status(exclusive=())) is None


@pytest.mark.parametrize("side_effects", SideEffects)
def test_the_demand_of_an_exclusive_workflow_is_exclusive(side_effects: SideEffects) -> None:
    demand = demand_of(workflow(1.0, shards=1, side_effects=side_effects), ["beijing"])
    assert demand.exclusive is (side_effects is SideEffects.EXCLUSIVE)
