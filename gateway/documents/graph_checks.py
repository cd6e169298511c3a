"""Checks that the tasks of a workflow form a DAG (distinct names, existing needs, no cycle), and semaphores.

Performs no I/O.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from msgspec import structs

from waypost.json_pointer import FieldError
from waypost.suggestions import closest
from waypost.workflow.graph import find_cycle
from waypost.workflow.task import TaskSpec

REPORTED_CYCLES: Final = 10
"""The maximum number of cycles that are reported."""


def is_in_topological_order(tasks: tuple[TaskSpec, ...]) -> bool:
    """Returns whether task names are distinct and each task needs only tasks listed before it, each once.

    If so, `name_errors` and `cycle_errors` would find nothing.
    """
    before: set[str] = set()
    for task in tasks:
        needs = task.needs
        if needs and not (before.issuperset(needs) and (len(needs) == 1 or len(set(needs)) == len(needs))):
            return False
        before.add(task.name)
    return len(before) == len(tasks)


def name_errors(tasks: tuple[TaskSpec, ...]) -> Iterator[FieldError]:
    """Yields errors for repeated task names, and for needs that are unknown, repeated or the task itself."""
    counts = Counter(task.name for task in tasks)
    for index, task in enumerate(tasks):
        if counts[task.name] > 1:
            yield FieldError(
                f"/spec/tasks/{index}/name", f"{task.name} is the name of {counts[task.name]} tasks"
            )
        seen: set[str] = set()
        for at, need in enumerate(task.needs):
            if need not in counts:
                yield FieldError(f"/spec/tasks/{index}/needs/{at}", f"there is no task {need[:128]}")
            elif need == task.name:
                yield FieldError(f"/spec/tasks/{index}/needs/{at}", f"{need} needs itself")
            elif need in seen:
                yield FieldError(f"/spec/tasks/{index}/needs/{at}", f"{need} is named twice")
            seen.add(need)


def semaphore_errors(
    tasks: Sequence[TaskSpec], semaphores: Collection[str], at: str = "/spec/tasks"
) -> Iterator[FieldError]:
    """Yields an error for each task, of those at the pointer `at`, whose semaphore the workflow lacks."""
    for index, task in enumerate(tasks):
        name = task.semaphore
        if name is None or name in semaphores:
            continue
        alike = closest(name, semaphores)
        hint = f"did you mean {alike}?" if alike else f"write spec.semaphores: {{{name}: 1}}"
        yield FieldError(f"{at}/{index}/semaphore", f"spec.semaphores has no {name}; {hint}")


def cycle_errors(tasks: tuple[TaskSpec, ...]) -> Iterator[FieldError]:
    """Yields an error for each cycle among the tasks, at most `REPORTED_CYCLES`; the cycles share no task.

    A task that needs itself is left to `name_errors`.
    """
    # Of tasks with the same name the first is taken: which one is meant is unknown, and reported elsewhere.
    places: dict[str, int] = {}
    for index, task in enumerate(tasks):
        places.setdefault(task.name, index)
    firsts = tasks if len(places) == len(tasks) else tuple(tasks[index] for index in places.values())
    left = tuple(_without_itself(task) if task.name in task.needs else task for task in firsts)
    for _ in range(REPORTED_CYCLES):
        cycle = find_cycle(left)
        if cycle is None:
            return
        yield FieldError(f"/spec/tasks/{places[cycle[0]]}/needs", f"cycle: {_cycle_text(cycle)}")
        # Only cycles without a common task are reported: the number of all cycles may be exponential.
        members = set(cycle)
        left = tuple(task for task in left if task.name not in members)


def _without_itself(task: TaskSpec) -> TaskSpec:
    return structs.replace(task, needs=tuple(need for need in task.needs if need != task.name))


def _cycle_text(cycle: tuple[str, ...]) -> str:
    shown = cycle if len(cycle) <= 20 else (*cycle[:10], f"... {len(cycle) - 19} more ...", *cycle[-9:])
    return " -> ".join(shown)
