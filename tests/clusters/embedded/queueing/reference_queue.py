"""A slow, obvious model of the task queue: lists that are sorted at each question, without any heap."""

import math
from collections import Counter, defaultdict
from fractions import Fraction
from typing import Any

from clusters.embedded.queueing.key_queue import OVERDUE_EVERY
from clusters.embedded.queueing.policies import QueuePolicy
from clusters.embedded.queueing.queue_settings import QueueSettings
from clusters.embedded.queueing.ready_queue import START_SECONDS
from clusters.embedded.queueing.ready_task import ReadyTask

Numbered = tuple[int, ReadyTask]


class ReferenceQueue:
    """Does what `TaskQueue` promises, for tasks that occupy processors and memory, in the plainest way."""

    def __init__(self, millicpu: int, settings: QueueSettings, mib: int = 0) -> None:
        self.free, self.settings, self.free_mib = millicpu, settings, mib
        self.millicpu, self.mib = millicpu, mib
        self.line: list[Numbered] = []
        self.parked: dict[tuple[str, ...], list[Numbered]] = defaultdict(list)
        self.taken = Counter[tuple[str, str]]()
        self.starts, self.served = Counter[str](), dict[tuple[str, str], int]()
        self.busy, self.turn, self.weight = Counter[str](), defaultdict[str, float](float), dict[str, float]()
        self.placed, self.clock, self.number = dict[str, int](), 0, 0
        self.now_turn = 0.0
        self.timed = set[tuple[str, ...]]()
        """The rates that wake one of their parked tasks when they have a token."""
        self.tokens: dict[tuple[str, str], tuple[float, float]] = {}

    def memory(self, task: ReadyTask) -> int:
        return (task.spec.resources.memory_mib or 0) if self.mib else 0

    def taken_by(self, task: ReadyTask) -> int:
        """Returns what a running task takes of the cluster: of processors or memory, the larger part."""
        part = Fraction(self.memory(task), self.mib) if self.mib else Fraction(0)
        return max(round(task.spec.resources.cpu * 1000), math.ceil(part * self.millicpu))

    # The order

    def rank(self, task: ReadyTask) -> tuple[float, ...]:
        match self.settings.policy:
            case QueuePolicy.PRIORITY:
                return (-task.run.priority, -task.spec.priority)
            case QueuePolicy.FIFO:
                return (task.since,)
            case QueuePolicy.EDF:
                return (task.deadline,)
            case QueuePolicy.RATE_MONOTONIC:
                return (task.run.period_seconds or float("inf"),)

    def best(self, tasks: list[Numbered], now: float) -> Numbered:
        """Returns the first of one key's tasks."""
        number, task = min(tasks, key=lambda one: one[0])
        overdue = now - task.since >= self.settings.aging_seconds
        if (self.starts[task.key] + 1) % OVERDUE_EVERY == 0 and overdue:
            return number, task
        return min(tasks, key=lambda one: self.order_of(*one))

    def order_of(self, number: int, task: ReadyTask) -> Any:
        served = self.served.get((task.key, task.run.run), 0)
        return (self.rank(task), served, task.run.run, -task.path, number)

    def first_key(self) -> str:
        keys = {task.key for _, task in self.line}
        return min(keys, key=lambda k: (self.busy[k] / self.weight[k], self.turn[k], self.placed[k]))

    # Gates

    def gates(self, task: ReadyTask) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        if task.spec.semaphore:
            limit = task.run.semaphores[task.spec.semaphore]
            found.append(("semaphore", task.key, task.spec.semaphore, str(limit)))
        if task.spec.type in self.settings.rates:
            found.append(("rate", task.key, task.spec.type))
        return found

    def is_open(self, gate: tuple[str, ...], now: float) -> bool:
        if gate[0] == "semaphore":
            return self.taken[gate[1], gate[2]] < int(gate[3])
        tokens, at = self.tokens.get((gate[1], gate[2]), (1e9, now))
        return tokens + (now - at) * self.settings.rates[gate[2]] >= 1 - 1e-9

    def wake(self, gate: tuple[str, ...], now: float) -> None:
        if self.parked[gate] and self.is_open(gate, now):
            best = self.best(self.parked[gate], now)
            self.parked[gate].remove(best)
            self.timed.discard(gate)
            self.line_up(best)
        elif self.parked[gate] and gate[0] == "rate":
            self.timed.add(gate)

    # What happens to it

    def place(self, key: str) -> None:
        self.clock += 1
        self.placed[key] = self.clock

    def line_up(self, entry: Numbered) -> None:
        key = entry[1].key
        self.weight[key] = entry[1].run.fairness_weight
        if not any(task.key == key for _, task in self.line):
            self.turn[key] = max(self.turn[key], self.now_turn)
            self.place(key)
        self.line.append(entry)

    def add(self, task: ReadyTask) -> None:
        self.number += 1
        self.line_up((self.number, task))

    def withdraw(self, attempt: Any, name: str, now: float) -> None:
        for where in (self.line, *self.parked.values()):
            for entry in where:
                if (entry[1].attempt, entry[1].task) == (attempt, name):
                    where.remove(entry)
                    if where is self.line:
                        for gate in self.gates(entry[1]):
                            self.wake(gate, now)
                    return

    def next_task(self, now: float) -> Numbered | None:
        while self.line:
            key = self.first_key()
            entry = self.best([one for one in self.line if one[1].key == key], now)
            closed = [gate for gate in self.gates(entry[1]) if not self.is_open(gate, now)]
            if not closed:
                need = round(entry[1].spec.resources.cpu * 1000)
                return entry if need <= self.free and self.memory(entry[1]) <= self.free_mib else None
            self.line.remove(entry)
            self.parked[closed[0]].append(entry)
            if closed[0][0] == "rate":
                self.timed.add(closed[0])
            for gate in self.gates(entry[1]):
                if gate != closed[0]:
                    self.wake(gate, now)
        return None

    def start(self, entry: Numbered, now: float) -> None:
        task = entry[1]
        key, cpu = task.key, round(task.spec.resources.cpu * 1000)
        self.line.remove(entry)
        self.free -= cpu
        self.free_mib -= self.memory(task)
        self.busy[key] += self.taken_by(task)
        self.starts[key] += 1
        self.served[key, task.run.run] = self.starts[key]
        self.now_turn = max(self.now_turn, self.turn[key])
        self.turn[key] += START_SECONDS / self.weight[key]
        self.place(key)
        if task.spec.semaphore:
            self.taken[key, task.spec.semaphore] += 1
        if (rate := self.settings.rates.get(task.spec.type)) is not None:
            most = max(1.0, rate)
            tokens, at = self.tokens.get((key, task.spec.type), (most, now))
            self.tokens[key, task.spec.type] = (max(1.0, min(most, tokens + (now - at) * rate)) - 1, now)
        for gate in self.gates(task):
            self.wake(gate, now)

    def end(self, task: ReadyTask, seconds: float, now: float) -> None:
        key, cpu = task.key, round(task.spec.resources.cpu * 1000)
        self.free += cpu
        self.free_mib += self.memory(task)
        self.busy[key] -= self.taken_by(task)
        self.turn[key] += max(0.0, self.taken_by(task) / 1000 * seconds - START_SECONDS) / self.weight[key]
        self.place(key)
        if task.spec.semaphore:
            self.taken[key, task.spec.semaphore] -= 1
            mine = [g for g in self.parked if g[0] == "semaphore" and g[1:3] == (key, task.spec.semaphore)]
            for gate in sorted(mine, key=lambda gate: -int(gate[3])):
                self.wake(gate, now)

    def tick(self, now: float) -> None:
        for gate in sorted(self.timed):
            self.wake(gate, now)
