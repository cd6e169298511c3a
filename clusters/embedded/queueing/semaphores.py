"""Named semaphores: bound how many of one tenant's tasks that name them run at once in this cluster."""

from collections import Counter

from clusters.protocol import RunSpec
from waypost.workflow.task import TaskSpec


class Semaphores:
    """Counts the running tasks by fairness key and semaphore.

    A name belongs to its key: runs of one tenant share it, and other tenants do not see it. How many may run
    is what the run of the task that would start says; runs may differ in it.
    """

    def __init__(self) -> None:
        self._taken: Counter[tuple[str, str]] = Counter()

    def __repr__(self) -> str:
        return f"Semaphores({dict(self._taken)})"

    def taken(self, key: str, name: str) -> int:
        """Returns the number of the key's running tasks that hold the semaphore."""
        return self._taken[key, name]

    def has_place_for(self, run: RunSpec, task: TaskSpec) -> bool:
        name = task.semaphore
        return name is None or self._taken[run.fairness_key, name] < places(run, name)

    def acquire(self, run: RunSpec, task: TaskSpec) -> None:
        if task.semaphore is not None:
            self._taken[run.fairness_key, task.semaphore] += 1

    def release(self, run: RunSpec, task: TaskSpec) -> None:
        if task.semaphore is None:
            return
        place = (run.fairness_key, task.semaphore)
        self._taken[place] -= 1
        if not self._taken[place]:
            del self._taken[place]


def places(run: RunSpec, name: str) -> int:
    """Returns how many tasks may hold a semaphore at once, as a run says; 1 where it does not say."""
    return run.semaphores.get(name, 1)
