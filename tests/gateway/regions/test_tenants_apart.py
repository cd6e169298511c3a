"""Tests that placement keeps tenants apart in regions that isolate nothing."""

from msgspec import structs

from clusters.cluster_status import Isolation
from gateway.regions.filters import can_serve, refusal
from gateway.regions.placement_demand import Demand
from tests.gateway.regions.test_placement import EVERYWHERE, with_status


def test_a_region_without_sandboxes_gets_no_second_tenant() -> None:
    """Its cluster would refuse the create: then the shard would wait for an answer that is known before."""
    alone = with_status(executors=("delay", "process"), isolation=Isolation.NONE, tenants=("demo",))
    demand = Demand(permitted=EVERYWHERE, executors=frozenset({"process"}), tenant="other")

    assert refusal(demand, alone) == "has no sandbox, and works for another tenant"
    assert not can_serve(demand, alone)
    assert refusal(structs.replace(demand, tenant="demo"), alone) is None
    assert refusal(structs.replace(demand, executors=frozenset({"delay"})), alone) is None


def test_a_region_that_isolates_or_trusts_takes_every_tenant() -> None:
    """It reports no tenants; one that has none yet takes whoever is first."""
    demand = Demand(permitted=EVERYWHERE, executors=frozenset({"process"}), tenant="other")
    for tenants in (None, ()):
        assert refusal(demand, with_status(executors=("process",), tenants=tenants)) is None
