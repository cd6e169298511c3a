"""Queues the ready tasks of a cluster: decides which starts next, by fairness keys and free processors.

A key with too many unacknowledged events is held back.
"""

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Container
from dataclasses import dataclass, field
from typing import NamedTuple

from clusters.embedded.scheduling.attempt import NEVER, Attempt
from clusters.protocol import AttemptId
from waypost.workflow.task import TaskSpec

REPORTS_UNDER_WAY = 64
"""The most unacknowledged events of one fairness key; at that number no further task of it starts.

All keys share one stream of events, in order: what one key has under way delays the reports of the others.
"""
UNDER_WAY_ALONE = 1_024
"""The most unacknowledged events of a fairness key while no other key has events."""
CONTENDED_SECONDS = 10.0
"""The seconds for which a key counts as not alone, after an event of another key."""
PATIENCE_SECONDS = 5.0
"""The seconds after the last acknowledgement for which tasks are held back to wait for the next.

So a gateway that is away stops no work.
"""


class QueuedTask(NamedTuple):
    """One entry of the ready queue. The first four fields order the tasks of one key, smallest first."""

    run_rank: int
    """The run's priority, negated."""
    task_rank: int
    """The task's priority, negated."""
    turn: int
    order: int
    """The sequence number of the entry's arrival. It is unique, so that no further field is compared."""
    attempt: AttemptId
    task: str
    since: float
    """The uptime at which the task was queued."""


@dataclass(kw_only=True, slots=True)
class KeyQueue:
    """The queued tasks of one fairness key, ordered by priority and by a rotation among the key's runs.

    Each queued task gets a number, its turn: one more than that of its run's task before it, but at least
    that of the task started last. Of tasks with equal priority that with the lowest turn is first, so runs
    alternate.
    """

    weight: float
    heap: list[QueuedTask] = field(default_factory=list)
    last_started_turn: int = 0
    next_turns: dict[str, int] = field(default_factory=dict)
    """The next turn of each run in the rotation, by the run's name."""

    def push(self, attempt: Attempt, task: str, order: int, now: float) -> None:
        run = attempt.run
        self.weight = run.fairness_weight
        # A run that was idle joins at the present turn: it gets no turns for that time.
        turn = max(self.last_started_turn, self.next_turns.get(run.run, 0))
        self.next_turns[run.run] = turn + 1
        rank = -attempt.tasks[task].priority
        heapq.heappush(self.heap, QueuedTask(-run.priority, rank, turn, order, attempt.id, task, now))

    def forget_idle_runs(self) -> None:
        """Drops the stored turns of runs without queued tasks, so that ended runs use no memory.

        Their next task gets the turn of the task started last, with or without a stored turn.
        """
        self.next_turns = {
            run: turn for run, turn in self.next_turns.items() if turn > self.last_started_turn
        }


class ReadyQueue:
    """The queue of a cluster's ready tasks, which serves fairness keys in a weighted rotation.

    So neither the number nor the priority of one key's tasks delays another key by more than a turn. When the
    turn of a key comes, the first entry of its `KeyQueue` is next. An entry is stale when its task is no
    longer in the attempt's `queued`; it stays until it is the first.
    """

    def __init__(self) -> None:
        self.size = 0
        """The number of queued tasks, without stale entries."""
        self._order = itertools.count()
        self._keys: dict[str, KeyQueue] = {}
        self._turns: list[tuple[float, int, str]] = []
        """The keys that have tasks, as a heap by their next turn."""
        self._next_turns: dict[str, float] = {}
        """The next turn of each key that was served, by the key."""
        self._now = 0.0
        """The turn of the task that was started last; keys that were idle until now join at this turn."""
        self._held: list[str] = []
        """The keys that have tasks and are held back until `release`."""

    @property
    def holds(self) -> bool:
        """Returns whether any fairness key is held back, since its events are not acknowledged yet."""
        return bool(self._held)

    def __repr__(self) -> str:
        return f"ReadyQueue({self.size} tasks of {len(self._turns)} keys, first {self.first})"

    @property
    def first(self) -> QueuedTask | None:
        """Returns the entry of the next task to start; None if the queue is empty.

        The entry may be outdated (stale).
        """
        return self._keys[self._turns[0][2]].heap[0] if self._turns else None

    def add(self, attempt: Attempt, task: str, now: float) -> None:
        attempt.queued.add(task)
        self.size += 1
        key = attempt.run.fairness_key
        queue = self._keys.setdefault(key, KeyQueue(weight=attempt.run.fairness_weight))
        if not queue.heap:
            self._await_turn(key)
        queue.push(attempt, task, next(self._order), now)

    def remove_first(self, attempt: Attempt | None) -> None:
        """Removes the queue's first entry without starting its task; its fairness key stays first.

        `attempt` is the one that the entry names; None where the cluster does not hold it any more.
        """
        key = self._turns[0][2]
        queue = self._keys[key]
        task = heapq.heappop(queue.heap).task
        if not queue.heap:
            heapq.heappop(self._turns)
        # A stale entry was taken off the size when its task left the queue.
        if attempt is not None and task in attempt.queued:
            attempt.queued.remove(task)
            self.size -= 1

    def start_first(self, attempt: Attempt) -> None:
        """Removes the queue's first entry, whose task starts now; its fairness key waits for its next turn.

        `attempt` is the one that the entry names. The larger the weight of the key, the sooner its next turn.
        """
        self._now, _, key = heapq.heappop(self._turns)
        queue = self._keys[key]
        entry = heapq.heappop(queue.heap)
        attempt.queued.remove(entry.task)
        self.size -= 1
        queue.last_started_turn = max(queue.last_started_turn, entry.turn)
        self._next_turns[key] = self._now + 1 / queue.weight
        if queue.heap:
            self._await_turn(key)

    def hold_first(self) -> None:
        """Holds back the fairness key of the first entry: none of its tasks is next until `release`."""
        self._held.append(heapq.heappop(self._turns)[2])

    def release(self) -> None:
        """Puts all fairness keys that are held back into the rotation again: their tasks may start."""
        held, self._held = self._held, []
        for key in held:
            self._await_turn(key)

    def _await_turn(self, key: str) -> None:
        turn = max(self._now, self._next_turns.get(key, 0.0))
        heapq.heappush(self._turns, (turn, next(self._order), key))

    def remove_all(self, attempt: Attempt) -> None:
        """Removes every task of `attempt` from the ready queue."""
        self.size -= len(attempt.queued)
        attempt.queued.clear()

    def forget_idle(self) -> None:
        """Drops the places in the rotation of runs and fairness keys without tasks: ended runs use no memory.

        The next task of such a run or key is placed as if its run or key were new, which makes no difference.
        """
        self._next_turns = {key: turn for key, turn in self._next_turns.items() if turn > self._now}
        for queue in self._keys.values():
            queue.forget_idle_runs()
        self._keys = {
            key: queue
            for key, queue in self._keys.items()
            if queue.heap or queue.next_turns or key in self._next_turns
        }


