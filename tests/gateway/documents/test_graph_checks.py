"""Tests the checks of task names, needs and cycles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.documents.documents import document, errors_in, task


@pytest.mark.parametrize("needs", [{"a": "b", "b": "c", "c": "a"}, {"c": "a", "a": "b", "b": "c"}])
def test_a_cycle_is_named(needs: dict[str, str]) -> None:
    """a -> b -> c -> a. "There is a cycle" would not help among ten thousand tasks."""
    (found,) = errors_in(document(*[task(name, needs=[need]) for name, need in needs.items()])).values()

    assert found in ("cycle: a -> b -> c -> a", "cycle: b -> c -> a -> b", "cycle: c -> a -> b -> c")


def test_cycles_that_share_no_task_are_all_named() -> None:
    """Each is a separate mistake. A long cycle is shown by its ends."""
    pairs = [task(f"{name}{i}", needs=[f"{name}{1 - i}"]) for name in "xyz" for i in (0, 1)]
    long = [task(f"t{i}", needs=[f"t{(i + 1) % 500}"]) for i in range(500)]

    assert (
        len([detail for detail in errors_in(document(*pairs)).values() if detail.startswith("cycle: ")]) == 3
    )
    (detail,) = errors_in(document(*long)).values()
    assert len(detail) < 300
    assert "... 482 more ..." in detail


@given(st.permutations(range(6)), st.integers(0, 5), st.integers(0, 5))
def test_any_graph_is_accepted_exactly_when_it_can_be_ordered(
    order: list[int], late: int, early: int
) -> None:
    """A DAG in any order of writing passes; one edge back closes a cycle and is refused."""
    needs = {i: {order[at - 1]} if at else set() for at, i in enumerate(order)}
    later, earlier = max(order.index(late), order.index(early)), min(order.index(late), order.index(early))
    needs[order[earlier]] = needs[order[earlier]] | ({order[later]} if later != earlier else set())
    found = errors_in(document(*[task(f"t{i}", needs=[f"t{need}" for need in needs[i]]) for i in range(6)]))

    assert bool(found) == (later != earlier)


def test_names_differ() -> None:
    """Results are stored by task name."""
    assert errors_in(document(task("a"), task("b"), task("a"))) == {
        "/spec/tasks/0/name": "a is the name of 2 tasks",
        "/spec/tasks/2/name": "a is the name of 2 tasks",
    }


def test_a_doubled_name_hides_no_cycle() -> None:
    """Both errors are reported."""
    assert errors_in(
        document(task("a", needs=["b"]), task("b", needs=["a"]), task("a"), task("a", needs=["b"]))
    ) == {
        "/spec/tasks/0/name": "a is the name of 3 tasks",
        "/spec/tasks/2/name": "a is the name of 3 tasks",
        "/spec/tasks/3/name": "a is the name of 3 tasks",
        "/spec/tasks/0/needs": "cycle: a -> b -> a",
    }


def test_targets_are_tasks() -> None:
    a, b = task("alpha"), task("beta", needs=["alpha"])
    assert errors_in(document(a, b, targets=["beta", "alpa", "beta"])) == {
        "/spec/targets/1": "there is no task alpa; did you mean alpha?",
        "/spec/targets/2": "beta is named twice",
    }
    assert errors_in(document(a, b, targets=["beta"])) == {}


def test_collect_needs_no_task_that_targets_leave_out() -> None:
    found = errors_in(document(task("a"), task("b"), targets=["a"], collect=[task("c", needs=["b"])]))
    assert found == {"/spec/collect/0/needs/0": "b does not run: no target needs it"}


def test_what_runs_after_others_needs_some() -> None:
    found = errors_in(document(task("a", runs="onFailure"), task("b", whenSkipped="skip", runs="always")))
    assert found == {
        "/spec/tasks/0/runs": "it needs no task whose failure it could run after: name some in needs",
        "/spec/tasks/1/whenSkipped": "it needs no task that could be skipped: name some in needs",
    }
