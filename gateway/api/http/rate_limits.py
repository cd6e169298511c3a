"""`RateLimiter`: limits the requests per second of each tenant with a token bucket."""

from collections.abc import Callable
from dataclasses import dataclass

BURST_SECONDS = 5.0
"""The length of a burst: a tenant may make so many seconds' worth of requests at once."""
RATE_MINIMUM = 1 / 60
"""The minimum rate that policy can set, in requests per second.

Policy is asked again only with a request, so that a corrected rate can count.
"""
TENANTS_MAXIMUM = 10_000
"""The number of token buckets from which on full ones, which limit nobody now, are dropped."""


@dataclass(slots=True)
class Bucket:
    """The token bucket of one tenant: how many requests (`tokens`) it may make at the monotonic time `at`.

    Each second adds `rate` tokens, up to `size`.
    """

    tokens: float
    at: float
    rate: float

    @property
    def size(self) -> float:
        return max(1.0, self.rate * BURST_SECONDS)

    def refill(self, now: float) -> None:
        self.tokens = min(self.size, self.tokens + (now - self.at) * self.rate)
        self.at = now


class RateLimiter:
    """Limits the requests per second of each tenant with a token bucket. `clock` gives monotonic seconds.

    `rate` is the default limit, for tenants that `set_rate` gave none of their own; None: no limit.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float]) -> None:
        self._rate, self._clock = rate, clock
        self._buckets: dict[str, Bucket] = {}

    def __repr__(self) -> str:
        return f"<RateLimiter of {len(self._buckets)} tenants>"

    def take(self, tenant: str) -> float:
        """Takes a token for a request of the tenant; returns 0, or the seconds to wait if there is none."""
        bucket = self._buckets.get(tenant)
        if bucket is None:
            if self._rate is None:
                return 0.0
            bucket = self._add(tenant, self._rate)
        bucket.refill(self._clock())
        if bucket.tokens < 1.0:
            return (1.0 - bucket.tokens) / bucket.rate
        bucket.tokens -= 1.0
        return 0.0

    def set_rate(self, tenant: str, rate: float | None) -> None:
        """Sets the tenant's own limit in requests per second, which policy names; None: the default limit."""
        rate = self._rate if rate is None else max(rate, RATE_MINIMUM)
        if rate is None:
            self._buckets.pop(tenant, None)
        elif tenant not in self._buckets:
            self._add(tenant, rate)
        elif self._buckets[tenant].rate != rate:
            self._buckets[tenant].rate = rate

    def _add(self, tenant: str, rate: float) -> Bucket:
        now = self._clock()
        if len(self._buckets) >= TENANTS_MAXIMUM:
            for bucket in self._buckets.values():
                bucket.refill(now)
            self._buckets = {name: one for name, one in self._buckets.items() if one.tokens < one.size}
        bucket = Bucket(tokens=max(1.0, rate * BURST_SECONDS), at=now, rate=rate)
        self._buckets[tenant] = bucket
        return bucket
