"""Limits the rate of requests from callers who are not authenticated yet, by their IP address.

They are bounded by nothing else: all other limits are those of a tenant. A request without an acceptable
token costs its address one of `BURST`, of which `RATE` come back each second. Where none is left requests
wait for theirs: that slows a client down, and keeps nobody out whose token is known. Behind a proxy all
callers have one address. What must not be refused (a cancellation) is counted apart, and only waits.
"""

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.core.errors import TooManyRequests

RATE: Final = 50.0
"""The number of unauthenticated requests per second that one address may make in the long run."""
BURST: Final = 250.0
WAIT_SECONDS: Final = 5.0
"""The longest wait in seconds; a request that would wait longer is refused after it.

Its token is not looked at.
"""
ADDRESSES_MAXIMUM: Final = 10_000
"""The number of tracked addresses beyond which those with their full burst are dropped."""


class UnknownCallers:
    """The rate limiter of requests without a known token, by IP address. `clock`: monotonic seconds."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._left: dict[tuple[str, bool], tuple[float, float]] = {}
        """The requests left and the time of that count, by address and whether they may be refused.

        Negative: so many requests wait.
        """

    def __repr__(self) -> str:
        return f"<UnknownCallers at {len(self._left)} addresses>"

    async def wait(self, address: str, *, sheds: bool = True) -> None:
        """Counts a request, and waits until it may be answered. Raises `TooManyRequests` if too many wait.

        One that does not shed is answered after the longest wait in that case: how many there are is bounded
        by the connections.
        """
        key = network_of(address), sheds
        left = self._left_now(key) - 1.0
        seconds = -left / RATE
        if seconds > WAIT_SECONDS:
            if not sheds:
                await self._sleep(WAIT_SECONDS)
                return
            # At once would be sooner than for those that are let in, and a client would ask again at once.
            await self._sleep(WAIT_SECONDS)
            raise TooManyRequests(
                "too many requests without an acceptable token come from your address",
                retry_after_seconds=seconds,
            )
        if len(self._left) >= ADDRESSES_MAXIMUM and key not in self._left:
            self._left = {one: found for one, found in self._left.items() if self._left_now(one) < BURST}
        self._left[key] = left, self._clock()
        if seconds > 0.0:
            await self._sleep(seconds)

    def excuse(self, address: str, *, sheds: bool = True) -> None:
        """Takes a request off the count of its address, since its caller was authenticated."""
        key = network_of(address), sheds
        self._left[key] = min(BURST, self._left_now(key) + 1.0), self._clock()

    def _left_now(self, key: tuple[str, bool]) -> float:
        left, at = self._left.get(key, (BURST, 0.0))
        return min(BURST, left + (self._clock() - at) * RATE)


def network_of(address: str) -> str:
    """Returns the limiter's key for an address: itself, or the /64 network of an IPv6 address.

    One client has the whole /64.
    """
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
