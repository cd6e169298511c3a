"""Tests the limit of requests a second of each tenant."""

import pytest

from gateway.api.http import rate_limits
from gateway.api.http.rate_limits import RateLimiter


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_and_then_the_rate() -> None:
    """Five seconds' worth at once, then as many as the rate gives; each tenant has its own."""
    clock = Clock()
    limiter = RateLimiter(2.0, clock)

    assert [limiter.take("a") for _ in range(12)] == [0.0] * 10 + [0.5] * 2
    assert limiter.take("b") == 0.0
    clock.now += 0.5
    assert [limiter.take("a"), limiter.take("a")] == [0.0, 0.5]


def test_policy_sets_the_rate_of_a_tenant_and_takes_it_back() -> None:
    """Without a rate nothing is counted."""
    clock = Clock()
    limiter = RateLimiter(None, clock)
    limiter.set_rate("a", 0.2)

    assert [limiter.take("a"), limiter.take("a")] == [0.0, 5.0]
    limiter.set_rate("a", 0.2)
    assert limiter.take("a") == 5.0, "said again, it gives no new burst"
    limiter.set_rate("a", None)
    assert [limiter.take("a") for _ in range(99)] == [0.0] * 99


@pytest.mark.parametrize("rate", [0.0, -1.0, 5e-324])
def test_no_rate_keeps_a_tenant_out_for_ever(rate: float) -> None:
    """Policy is asked by requests: with none at all a rate that was a mistake could not be corrected."""
    limiter = RateLimiter(None, Clock())
    limiter.set_rate("a", rate)

    assert [limiter.take("a"), limiter.take("a")] == [0.0, 60.0]


def test_tenants_that_have_gone_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that is full again limits nobody."""
    monkeypatch.setattr(rate_limits, "TENANTS_MAXIMUM", 10)
    clock = Clock()
    limiter = RateLimiter(1.0, clock)
    for n in range(10):
        limiter.take(f"tenant-{n}")
    clock.now += 5.0
    limiter.take("one more")

    assert repr(limiter) == "<RateLimiter of 1 tenants>"
