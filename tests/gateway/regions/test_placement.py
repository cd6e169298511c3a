"""Tests placement, which filters, scores and selects regions."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.regions.filters import as_last_resort, can_serve, refusal, takes_work
from gateway.regions.placement import Placement, Unplaceable, after_placement, place
from gateway.regions.placement_demand import Demand
from gateway.regions.region_condition import RegionCondition, Taint
from gateway.regions.region_view import RegionView
from gateway.settings import PlacingSettings
from tests.gateway.regions.region_script import status

SETTINGS = PlacingSettings()
REPORTED = structs.replace(status("beijing"), executors=("process", "delay"))
WELL = RegionView(
    name="beijing",
    condition=RegionCondition.HEALTHY,
    free_slots=10,
    peak_ewma_seconds=0.05,
    inflight=0,
    status=REPORTED,
)
EVERYWHERE = frozenset({"beijing", "shanghai", "shenzhen"})
names = st.sampled_from(sorted(EVERYWHERE))
name_sets = st.frozensets(names)
views = st.builds(
    RegionView,
    name=st.just(""),
    condition=st.sampled_from(RegionCondition),
    free_slots=st.integers(-1, 3),
    peak_ewma_seconds=st.floats(0, 10),
    inflight=st.integers(0, 100),
    weight=st.floats(0.01, 10),
    engine=st.sampled_from(["", "embedded", "temporal"]),
    taints=st.frozensets(st.sampled_from(Taint)),
    status=st.builds(
        lambda executors, queued: structs.replace(status(""), executors=tuple(executors), queued=queued),
        executors=st.frozensets(st.sampled_from(["process", "delay"])),
        queued=st.integers(0, 100),
    ),
)
snapshots = st.lists(views, min_size=3, max_size=3).map(
    lambda three: [
        structs.replace(view, name=name) for name, view in zip(sorted(EVERYWHERE), three, strict=True)
    ]
)
demands = st.builds(
    Demand,
    permitted=name_sets,
    requested=name_sets,
    avoid=name_sets,
    engine=st.sampled_from(["any", "embedded", "temporal"]),
    executors=st.frozensets(st.sampled_from(["process", "delay"])),
    spread=st.none() | st.dictionaries(names, st.integers(0, 5)),
)


def first(options: Sequence[str]) -> str:
    return options[0]


def region(name: str, **changes: object) -> RegionView:
    return structs.replace(WELL, name=name, **changes)


def with_status(**changes: object) -> RegionView:
    """Returns the view of region beijing with a changed cluster status."""
    return structs.replace(WELL, status=structs.replace(REPORTED, **changes))


def chosen(demand: Demand, *regions: RegionView) -> str:
    found = place(demand, regions, choose=first, settings=SETTINGS)
    assert isinstance(found, Placement)
    return found.region


@pytest.mark.parametrize(
    ("demand", "view", "reason"),
    [
        (Demand(permitted=frozenset()), WELL, "not permitted by policy"),
        (
            Demand(permitted=EVERYWHERE, requested=frozenset({"shanghai"})),
            WELL,
            "not among the wished regions",
        ),
        (
            Demand(permitted=EVERYWHERE),
            region("beijing", condition=RegionCondition.UNREACHABLE),
            "unreachable",
        ),
        (Demand(permitted=EVERYWHERE), region("beijing", condition=RegionCondition.EJECTED), "ejected"),
        (
            Demand(permitted=EVERYWHERE),
            region("beijing", condition=RegionCondition.UNKNOWN),
            "not heard of yet",
        ),
        (Demand(permitted=EVERYWHERE), region("beijing", taints=frozenset({Taint.CORDONED})), "cordoned"),
        (Demand(permitted=EVERYWHERE), region("beijing", free_slots=0), "no free slot"),
        (
            Demand(permitted=EVERYWHERE, executors=frozenset({"docker", "delay"})),
            WELL,
            "has no executor docker",
        ),
        (Demand(permitted=EVERYWHERE, executors=frozenset({"delay"})), WELL, None),
        (Demand(permitted=EVERYWHERE, engine="temporal"), WELL, "not of the engine temporal"),
        (
            Demand(permitted=frozenset()),
            region("beijing", condition=RegionCondition.EJECTED, free_slots=0),
            "not permitted by policy",
        ),
    ],
)
def test_the_first_refusal_is_the_reason(demand: Demand, view: RegionView, reason: str | None) -> None:
    """Policy before the workflow's wish, the wish before the region's state: that is what a person would ask
    first."""
    assert refusal(demand, view) == reason


def test_a_region_without_enough_processors_is_refused_in_numbers() -> None:
    """The task would never start there. A cluster that does not report its processors has to refuse it
    itself."""
    demand = Demand(permitted=EVERYWHERE, cpu=64)

    assert refusal(demand, with_status(cpu=8.0)) == "with too few processors (8, where 64 are asked for)"
    assert refusal(demand, with_status(cpu=64.0)) is None
    assert refusal(demand, WELL) is None


def test_what_fits_nowhere_says_why_region_by_region() -> None:
    regions = [region("beijing"), region("shanghai"), region("shenzhen", free_slots=0)]
    found = place(Demand(permitted=frozenset({"shenzhen"})), regions, choose=first, settings=SETTINGS)

    assert isinstance(found, Unplaceable)
    assert str(found) == "0/3 regions fit: 2 not permitted by policy, 1 no free slot"


def test_the_quickest_region_for_its_share_is_taken() -> None:
    """Peak EWMA times the work ahead, over the share."""
    demand = Demand(permitted=EVERYWHERE)

    assert chosen(demand, region("beijing", peak_ewma_seconds=0.1), region("shanghai")) == "shanghai"
    assert chosen(demand, region("beijing"), region("shanghai", inflight=3)) == "beijing"
    assert (
        chosen(demand, region("beijing", inflight=3), region("shanghai", inflight=5, weight=2.0))
        == "shanghai"
    )


def test_where_tasks_wait_for_a_processor_more_work_lies_ahead() -> None:
    """Attempts that queue for a processor weigh more than attempts that run: processors elsewhere are
    idle."""
    busy = structs.replace(with_status(queued=18), inflight=20)

    assert chosen(Demand(permitted=EVERYWHERE), busy, region("shanghai", inflight=25)) == "shanghai"
    assert chosen(Demand(permitted=EVERYWHERE), busy, region("shanghai", inflight=60)) == "beijing"


def test_round_trips_below_the_floor_leave_the_choice_to_load() -> None:
    """A region 0.1 ms nearer must not take three times the work; nor one with an estimate of 0 all of it."""
    nearest = region("beijing", peak_ewma_seconds=0.0, inflight=2)

    assert (
        chosen(Demand(permitted=EVERYWHERE), nearest, region("shanghai", peak_ewma_seconds=3e-4, inflight=1))
        == "shanghai"
    )


def test_chance_decides_only_among_those_near_the_best() -> None:
    offered: list[Sequence[str]] = []

    def choose(options: Sequence[str]) -> str:
        offered.append(options)
        return options[-1]

    regions = [
        region("beijing"),
        region("shanghai", peak_ewma_seconds=0.054),
        region("shenzhen", peak_ewma_seconds=0.056),
    ]
    found = place(Demand(permitted=EVERYWHERE), regions, choose=choose, settings=SETTINGS)

    assert offered == [["beijing", "shanghai"]]
    assert isinstance(found, Placement)
    assert found.region == "shanghai"
    assert set(found.scores) == EVERYWHERE


def test_an_avoided_region_is_taken_only_if_nothing_else_is_left() -> None:
    """The submitter asked for that: even a Degraded region comes first."""
    demand = Demand(permitted=EVERYWHERE, avoid=frozenset({"beijing"}))

    assert (
        chosen(demand, region("beijing"), region("shanghai", condition=RegionCondition.DEGRADED))
        == "shanghai"
    )
    assert chosen(demand, region("beijing"), region("shanghai", free_slots=0)) == "beijing"


def test_a_degraded_region_gets_nothing_while_another_fits() -> None:
    """Degraded moves new work at once, however idle it is; alone, slow is better than not at all."""
    demand = Demand(permitted=EVERYWHERE)
    idle = region("beijing", condition=RegionCondition.DEGRADED, peak_ewma_seconds=0.01)
    busy = region("shanghai", inflight=90, condition=RegionCondition.WARMING, weight=0.1)
    found = place(demand, [idle, busy], choose=first, settings=SETTINGS)

    assert isinstance(found, Placement)
    assert (found.region, found.rejected) == ("shanghai", {"beijing": "degraded, and another region fits"})
    assert chosen(demand, idle) == "beijing"


def test_a_run_that_wants_spreading_goes_where_it_has_fewest_shards() -> None:
    demand = Demand(permitted=EVERYWHERE, spread={"beijing": 1})
    found = place(
        demand, [region("beijing"), region("shanghai", inflight=50)], choose=first, settings=SETTINGS
    )

    assert isinstance(found, Placement)
    assert (found.region, found.rejected) == ("shanghai", {"beijing": "holds more shards of this run"})


def test_spreading_does_not_fill_up_a_region_that_has_just_come_back() -> None:
    """Slow start holds for every run: with a tenth of its weight the region gets one shard in ten."""
    demand = Demand(permitted=EVERYWHERE, spread={"beijing": 5})

    assert (
        chosen(demand, region("beijing"), region("shanghai", condition=RegionCondition.WARMING, weight=0.1))
        == "beijing"
    )


def test_placing_many_counts_those_placed_before() -> None:
    """A thousand demands in one pass must not all go to the region that was best when the pass began."""
    rng = random.Random(1)
    regions = {name: region(name, free_slots=1000) for name in sorted(EVERYWHERE)}
    for _ in range(1000):
        found = place(
            Demand(permitted=EVERYWHERE), list(regions.values()), choose=rng.choice, settings=SETTINGS
        )
        assert isinstance(found, Placement)
        regions[found.region] = after_placement(regions[found.region])

    assert sum(view.inflight for view in regions.values()) == 1000
    assert all(
        300 <= view.inflight <= 370 and view.free_slots == 1000 - view.inflight for view in regions.values()
    )


@given(demand=demands, regions=snapshots)
def test_a_region_that_is_refused_is_never_picked(demand: Demand, regions: list[RegionView]) -> None:
    """And each region has a score or a reason, so that `explain` leaves none out."""
    found = place(demand, regions, choose=first, settings=SETTINGS)
    if not any(can_serve(demand, view) for view in regions):
        regions = [as_last_resort(view) for view in regions]
    refused = {view.name for view in regions if refusal(demand, view) is not None}

    if isinstance(found, Placement):
        assert found.region not in found.rejected
        assert refused == EVERYWHERE - set(found.scores)
        assert refused <= set(found.rejected)
        compared = [score for name, score in found.scores.items() if name not in found.rejected]
        assert found.scores[found.region] <= min(compared) * SETTINGS.near
    else:
        assert refused == EVERYWHERE == set(found.rejected)


@given(demand=demands, regions=snapshots)
def test_a_workflow_of_one_engine_is_never_placed_in_a_region_of_another(
    demand: Demand, regions: list[RegionView]
) -> None:
    """Not as a last resort either: the cluster there could not run it."""
    found = place(demand, regions, choose=first, settings=SETTINGS)

    if demand.engine != "any" and isinstance(found, Placement):
        assert {view.engine for view in regions if view.name in found.scores} == {demand.engine}


@given(regions=snapshots)
def test_what_takes_no_work_is_never_placed_on(regions: list[RegionView]) -> None:
    """`takes_work` saves a pass reading the shards that wait: it must not hide a region that would have
    fitted."""
    found = place(Demand(permitted=EVERYWHERE), regions, choose=first, settings=SETTINGS)
    taking = {view.name: view for view in regions if takes_work(view)}

    if isinstance(found, Placement):
        assert found.region in taking
    else:
        assert {view.condition for view in taking.values()} <= {RegionCondition.EJECTED}
    assert all(view.condition.reachable for view in taking.values())
