"""The ready tasks of all fairness keys (tenants), of which the key with the smallest share is served next."""

import heapq
import itertools
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from clusters.embedded.queueing.key_queue import KeyQueue, KeyStarts
from clusters.embedded.queueing.policies import POLICIES
from clusters.embedded.queueing.queue_settings import QueueSettings
from clusters.embedded.queueing.ready_task import ReadyTask
from clusters.protocol import RunSpec
from waypost.workflow.task import TaskSpec

START_SECONDS: Final = 0.1
"""The processor seconds that each start counts for at least, however short the task and few its processors.

So a tenant whose tasks end at once has turns like any other.
"""


class QueueEntry(Struct, frozen=True, eq=False):
    """The place of a task in the queue: its number, in the order of arrival, and the task."""

    number: int
    task: ReadyTask


class KeyShare(Struct):
    """What one fairness key has used, by its weight: processors now, and processor seconds until now."""

    weight: float
    starts: KeyStarts
    line: KeyQueue
    busy: int = 0
    """What running tasks of the key take of the cluster, in millicpu."""
    turn: float = 0.0
    """The processor seconds of its tasks, divided by its weight.

    Of a key that was idle it is at least that of the key served last: nobody saves up turns.
    """
    version: int = 0
    """The number of the newest entry of the key in the heap of keys; all others are out of date."""


class ReadyQueue:
    """The ready tasks of a cluster. Keys (tenants) share its processors; `KeyQueue` orders each key's tasks.

    The first key is the one whose running tasks have the fewest processors, by its weight; among equals the
    one whose tasks have used the fewest processor seconds. So neither the number, the priority nor the length
    of one key's tasks keeps another key from its share. `occupied_by` gives what a running task takes of the
    cluster, in millicpu.
    """

    def __init__(self, settings: QueueSettings, *, occupied_by: Callable[[TaskSpec], int]) -> None:
        self._occupied_by = occupied_by
        self._rank, self._aging_seconds = POLICIES[settings.policy], settings.aging_seconds
        self._shares: dict[str, KeyShare] = {}
        self._versions = itertools.count(1)
        self._order: list[tuple[float, float, int, str]] = []
        """The keys that have tasks and are not held, as a heap: busy, turn, version, key."""
        self._turn = 0.0
        """The turn of the key served last."""
        self._held: set[str] = set()
        """The keys that are held back until `release_keys`."""

    def __repr__(self) -> str:
        lines = {key: len(share.line) for key, share in self._shares.items() if len(share.line)}
        return f"ReadyQueue({lines}, held {sorted(self._held)})"

    @property
    def holds_keys(self) -> bool:
        return bool(self._held)

    def new_key_queue(self, run: RunSpec) -> KeyQueue:
        """Returns an empty queue for tasks of the run's key that are not in line; its order is the same."""
        return KeyQueue(self._rank, self._share(run).starts, aging_seconds=self._aging_seconds)

    def length_of(self, key: str) -> int:
        """Returns the number of the key's tasks in line."""
        return len(self._shares[key].line) if key in self._shares else 0

    def add(self, entry: QueueEntry) -> None:
        """Puts a task in line."""
        share = self._share(entry.task.run)
        share.line.add(entry.number, entry.task)
        if len(share.line) == 1:
            share.turn = max(share.turn, self._turn)
            self._place_key(entry.task.key, share)

    def _share(self, run: RunSpec) -> KeyShare:
        share = self._shares.get(run.fairness_key)
        if share is None:
            starts = KeyStarts()
            line = KeyQueue(self._rank, starts, aging_seconds=self._aging_seconds)
            share = KeyShare(weight=run.fairness_weight, starts=starts, line=line)
            self._shares[run.fairness_key] = share
        # Policy may have changed it since: the newest run has the weight that counts.
        share.weight = run.fairness_weight
        return share

    def _place_key(self, key: str, share: KeyShare) -> None:
        """Puts a key into its place among the keys, if it has tasks and is not held back."""
        share.version = next(self._versions)
        if len(share.line) and key not in self._held:
            heapq.heappush(self._order, (share.busy / share.weight, share.turn, share.version, key))

    def first(self, now: float) -> QueueEntry | None:
        """Returns the entry of the task that is first at uptime `now`; None if no task is in line."""
        while self._order:
            _, _, version, key = self._order[0]
            share = self._shares.get(key)
            if share is not None and share.version == version:
                number = share.line.first(now)
                if number is not None:
                    return QueueEntry(number, share.line[number])
            heapq.heappop(self._order)
        return None

    def remove(self, entry: QueueEntry) -> None:
        """Removes a task that was in line and does not start."""
        self._shares[entry.task.key].line.remove(entry.number)

    def start(self, entry: QueueEntry) -> None:
        """Removes a task that starts; the share of its key grows."""
        task = entry.task
        share = self._shares[task.key]
        share.line.remove(entry.number)
        share.starts.add(task.run.run)
        share.busy += self._occupied_by(task.spec)
        self._turn = max(self._turn, share.turn)
        share.turn += START_SECONDS / share.weight
        self._place_key(task.key, share)

    def end(self, run: RunSpec, task: TaskSpec, seconds: float) -> None:
        """Records that a task of the run, which was started, has ended after `seconds`."""
        share = self._share(run)
        occupied = self._occupied_by(task)
        share.busy -= occupied
        share.turn += max(0.0, occupied / 1_000 * seconds - START_SECONDS) / share.weight
        self._place_key(run.fairness_key, share)

    def hold_key(self, key: str) -> None:
        """Holds back all tasks of a key until `release_keys`."""
        self._held.add(key)
        self._shares[key].version = next(self._versions)

    def release_keys(self) -> None:
        """Lets the tasks of all held keys be first again."""
        held, self._held = self._held, set()
        for key in held:
            self._place_key(key, self._shares[key])

    def is_held(self, key: str) -> bool:
        return key in self._held

    @property
    def oldest_since(self) -> float | None:
        """Returns the uptime since which the oldest task in line waits; None if there is none."""
        oldest = (share.line.oldest for share in self._shares.values())
        return min((task.since for task in oldest if task is not None), default=None)

    def forget_idle(self, parked_keys: set[str]) -> None:
        """Drops the shares of keys without tasks, so that ended runs and tenants use no memory.

        Keys that run tasks or whose turn is still to come keep theirs, and so do `parked_keys`.
        """
        for key, share in list(self._shares.items()):
            if len(share.line) or key in self._held or key in parked_keys:
                runs = share.line.runs
                if key not in parked_keys:
                    share.starts.last_of_run = {
                        run: at for run, at in share.starts.last_of_run.items() if run in runs
                    }
            elif not share.busy:
                share.starts.last_of_run.clear()
                if share.turn <= self._turn:
                    del self._shares[key]