class UnacknowledgedEvents:
    """Counts, by fairness key, a cluster's events that the gateway has not acknowledged yet.

    A key with too many (`REPORTS_UNDER_WAY`, or `UNDER_WAY_ALONE` if no other has events) is held back: none
    of its tasks starts.
    """

    def __init__(self) -> None:
        self._under_way: deque[tuple[int, str]] = deque()
        """The unacknowledged events in order, each as its seq and its fairness key."""
        self._counts: Counter[str] = Counter()
        self._acknowledged_at = self._contended_until = NEVER
        self._last_key: str | None = None

    def __repr__(self) -> str:
        return f"UnacknowledgedEvents({dict(self._counts)} under way)"

    @property
    def patient_until(self) -> float:
        """Returns the uptime after which tasks are no longer held back for missing acknowledgements."""
        return self._acknowledged_at + PATIENCE_SECONDS

    def add(self, seq: int, key: str, now: float) -> None:
        """Counts an unacknowledged event of the fairness key `key`.

        Counts nothing while no gateway acknowledges events.
        """
        if self._last_key not in (None, key):
            self._contended_until = now + CONTENDED_SECONDS
        self._last_key = key
        # No gateway acknowledges anything: no task is held back, and nothing need be counted.
        if now >= self.patient_until:
            self._under_way.clear()
            self._counts.clear()
            return
        self._under_way.append((seq, key))
        self._counts[key] += 1

    def acknowledge(self, seq: int, now: float) -> None:
        """Stops counting the events up to `seq` as unacknowledged: the gateway has committed them."""
        self._acknowledged_at = now
        while self._under_way and self._under_way[0][0] <= seq:
            key = self._under_way.popleft()[1]
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]

    def hold_back(self, key: str, now: float) -> bool:
        """Returns whether a fairness key has too many unacknowledged events to start another task now."""
        most = REPORTS_UNDER_WAY if now < self._contended_until else UNDER_WAY_ALONE
        return now < self.patient_until and self._counts[key] >= most


class Processors:
    """Counts a cluster's free and busy processors, in thousandths (millicpu), which add up exactly.

    Tasks of the types in `waiting` only wait, and occupy no processor.
    """

    def __init__(self, cpu: float, *, waiting: Container[str] = ()) -> None:
        self.cpu, self._waiting = cpu, waiting
        self._capacity, self._busy = millicpu(cpu), 0

    def __repr__(self) -> str:
        return f"Processors({self._busy} of {self._capacity} millicpu busy)"

    def has_room_for(self, task: TaskSpec) -> bool:
        return self._busy + self._occupied_by(task) <= self._capacity

    def acquire(self, task: TaskSpec) -> None:
        self._busy += self._occupied_by(task)

    def release(self, task: TaskSpec) -> None:
        self._busy -= self._occupied_by(task)

    def _occupied_by(self, task: TaskSpec) -> int:
        return 0 if task.type in self._waiting else millicpu(task.resources.cpu)

    @property
    def busy(self) -> float:
        """Returns the number of the cluster's processors that running tasks occupy."""
        return self._busy / 1000

    def close(self) -> None:
        """Sets the free processors to none, for good, so that no further task starts."""
        self._capacity = -1  # a task that only waits would start with 0


def millicpu(cpu: float) -> int:
    """Converts a number of processors to thousandths, rounded, but at least one thousandth."""
    return max(1, round(cpu * 1000))
