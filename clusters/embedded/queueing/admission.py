"""Admission to the processors: the semaphores and rates that a ready task waits for, apart from its turn."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from clusters.embedded.queueing.key_queue import KeyQueue
from clusters.embedded.queueing.queue_settings import QueueSettings
from clusters.embedded.queueing.ready_queue import QueueEntry
from clusters.embedded.queueing.ready_task import ReadyTask
from clusters.embedded.queueing.semaphores import Semaphores, places
from clusters.embedded.queueing.token_buckets import TokenBuckets
from clusters.protocol import RunSpec
from waypost.workflow.task import TaskSpec


class GateKind(StrEnum):
    """The kinds of gates that tasks wait at."""

    SEMAPHORE = "semaphore"
    RATE = "rate"


class Gate(NamedTuple):
    """A gate that tasks of one key must pass: a semaphore as some of its runs bound it, or a rate."""

    kind: GateKind
    key: str
    name: str
    """The name of the semaphore, or of the executor."""
    limit: int = 0
    """The places of the semaphore, as the task's run says; 0 for a rate."""


class Admission:
    """The gates of a cluster, with the tasks parked at each: they are not in line for a processor.

    A gate with parked tasks is closed, or one of its tasks is in line. So whenever a place may have become
    free (a task ended, or one in line started, was withdrawn or parked elsewhere) one parked task, the first
    in the order of the queue, is put in line, by `wake`.
    """

    def __init__(
        self,
        settings: QueueSettings,
        *,
        new_queue: Callable[[RunSpec], KeyQueue],
        line_up: Callable[[QueueEntry], None],
    ) -> None:
        self._semaphores, self._buckets = Semaphores(), TokenBuckets(settings.rates)
        self._rates = settings.rates
        self._new_queue, self._line_up = new_queue, line_up
        self._parked: dict[Gate, KeyQueue] = {}
        self._limits: dict[tuple[str, str], set[int]] = {}
        """The limits under which tasks are parked at each semaphore, by key and name."""
        self._due: dict[Gate, float] = {}
        """The uptimes at which the next task parked at a rate may start."""

    def __repr__(self) -> str:
        parked = {"/".join(map(str, gate)): len(queue) for gate, queue in self._parked.items()}
        return f"Admission({self._semaphores}, {self._buckets}, parked {parked})"

    def _gates(self, task: ReadyTask) -> Iterator[Gate]:
        spec = task.spec
        if spec.semaphore is not None:
            yield Gate(GateKind.SEMAPHORE, task.key, spec.semaphore, places(task.run, spec.semaphore))
        if spec.type in self._rates:
            yield Gate(GateKind.RATE, task.key, spec.type)

    def _is_open(self, gate: Gate, now: float) -> bool:
        if gate.kind is GateKind.SEMAPHORE:
            return self._semaphores.taken(gate.key, gate.name) < gate.limit
        return self._buckets.ready_at(gate.key, gate.name, now) <= now

    def closed_gate(self, task: ReadyTask, now: float) -> Gate | None:
        """Returns the first gate that does not let the task start now; None if all are open."""
        if task.spec.semaphore is None and not self._rates:
            return None
        return next((gate for gate in self._gates(task) if not self._is_open(gate, now)), None)

    def park(self, entry: QueueEntry, gate: Gate, now: float) -> None:
        """Parks a task, which has left the line, at a closed gate."""
        queue = self._parked.get(gate)
        if queue is None:
            queue = self._parked[gate] = self._new_queue(entry.task.run)
        queue.add(entry.number, entry.task)
        if gate.kind is GateKind.SEMAPHORE:
            self._limits.setdefault((gate.key, gate.name), set()).add(gate.limit)
        else:
            self._due[gate] = self._buckets.ready_at(gate.key, gate.name, now)
        # It might have been the task in line of another gate.
        self._wake_gates(entry.task, now, but=gate)

    def unpark(self, entry: QueueEntry) -> bool:
        """Removes a task that is not to start from where it is parked; returns whether it was parked."""
        for gate in self._gates(entry.task):
            queue = self._parked.get(gate)
            if queue is not None and entry.number in queue:
                queue.remove(entry.number)
                self._drop_if_empty(gate, queue)
                return True
        return False

    def leave_line(self, task: ReadyTask, now: float) -> None:
        """Records that a task has left the line, to start or for good: another one may take its place."""
        if task.spec.semaphore is not None or self._rates:
            self._wake_gates(task, now)

    def start(self, task: ReadyTask, now: float) -> None:
        """Takes the places at its gates for a task that starts."""
        self._semaphores.acquire(task.run, task.spec)
        self._buckets.take(task.key, task.spec.type, now)
        self.leave_line(task, now)

    def end(self, run: RunSpec, task: TaskSpec, now: float) -> None:
        """Gives back the places of a task that has ended."""
        if task.semaphore is None:
            return
        self._semaphores.release(run, task)
        key, name = run.fairness_key, task.semaphore
        for limit in sorted(self._limits.get((key, name), ()), reverse=True):
            self._wake(Gate(GateKind.SEMAPHORE, key, name, limit), now)

    def _wake_gates(self, task: ReadyTask, now: float, *, but: Gate | None = None) -> None:
        for gate in self._gates(task):
            if gate != but:
                self._wake(gate, now)

    def _wake(self, gate: Gate, now: float) -> None:
        """Puts the first of the tasks parked at the gate in line, if it is open."""
        queue = self._parked.get(gate)
        if queue is None:
            return
        if not self._is_open(gate, now):
            if gate.kind is GateKind.RATE:
                self._due[gate] = self._buckets.ready_at(gate.key, gate.name, now)
            return
        number = queue.first(now)
        assert number is not None, "a gate without parked tasks is dropped"
        entry = QueueEntry(number, queue.remove(number))
        self._drop_if_empty(gate, queue)
        self._due.pop(gate, None)
        self._line_up(entry)

    def _drop_if_empty(self, gate: Gate, queue: KeyQueue) -> None:
        if len(queue):
            return
        del self._parked[gate]
        self._due.pop(gate, None)
        limits = self._limits.get((gate.key, gate.name), set())
        if gate.kind is GateKind.SEMAPHORE and limits:
            limits.discard(gate.limit)
            if not limits:
                del self._limits[gate.key, gate.name]

    def wake_due(self, now: float) -> None:
        """Puts tasks in line that were parked at a rate and may start by now."""
        for gate in sorted(gate for gate, at in self._due.items() if at <= now):
            self._wake(gate, now)

    @property
    def next_timer(self) -> float | None:
        """Returns the uptime at which `wake_due` is to be called; None if nothing waits for a time."""
        return min(self._due.values(), default=None)

    @property
    def oldest_since(self) -> float | None:
        """Returns the uptime since which the oldest parked task waits; None if none is parked."""
        oldest = (queue.oldest for queue in self._parked.values())
        return min((task.since for task in oldest if task is not None), default=None)

    @property
    def parked_keys(self) -> set[str]:
        return {gate.key for gate in self._parked}

    def forget_idle(self, now: float) -> None:
        self._buckets.forget_full(now)

    def taken(self, gate: Gate) -> int:
        """Returns the number of places that running tasks hold at a semaphore."""
        return self._semaphores.taken(gate.key, gate.name)

    def open_at(self, gate: Gate, now: float) -> float:
        """Returns the uptime from which a rate's gate lets a task start."""
        return self._buckets.ready_at(gate.key, gate.name, now)
