"""The queue of one fairness key's (tenant's) ready tasks, in the order of a queue policy."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from clusters.embedded.queueing.policies import Rank
from clusters.embedded.queueing.ready_task import ReadyTask

OVERDUE_EVERY: Final = 10
"""Each start of a key whose number is a multiple of this goes to its oldest task, if that is overdue."""


@dataclass(slots=True)
class KeyStarts:
    """The starts of one fairness key's tasks: how many, and when each run was served last."""

    count: int = 0
    last_of_run: dict[str, int] = field(default_factory=dict)
    """The number of the key's start at which each run was served last."""

    def add(self, run: str) -> None:
        self.count += 1
        self.last_of_run[run] = self.count


class KeyQueue:
    """The ready tasks of one fairness key, numbered in the order of their arrival.

    The first is the task of the smallest rank; among equal ranks it is one of the run that was served least
    recently, so that runs alternate (of two never served, the older); within the run that with the longest
    path behind it, then the one that came first. No task starves: a task that has waited for `aging_seconds`
    is overdue, and every tenth start is one of the oldest task, if that is overdue.

    `starts` are those of the key, whichever of its queues they come from.
    """

    def __init__(self, rank: Callable[[ReadyTask], Rank], starts: KeyStarts, *, aging_seconds: float) -> None:
        self._rank, self._starts, self._aging_seconds = rank, starts, aging_seconds
        self._tasks: dict[int, ReadyTask] = {}
        self._lanes: dict[tuple[Rank, str], list[tuple[int, int]]] = {}
        """The tasks of each rank and run, as a heap by path and number. It may hold numbers of tasks that
        have left; so may the two heaps below, until such an entry is the first."""
        self._order: list[tuple[Rank, int, str]] = []
        """The lanes as a heap: rank, when their run was served last as far as was known, run."""
        self._oldest: list[int] = []

    def __len__(self) -> int:
        return len(self._tasks)

    def __repr__(self) -> str:
        return f"KeyQueue({len(self._tasks)} tasks in {len(self._lanes)} lanes)"

    def __contains__(self, number: int) -> bool:
        return number in self._tasks

    def __getitem__(self, number: int) -> ReadyTask:
        return self._tasks[number]

    def add(self, number: int, task: ReadyTask) -> None:
        """Adds a task under a number, by which tasks of equal path and those of all ages are ordered."""
        self._tasks[number] = task
        heapq.heappush(self._oldest, number)
        # Where an old task waits long, all that came and left behind it would stay.
        if len(self._oldest) > 2 * len(self._tasks) + 64:
            self._oldest = sorted(self._tasks)
        lane = (self._rank(task), task.run.run)
        if (tasks := self._lanes.get(lane)) is None:
            tasks = self._lanes[lane] = []
            heapq.heappush(self._order, (lane[0], self._starts.last_of_run.get(lane[1], 0), lane[1]))
        heapq.heappush(tasks, (-task.path, number))

    def remove(self, number: int) -> ReadyTask:
        """Removes a task, and returns it."""
        return self._tasks.pop(number)

    def first(self, now: float) -> int | None:
        """Returns the number of the task that starts next at uptime `now`; None if there is no task."""
        if not self._tasks:
            return None
        if (self._starts.count + 1) % OVERDUE_EVERY == 0:
            oldest = self._first_oldest()
            if now - self._tasks[oldest].since >= self._aging_seconds:
                return oldest
        while True:
            rank, served, run = self._order[0]
            tasks = self._lanes[rank, run]
            while tasks and tasks[0][1] not in self._tasks:
                heapq.heappop(tasks)
            if not tasks:
                heapq.heappop(self._order)
                del self._lanes[rank, run]
            elif served < (last := self._starts.last_of_run.get(run, 0)):
                # Served since, or by a start from another lane of the run: its place is further behind.
                heapq.heapreplace(self._order, (rank, last, run))
            else:
                return tasks[0][1]

    def _first_oldest(self) -> int:
        while self._oldest[0] not in self._tasks:
            heapq.heappop(self._oldest)
        return self._oldest[0]

    @property
    def oldest(self) -> ReadyTask | None:
        """Returns the task that came first; None if there is no task."""
        return self._tasks[self._first_oldest()] if self._tasks else None

    @property
    def runs(self) -> set[str]:
        """Returns the runs that have tasks in the queue."""
        return {run for _, run in self._lanes}
