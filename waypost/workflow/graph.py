"""Order and cycles of a DAG of tasks, over the standard library's graphlib."""

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Protocol


class Node(Protocol):
    """Anything that has a name and needs others."""

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> tuple[str, ...]: ...


def order(tasks: Iterable[Node]) -> list[str]:
    """Names such that each comes after all that it needs; document order where that leaves a choice.

    Raises `ValueError` naming the cycle where there is one.
    """
    try:
        return list(TopologicalSorter({task.name: task.needs for task in tasks}).static_order())
    except CycleError as error:
        raise ValueError(f"cycle: {' -> '.join(_forward(error))}") from error


def find_cycle(tasks: Sequence[Node]) -> tuple[str, ...] | None:
    """A cycle as (a, b, ..., a), each needing the next; None where there is none."""
    if _in_order(tasks):
        return None
    try:
        TopologicalSorter({task.name: task.needs for task in tasks}).prepare()
    except CycleError as error:
        return _forward(error)
    return None


def _in_order(tasks: Iterable[Node]) -> bool:
    """Each comes after all that it needs, as most people write them: then there is no cycle, and no need to sort."""
    seen: set[str] = set()
    for task in tasks:
        if not seen.issuperset(task.needs):
            return False
        seen.add(task.name)
    return True


def _forward(error: CycleError) -> tuple[str, ...]:
    """graphlib lists each node before the one that needs it; people read the other way round."""
    names: list[str] = error.args[1]
    return tuple(reversed(names))


def longest_path(seconds: Mapping[str, float], tasks: Iterable[Node]) -> float:
    """The critical path: what the DAG takes with workers without number, given what each task takes."""
    needs = {task.name: task.needs for task in tasks}
    ends: dict[str, float] = {}
    for name in TopologicalSorter(needs).static_order():
        ends[name] = seconds[name] + max((ends[need] for need in needs[name]), default=0.0)
    return max(ends.values(), default=0.0)
