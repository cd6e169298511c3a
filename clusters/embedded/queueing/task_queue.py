"""The task queue of a cluster: takes ready tasks, and says which may start now on the free processors."""

import itertools

from clusters.embedded.queueing.admission import Admission, Gate, GateKind
from clusters.embedded.queueing.capacity import Capacity
from clusters.embedded.queueing.queue_settings import QueueSettings
from clusters.embedded.queueing.ready_queue import QueueEntry, ReadyQueue
from clusters.embedded.queueing.ready_task import ReadyTask
from clusters.embedded.queueing.unacknowledged_events import UnacknowledgedEvents
from clusters.protocol import AttemptId, RunSpec
from clusters.task_waits import TaskWait, WaitReason
from waypost.workflow.task import TaskSpec


class TaskQueue:
    """The ready tasks of a cluster, its processors and memory, and what else a task must have to start.

    `next_task` gives the task that may start now, `start` lets it; `end` gives back what it held. Tasks that
    occupy no processor, since they only wait, stand in a line of their own: they wait for none.
    """

    def __init__(self, capacity: Capacity, settings: QueueSettings) -> None:
        self.unacknowledged = UnacknowledgedEvents()
        self._settings = settings
        self._capacity = capacity
        self._line, self._free_line = (
            ReadyQueue(settings, occupied_by=capacity.occupied_by) for _ in range(2)
        )
        self._admission = Admission(settings, new_queue=self._line.new_key_queue, line_up=self._line_up)
        self._numbers = itertools.count(1)
        self._entries: dict[tuple[AttemptId, str], QueueEntry] = {}
        self._first: QueueEntry | None = None
        """The entry that `next_task` has returned last."""

    def __repr__(self) -> str:
        return f"TaskQueue({len(self)} tasks, {self._capacity}, {self._line}, {self._admission})"

    def __len__(self) -> int:
        """Returns the number of waiting tasks, parked and held ones included."""
        return len(self._entries)

    @property
    def full(self) -> bool:
        """Returns whether so many tasks wait that the cluster should take no further attempt."""
        return len(self._entries) >= self._settings.tasks

    def add(self, task: ReadyTask) -> None:
        entry = QueueEntry(next(self._numbers), task)
        self._entries[task.attempt, task.task] = entry
        self._line_up(entry)

    def _line_up(self, entry: QueueEntry) -> None:
        self._line_of(entry).add(entry)

    def _line_of(self, entry: QueueEntry) -> ReadyQueue:
        return self._line if self._capacity.occupied_by(entry.task.spec) else self._free_line

    def withdraw(self, attempt: AttemptId, task: str, now: float) -> None:
        """Removes a waiting task that is not to start."""
        entry = self._entries.pop((attempt, task))
        if not self._admission.unpark(entry):
            self._line_of(entry).remove(entry)
            self._admission.leave_line(entry.task, now)

    def next_task(self, now: float) -> ReadyTask | None:
        """Returns the first task, in the queue's order, that may start at uptime `now`; None if none may.

        Tasks at a closed gate, and keys with too many unacknowledged events, are passed over. A task for
        which too few processors or too little memory are free is not: one that asks for much would never
        start.
        """
        for line in (self._free_line, self._line):
            while (entry := line.first(now)) is not None:
                task = entry.task
                # Further events of this key would delay those of all others: they share one stream.
                if self.unacknowledged.hold_back(task.key, now):
                    line.hold_key(task.key)
                elif (gate := self._admission.closed_gate(task, now)) is not None:
                    line.remove(entry)
                    self._admission.park(entry, gate, now)
                elif self._capacity.has_room_for(task.spec):
                    self._first = entry
                    return task
                else:
                    break
        return None

    def start(self, now: float) -> None:
        """Removes the task that `next_task` has just returned, and takes all that it needs to run."""
        entry, self._first = self._first, None
        assert entry is not None, "next_task comes first"
        task = entry.task
        del self._entries[task.attempt, task.task]
        self._capacity.acquire(task.spec)
        self._line_of(entry).start(entry)
        self._admission.start(task, now)

    def end(self, run: RunSpec, task: TaskSpec, seconds: float, now: float) -> None:
        """Gives back what a task held that was started, and has ended after `seconds`."""
        self._capacity.release(task)
        line = self._line if self._capacity.occupied_by(task) else self._free_line
        line.end(run, task, seconds)
        self._admission.end(run, task, now)

    def acknowledge(self, seq: int, now: float) -> None:
        """Records that the gateway has committed events up to `seq`; keys held back until then go on."""
        self.unacknowledged.acknowledge(seq, now)
        self._release_keys()

    def _release_keys(self) -> None:
        self._line.release_keys()
        self._free_line.release_keys()

    def tick(self, now: float) -> None:
        """Puts in line what has waited for a time that has come.

        Keys that await acknowledgements go on if none has come for `PATIENCE_SECONDS`.
        """
        if now >= self.unacknowledged.patient_until:
            self._release_keys()
        self._admission.wake_due(now)

    @property
    def next_timer(self) -> float | None:
        """Returns the uptime at which `tick` is to be called; None if nothing waits for a time."""
        holds = self._line.holds_keys or self._free_line.holds_keys
        release = self.unacknowledged.patient_until if holds else None
        timers = (self._admission.next_timer, release)
        return min((at for at in timers if at is not None), default=None)

    @property
    def processors_busy(self) -> float:
        return self._capacity.busy

    @property
    def memory_busy(self) -> int:
        return self._capacity.memory_busy

    def close(self) -> None:
        """Lets no further task start, for good."""
        self._capacity.close()

    def oldest_seconds(self, now: float) -> float:
        """Returns how long the task has waited that has waited longest; 0 if none waits."""
        places = (self._line, self._free_line, self._admission)
        since = [at for place in places if (at := place.oldest_since) is not None]
        return max(0.0, now - min(since, default=now))

    def forget_idle(self, now: float) -> None:
        """Drops what is stored of runs and keys that have no tasks: ended ones use no memory."""
        self._line.forget_idle(self._admission.parked_keys)
        self._free_line.forget_idle(set())
        self._admission.forget_idle(now)

    def wait_of(self, attempt: AttemptId, task: str, now: float) -> TaskWait:
        """Returns what a queued task waits for."""
        waiting = self._entries[attempt, task].task
        seconds = max(0.0, now - waiting.since)
        if (gate := self._admission.closed_gate(waiting, now)) is not None:
            return self._wait_at(gate, task, seconds, now)
        if self._line.is_held(waiting.key) or self._free_line.is_held(waiting.key):
            return TaskWait(task=task, reason=WaitReason.REPORTS, seconds=seconds)
        first = self._line.first(now)
        others = first is not None and first.task.key != waiting.key
        if first is not None and not others and self._capacity.lacks_memory_for(first.task.spec):
            return self._wait_for_memory(first.task, task, seconds)
        return TaskWait(
            task=task,
            reason=WaitReason.TURN if others else WaitReason.PROCESSOR,
            seconds=seconds,
            ahead=self._line.length_of(waiting.key) - 1,
        )

    def _wait_for_memory(self, first: ReadyTask, task: str, seconds: float) -> TaskWait:
        """Returns that a task waits for memory, or behind the first task in line, which does."""
        return TaskWait(
            task=task,
            reason=WaitReason.MEMORY,
            seconds=seconds,
            name="" if first.task == task else first.task,
            asked=self._capacity.memory_of(first.spec),
            taken=self._capacity.memory_busy,
            places=self._capacity.memory_mib or 0,
        )

    def _wait_at(self, gate: Gate, task: str, seconds: float, now: float) -> TaskWait:
        if gate.kind is GateKind.RATE:
            opens = max(0.0, self._admission.open_at(gate, now) - now)
            return TaskWait(
                task=task, reason=WaitReason.RATE, seconds=seconds, name=gate.name, left_seconds=opens
            )
        taken = self._admission.taken(gate)
        return TaskWait(
            task=task,
            reason=WaitReason.SEMAPHORE,
            seconds=seconds,
            name=gate.name,
            taken=taken,
            places=gate.limit,
        )
