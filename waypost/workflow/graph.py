"""Sorts a DAG of tasks topologically and finds its cycles, with the standard library's graphlib."""

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Protocol


class GraphTask(Protocol):
    """The protocol (interface) of a node of the DAG: its name, and the names of the tasks that it needs."""

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> tuple[str, ...]: ...


def topological_order(tasks: Iterable[GraphTask]) -> list[str]:
    """Returns the names of the tasks in topological order: each after the tasks that it needs.

    The order depends on the document alone. Raises `ValueError` naming the cycle where there is one.
    """
    try:
        return list(TopologicalSorter({task.name: task.needs for task in tasks}).static_order())
    except CycleError as error:
        raise ValueError(f"cycle: {' -> '.join(_in_reading_order(error))}") from error


def longest_paths(tasks: Sequence[GraphTask]) -> dict[str, int]:
    """Returns the number of tasks on the longest path that begins with each task, along those that need it.

    Tasks that none needs are left out: their path is of one task.
    """
    paths: dict[str, int] = {}
    needs = {task.name: task.needs for task in tasks}
    names = list(needs) if _already_ordered(tasks) else topological_order(tasks)
    for name in reversed(names):
        longer = paths.get(name, 1) + 1
        for need in needs[name]:
            if paths.get(need, 1) < longer:
                paths[need] = longer
    return paths


def find_cycle(tasks: Sequence[GraphTask]) -> tuple[str, ...] | None:
    """Returns a cycle of task names as (a, b, ..., a), each needing the next; None if there is no cycle."""
    if _already_ordered(tasks):
        return None
    try:
        TopologicalSorter({task.name: task.needs for task in tasks}).prepare()
    except CycleError as error:
        return _in_reading_order(error)
    return None


def _already_ordered(tasks: Iterable[GraphTask]) -> bool:
    """Returns whether each task of a document stands after all the tasks that it needs.

    Most documents are so: then there is no cycle, and no need to sort.
    """
    seen: set[str] = set()
    for task in tasks:
        if not seen.issuperset(task.needs):
            return False
        seen.add(task.name)
    return True


def _in_reading_order(error: CycleError) -> tuple[str, ...]:
    """Reverses a cycle as graphlib returns it, so that each task needs the next."""
    names: list[str] = error.args[1]
    return tuple(reversed(names))
