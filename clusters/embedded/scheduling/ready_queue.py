"""The ready queue: tasks that wait only for processors; and the processors, shared by the tries that run."""

import heapq
import itertools
from typing import NamedTuple

from clusters.embedded.scheduling.attempt import Attempt
from clusters.protocol import AttemptId
from waypost.workflow.task import TaskSpec


class QueuedTask(NamedTuple):
    """A task in the queue. The first three fields are its place, smallest first."""

    rank: int
    """The task's priority, negated."""
    turn: int
    order: int
    """Unique, so that no further field is compared."""
    attempt: AttemptId
    task: str


class ReadyQueue:
    """Orders tasks by priority; within a priority, runs take turns: a huge run does not hold up small ones.

    Each task gets the next turn of its run, counted from the turn of the task that was started last. An entry
    is stale when its task is no longer in the attempt's `queued`; it stays in the heap until it is the first.
    """

    def __init__(self) -> None:
        self.size = 0
        """Without stale entries."""
        self._heap: list[QueuedTask] = []
        self._order = itertools.count()
        self._last_started_turn = 0
        self._next_turns: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"ReadyQueue({self.size} tasks, first {self.first})"

    @property
    def first(self) -> QueuedTask | None:
        """The next task to be started, or a stale entry; None where the queue is empty."""
        return self._heap[0] if self._heap else None

    def add(self, attempt: Attempt, task: str) -> None:
        attempt.queued.add(task)
        self.size += 1
        turn = max(self._last_started_turn, self._next_turns.get(attempt.id.run, 0))
        self._next_turns[attempt.id.run] = turn + 1
        rank = -attempt.tasks[task].priority
        heapq.heappush(self._heap, QueuedTask(rank, turn, next(self._order), attempt.id, task))

    def remove_first(self, attempt: Attempt | None) -> None:
        """Removes the first entry. `attempt`: the one that it names; None where it is no longer held."""
        task = heapq.heappop(self._heap).task
        if attempt is not None and task in attempt.queued:
            attempt.queued.remove(task)
            self.size -= 1

    def remove_all(self, attempt: Attempt) -> None:
        """Removes every task of `attempt`: its entries become stale."""
        self.size -= len(attempt.queued)
        attempt.queued.clear()

    def record_start(self, turn: int) -> None:
        """Records that a task of this turn was started: runs that were idle until now join at this turn."""
        self._last_started_turn = max(self._last_started_turn, turn)

    def forget_idle_runs(self) -> None:
        """Drops the turns of runs that would be next anyway, so that ended runs take no memory."""
        self._next_turns = {
            run: turn for run, turn in self._next_turns.items() if turn > self._last_started_turn
        }


class Processors:
    """Counts processors in use, in whole thousandths (millicpu): sums of fractions drift away from zero."""

    def __init__(self, cpu: float) -> None:
        self.cpu = cpu
        self._capacity, self._busy = millicpu(cpu), 0

    def __repr__(self) -> str:
        return f"Processors({self._busy} of {self._capacity} millicpu busy)"

    def has_room_for(self, task: TaskSpec) -> bool:
        return self._busy + millicpu(task.resources.cpu) <= self._capacity

    def acquire(self, task: TaskSpec) -> None:
        self._busy += millicpu(task.resources.cpu)

    def release(self, task: TaskSpec) -> None:
        self._busy -= millicpu(task.resources.cpu)

    def close(self) -> None:
        """Has no room for any task from now on."""
        self._capacity = 0


def millicpu(cpu: float) -> int:
    """Thousandths of a processor. At least one, so that every task takes some of the capacity."""
    return max(1, round(cpu * 1000))
