"""Tests the order of tasks and cycles."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.workflow.graph import find_cycle, topological_order


@dataclass(frozen=True)
class Task:
    name: str
    needs: tuple[str, ...] = ()


def tasks(needs: Mapping[str, tuple[str, ...]]) -> list[Task]:
    return [Task(name, wanted) for name, wanted in needs.items()]


graphs = st.integers(1, 8).flatmap(
    lambda n: st.lists(st.sets(st.integers(0, n - 1)), min_size=n, max_size=n).map(
        lambda needs: [
            Task(str(index), tuple(sorted(map(str, wanted)))) for index, wanted in enumerate(needs)
        ]
    )
)


def reachable(found: list[Task]) -> bool:
    """Returns whether a task can be reached from itself: a cycle, found by brute force."""
    needs = {task.name: set(task.needs) for task in found}
    for _ in needs:
        for name in needs:
            needs[name] |= {further for need in needs[name] for further in needs[need]}
    return any(name in wanted for name, wanted in needs.items())


@given(graphs)
def test_a_cycle_is_found_exactly_where_there_is_one(found: list[Task]) -> None:
    """A missed cycle is a run that never ends; an invented one refuses good work.

    What is named is really a cycle.
    """
    cycle = find_cycle(found)

    assert (cycle is not None) == reachable(found)
    if cycle is not None:
        needs = {task.name: task.needs for task in found}
        assert cycle[0] == cycle[-1]
        assert all(after in needs[before] for before, after in pairwise(cycle))


@given(graphs.filter(lambda found: find_cycle(found) is None))
def test_every_task_comes_after_what_it_needs(found: list[Task]) -> None:
    """What resumption and the critical path stand on."""
    places = {name: index for index, name in enumerate(topological_order(found))}

    assert len(places) == len(found)
    assert all(places[need] < places[task.name] for task in found for need in task.needs)


def test_a_cycle_reads_in_the_direction_of_needs() -> None:
    """a -> b means that a needs b: the way the document says it."""
    assert find_cycle(tasks({"a": ("b",), "b": ("c",), "c": ("a",)})) in (
        ("a", "b", "c", "a"),
        ("b", "c", "a", "b"),
        ("c", "a", "b", "c"),
    )
    with pytest.raises(ValueError, match="cycle: a -> a"):
        topological_order([Task("a", ("a",))])


@pytest.mark.parametrize("turned", [False, True])
def test_the_largest_graph_is_sorted_at_once(turned: bool) -> None:
    """10,000 tasks and 100,000 edges are allowed: the check must not hold the gateway up, in whatever order
    they are written.
    """
    chance = random.Random(1)
    found = [
        Task(f"t{i}", tuple({f"t{chance.randrange(max(0, i - 500), i)}" for _ in range(10)}) if i else ())
        for i in range(10_000)
    ]
    if turned:
        found.reverse()
    chain = [Task(f"t{i}", (f"t{i - 1}",)) for i in range(1, 10_000)] + [Task("t0", ("t9999",))]
    began = perf_counter()

    assert find_cycle(found) is None
    assert len(find_cycle(chain) or ()) == 10_001
    assert perf_counter() - began < 5  # 0.15 s where nothing else runs
