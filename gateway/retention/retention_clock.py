"""`RetentionClock`: the time by which ages are counted, which jumps with no clock."""

from collections.abc import Callable
from typing import Final

from loguru import logger

from gateway.retention.cutoff import DAY_SECONDS, time_of_retention
from gateway.store.interface import Store

KEPT_SECONDS: Final = 30.0
"""The seconds by which the time must have advanced to be stored again."""


class RetentionClock:
    """The time by which ages are counted: it advances while a gateway runs, and is kept in the store.

    A machine that starts with a wrong date, years ahead, would otherwise have everything deleted as old.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store, self._clock = store, clock
        self._last: float | None = None
        self._read_at: float | None = None
        self._stored: float | None = None

    def __repr__(self) -> str:
        return f"RetentionClock({self._last})"

    async def now(self) -> float:
        """Returns the time by which ages are counted now. Raises `Unavailable` if the store fails."""
        first = self._read_at is None
        if first:
            self._last = self._stored = await self._store.retention_time()
        at = self._clock()
        elapsed = 0.0 if self._read_at is None else max(0.0, at - self._read_at)
        self._last, self._read_at = time_of_retention(self._last, now=at, elapsed=elapsed), at
        if first and at - self._last > DAY_SECONDS:
            logger.warning(
                "the clock is {:.1f} days ahead of the time that this store has seen: it was set forward, or"
                " no gateway ran; what that makes old is archived little by little, at twice the pace",
                (at - self._last) / DAY_SECONDS,
            )
        return self._last

    async def keep(self) -> None:
        """Stores the time, if it has advanced. Raises `Unavailable` if the store fails."""
        now = await self.now()
        if self._stored is None or abs(now - self._stored) >= KEPT_SECONDS:
            await self._store.keep_retention_time(now)
            self._stored = now
