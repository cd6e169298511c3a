"""The table of a cluster's attempts, by identity and by shard, with the timers set for them."""

import heapq
from collections import deque
from collections.abc import Collection, Iterable

from clusters.embedded.scheduling.attempt import Attempt
from clusters.protocol import AttemptId


class Attempts:
    """The table of the attempts that a cluster knows, with the timers set for them.

    Only its methods change the number of attempts that count against the cluster's slots.
    """

    def __init__(self, attempts: Iterable[Attempt]) -> None:
        self.by_id: dict[AttemptId, Attempt] = {}
        self.held = 0
        """The number of attempts that are not over; each occupies one of the cluster's slots."""
        self._by_shard: dict[tuple[str, int], dict[AttemptId, Attempt]] = {}
        self._ended: deque[Attempt] = deque()
        """The ended attempts, in the order of their end."""
        self._timers: list[tuple[float, AttemptId]] = []
        """The timers as a heap by uptime.

        A timer that fires for nothing is harmless, so none is removed early.
        """
        for attempt in attempts:
            self.add(attempt)
        ended = (attempt for attempt in self.by_id.values() if attempt.end_seq)
        self._ended.extend(sorted(ended, key=lambda attempt: attempt.end_seq))

    def __repr__(self) -> str:
        return f"Attempts({self.held} held, {len(self.by_id)} known, next timer {self.next_timer})"

    @property
    def shards(self) -> Collection[tuple[str, int]]:
        return self._by_shard.keys()

    def of_shard(self, shard: tuple[str, int]) -> list[Attempt]:
        """Returns the attempts of one shard, given as (run, shard), in a new list."""
        return list(self._by_shard.get(shard, {}).values())

    def has_leftovers(self, shard: tuple[str, int]) -> bool:
        """Returns whether a stopped attempt of the shard still has running processes."""
        attempts = self._by_shard.get(shard, {}).values()
        return any(attempt.stopped and attempt.running for attempt in attempts)

    def add(self, attempt: Attempt) -> None:
        self.by_id[attempt.id] = attempt
        self._by_shard.setdefault(attempt.shard, {})[attempt.id] = attempt
        self.held += not attempt.over

    def remove(self, attempt: Attempt) -> None:
        del self.by_id[attempt.id]
        del self._by_shard[attempt.shard][attempt.id]
        if not self._by_shard[attempt.shard]:
            del self._by_shard[attempt.shard]
        self.held -= not attempt.over

    def mark_stopped(self, attempt: Attempt) -> None:
        self.held -= not attempt.over
        attempt.stopped = True

    def mark_ended(self, attempt: Attempt, seq: int, wall: float) -> None:
        self.held -= not attempt.over
        attempt.end_seq, attempt.ended_at = seq, wall
        self._ended.append(attempt)

    def remove_acknowledged(self, acknowledged: int) -> list[Attempt]:
        """Removes the attempts whose end the gateway has acknowledged, and returns them."""
        removed = []
        while self._ended and self._ended[0].end_seq <= acknowledged:
            attempt = self._ended.popleft()
            # One that was tombstoned or withdrawn after its end is gone already.
            if self.by_id.get(attempt.id) is attempt and not attempt.stopped:
                self.remove(attempt)
                removed.append(attempt)
        return removed

    def set_timer(self, attempt: Attempt, at: float) -> None:
        """Sets a timer of `attempt` that fires at the uptime `at`."""
        heapq.heappush(self._timers, (at, attempt.id))

    def pop_timers(self, now: float) -> list[Attempt]:
        """Removes the timers that have fired by `now`, and returns their attempts, each once."""
        found: dict[AttemptId, Attempt] = {}
        while self._timers and self._timers[0][0] <= now:
            identity = heapq.heappop(self._timers)[1]
            if identity in self.by_id:
                found[identity] = self.by_id[identity]
        return list(found.values())

    @property
    def next_timer(self) -> float | None:
        """Returns the uptime at which the next timer fires; None where no timer is set."""
        return self._timers[0][0] if self._timers else None
