"""Counts the events that a cluster's gateway has not acknowledged, and holds back keys that have too many."""

from collections import Counter, deque

NEVER = float("-inf")
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
