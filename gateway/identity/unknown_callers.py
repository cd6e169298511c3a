"""`UnknownCallers`: limits the rate of requests without a verified token, by IP address.

No other limit bounds such requests: the others are those of a tenant. A request without an acceptable token
uses up one of the `BURST` requests of its address, of which `RATE` come back each second. Where none is left
requests wait: that slows a client down, and keeps nobody out whose token is known. Behind a proxy all callers
have one address. Requests that must not be refused (cancellations) are counted apart, and only wait.
"""

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.core.errors import TooManyRequests

RATE: Final = 50.0
"""The requests per second without a known token that one address may make in the long run."""
BURST: Final = 250.0
WAIT_SECONDS: Final = 5.0
"""The longest wait in seconds; a request that would wait longer is refused after so long.

Its token is not looked at.
"""
ADDRESSES_MAXIMUM: Final = 10_000
"""The number of addresses with a count, beyond which those with their full burst are dropped."""


class UnknownCallers:
    """Limits the rate of requests without a verified token, by IP address.

    `clock` gives monotonic seconds.
    """

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
        """Counts a request of `address`, and waits until the rate allows it, `WAIT_SECONDS` at most.

        Raises `TooManyRequests` after that time if the request would have to wait longer. A request that must
        not be refused (`sheds` False) goes on instead: only the number of connections bounds these.
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

    def uncount(self, address: str, *, sheds: bool = True) -> None:
        """Takes one request off the count of `address`, since its caller was authenticated after all."""
        key = network_of(address), sheds
        self._left[key] = min(BURST, self._left_now(key) + 1.0), self._clock()

    def _left_now(self, key: tuple[str, bool]) -> float:
        left, at = self._left.get(key, (BURST, 0.0))
        return min(BURST, left + (self._clock() - at) * RATE)


def network_of(address: str) -> str:
    """Returns the network by which an address is counted: an IPv6 address by its /64, others by themselves.

    One client may have a whole /64.
    """
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
