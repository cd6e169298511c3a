"""Tests routing revisions: what is applied, refused and rolled back, and how placement follows them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.regions.filters import refusal
from gateway.regions.placement import Placement, after_placement, place
from gateway.regions.placement_demand import Demand
from gateway.regions.region_condition import Taint
from gateway.regions.region_view import RegionView
from gateway.regions.routing import (
    REVISIONS_KEPT,
    RegionRouting,
    Routing,
    RoutingDocument,
    RoutingRefused,
    after_apply,
    after_rollback,
    routing_errors,
)
from tests.gateway.regions.test_placement import EVERYWHERE, SETTINGS, demands, first, region, snapshots

ANYWHERE = Demand(permitted=EVERYWHERE)


def document(weight: float = 1.0, name: str = "beijing", **fields: Any) -> RoutingDocument:
    return RoutingDocument(regions={name: RegionRouting(weight=weight, **fields)})


NOTHING = Routing()


def applied(*weights: float, routing: Routing = NOTHING, at: float = 10.0) -> Routing:
    for weight in weights:
        routing = after_apply(routing, document(weight), by="ada", at=at)
    return routing


def states(routing: Routing) -> dict[int, str]:
    return {one.number: one.state for one in routing.revisions}


def test_a_new_revision_is_in_force_and_the_one_before_is_superseded() -> None:
    routing = applied(1, 2)
    assert states(routing) == {1: "Superseded", 2: "Active"}
    assert (routing.rev, routing.restored) == (2, False)


def test_the_content_that_is_in_force_makes_no_new_revision() -> None:
    """A cordon that says no is as none: the digest is that of what counts."""
    routing = applied(1)
    assert after_apply(routing, document(1, cordon=False), by="bob", at=20.0) is routing


def test_a_rollback_returns_to_the_newest_good_revision() -> None:
    """Changes are in the order of their times, also where the clock stands still."""
    routing = after_rollback(applied(1, 2, 3), 3, by="ada", at=10.0)
    assert states(routing) == {1: "Superseded", 2: "Active", 3: "RolledBack"}
    assert routing.restored
    again = after_rollback(routing, 2, by="ada", at=10.0)
    assert states(again) == {1: "Active", 2: "RolledBack", 3: "RolledBack"}
    nothing = after_rollback(again, 1, by="ada", at=10.0)
    assert (nothing.active, nothing.returns_to, nothing.restored) == (None, None, False)
    assert states(applied(4, routing=nothing))[4] == "Active"


def test_what_was_rolled_back_is_not_applied_again() -> None:
    routing = after_rollback(applied(1, 2), 2, by="ada", at=20.0)
    with pytest.raises(RoutingRefused, match="revision 2 has this content, and was rolled back"):
        applied(2, routing=routing)


def test_the_same_content_under_an_older_number_is_no_way_out() -> None:
    """Of 1 and 3, and of 2 and 4: when the later one goes, the earlier one would be as bad."""
    routing = after_rollback(applied(1, 2, 1, 2), 4, by="ada", at=20.0)
    assert states(routing) == {1: "Superseded", 2: "Superseded", 3: "Active", 4: "RolledBack"}
    assert after_rollback(routing, 3, by="ada", at=20.0).active is None


@pytest.mark.parametrize("number", [1, 2, 9])
def test_only_the_revision_in_force_is_rolled_back(number: int) -> None:
    routing = after_rollback(applied(1, 2, 3), 3, by="ada", at=20.0)
    routing = applied(4, routing=routing)
    with pytest.raises(RoutingRefused, match=f"revision {number} is"):
        after_rollback(routing, number, by="ada", at=20.0)


def test_the_last_good_revision_is_kept_however_many_follow() -> None:
    routing = applied(1, 2)
    for weight in range(3, 3 + REVISIONS_KEPT + 5):
        routing = after_rollback(applied(float(weight), routing=routing), weight, by="ada", at=10.0)
    assert routing.active is not None
    assert (routing.active.number, len(routing.revisions)) == (2, REVISIONS_KEPT + 1)
    last_good = applied(99, routing=routing).returns_to
    assert last_good is not None
    assert last_good.number == 2


def test_unknown_regions_and_a_routing_without_any_are_refused() -> None:
    """Each with a pointer to it."""
    unknown = document(name="a/b")
    closed = RoutingDocument(regions={name: RegionRouting(cordon=True) for name in EVERYWHERE})
    assert [error.pointer for error in routing_errors(unknown, EVERYWHERE)] == ["/regions/a~1b"]
    assert [error.pointer for error in routing_errors(closed, EVERYWHERE)] == ["/regions"]
    assert routing_errors(document(cordon=True), EVERYWHERE) == []
    assert routing_errors(RoutingDocument(regions={}), EVERYWHERE) == []


routings = st.builds(RegionRouting, cordon=st.booleans(), avoid=st.booleans())


@given(demands, snapshots, st.lists(routings, min_size=3, max_size=3))
def test_work_goes_where_the_routing_permits(
    demand: Demand, views: list[RegionView], by_region: list[RegionRouting]
) -> None:
    """Never to a cordoned region, whoever cordons it."""
    routed = [structs.replace(view, routing=routing) for view, routing in zip(views, by_region, strict=True)]
    found = place(demand, routed, choose=first, settings=SETTINGS)
    if not isinstance(found, Placement):
        return
    chosen = next(view for view in routed if view.name == found.region)
    assert not chosen.routing.cordon
    assert Taint.CORDONED not in chosen.taints


@given(st.lists(routings, min_size=3, max_size=3), st.lists(st.integers(0, 20), min_size=3, max_size=3))
def test_an_avoided_region_gets_only_what_fits_nowhere_else(
    by_region: list[RegionRouting], inflight: list[int]
) -> None:
    """However little it has to do."""
    views = [
        region(name, routing=routing, inflight=there)
        for name, routing, there in zip(sorted(EVERYWHERE), by_region, inflight, strict=True)
    ]
    found = place(ANYWHERE, views, choose=first, settings=SETTINGS)
    if isinstance(found, Placement):
        chosen = next(view for view in views if view.name == found.region)
        preferred = [view for view in views if not view.routing.avoid and not view.routing.cordon]
        assert chosen in preferred or not preferred


@given(st.lists(st.sampled_from([None, 0.5, 1.0, 3.0]), min_size=3, max_size=3), st.integers(0, 2))
def test_a_taint_holds_under_every_routing(weights: list[float | None], cordoned: int) -> None:
    """An emergency cordon is undone by no revision, and hence by no rollback of one."""
    views = [
        region(name, routing=RegionRouting(weight=weight), taints=frozenset())
        for name, weight in zip(sorted(EVERYWHERE), weights, strict=True)
    ]
    views[cordoned] = structs.replace(views[cordoned], taints=frozenset({Taint.CORDONED}))
    found = place(ANYWHERE, views, choose=first, settings=SETTINGS)
    assert isinstance(found, Placement)
    assert found.region != views[cordoned].name
    assert found.rejected[views[cordoned].name] == "cordoned"


def test_the_reason_says_that_the_routing_cordons() -> None:
    assert refusal(ANYWHERE, region("beijing", routing=RegionRouting(cordon=True))) == (
        "cordoned by the routing"
    )


def test_regions_get_work_by_their_weights() -> None:
    """As far as they are equally near: three of four shards go to the one of weight 3."""
    views = [region("beijing", weight=3.0, free_slots=100), region("shanghai", free_slots=100)]
    for _ in range(80):
        found = place(ANYWHERE, views, choose=first, settings=SETTINGS)
        assert isinstance(found, Placement)
        views = [after_placement(view) if view.name == found.region else view for view in views]
    assert [view.inflight for view in views] == pytest.approx([60, 20], abs=3)
