"""The ready queue: tasks that wait only for a processor."""

import heapq
import itertools
from typing import NamedTuple

from clusters.embedded.scheduling.attempt import Attempt
from clusters.protocol import AttemptId


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
    """Orders tasks by priority and, within a priority, lets runs take turns: a huge run does not keep a small one waiting.

    Each task gets the next turn of its run, counted from the turn of the task that was started last. Entries of tasks that are
    not in their attempt's `queued` any more are stale; they stay in the heap until they are first.
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
        """May be stale."""
        return self._heap[0] if self._heap else None

    def add(self, attempt: Attempt, task: str) -> None:
        attempt.queued.add(task)
        self.size += 1
        turn = max(self._last_started_turn, self._next_turns.get(attempt.id.run, 0))
        self._next_turns[attempt.id.run] = turn + 1
        rank = -attempt.tasks[task].priority
        heapq.heappush(self._heap, QueuedTask(rank, turn, next(self._order), attempt.id, task))

    def remove_first(self, attempt: Attempt | None) -> None:
        """Removes the first entry; `attempt` is the one that it is for, None where the cluster no longer holds it."""
        task = heapq.heappop(self._heap).task
        if attempt is not None and task in attempt.queued:
            attempt.queued.remove(task)
            self.size -= 1

    def remove_all(self, attempt: Attempt) -> None:
        """Removes every task of `attempt`: its entries become stale."""
        self.size -= len(attempt.queued)
        attempt.queued.clear()

    def after_start(self, turn: int) -> None:
        """To be called when a task of this turn was started."""
        self._last_started_turn = max(self._last_started_turn, turn)

    def forget_idle_runs(self) -> None:
        """Drops the turns of runs that would be next anyway, so that ended runs take no memory."""
        self._next_turns = {
            run: turn for run, turn in self._next_turns.items() if turn > self._last_started_turn
        }
