"""Token buckets: bound the starts a second of one tenant's tasks of one executor."""

from collections.abc import Mapping

from msgspec import Struct


class Tokens(Struct):
    """The tokens of one bucket as they were at the uptime `at`; each start takes one."""

    tokens: float
    at: float


class TokenBuckets:
    """One bucket for each fairness key and each executor that has a rate, in starts a second.

    A bucket holds the starts of one second, but at least one: after a pause so many may start at once.
    """

    def __init__(self, rates: Mapping[str, float]) -> None:
        self._rates = rates
        self._buckets: dict[tuple[str, str], Tokens] = {}

    def __repr__(self) -> str:
        return f"TokenBuckets({dict(self._rates)} a second, {len(self._buckets)} buckets)"

    def ready_at(self, key: str, executor: str, now: float) -> float:
        """Returns the uptime from which the key may start a task of the executor: `now`, or later."""
        rate = self._rates.get(executor)
        bucket = self._buckets.get((key, executor))
        if rate is None or bucket is None:
            return now
        # From the same numbers as `take` computes: a timer set for it must find the token there.
        ready = bucket.at + max(0.0, 1.0 - bucket.tokens) / rate
        return now if ready <= now else ready

    def take(self, key: str, executor: str, now: float) -> None:
        """Takes a token for a start, which `ready_at` has permitted."""
        if (rate := self._rates.get(executor)) is None:
            return
        most = max(1.0, rate)
        bucket = self._buckets.setdefault((key, executor), Tokens(most, now))
        bucket.tokens = max(1.0, min(most, bucket.tokens + (now - bucket.at) * rate)) - 1.0
        bucket.at = now

    def forget_full(self, now: float) -> None:
        """Drops the buckets that have filled up, which are as new ones."""
        self._buckets = {
            (key, executor): bucket
            for (key, executor), bucket in self._buckets.items()
            if bucket.tokens + (now - bucket.at) * self._rates[executor] < max(1.0, self._rates[executor])
        }
