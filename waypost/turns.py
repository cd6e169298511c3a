"""A limited number of places, for which keys (tenants) take turns: the crowd of one key waits for itself."""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Final

CONTENDED_SECONDS: Final = 1.0
"""How long after another key was seen a key has no more than its share."""

turn_key: ContextVar[str | None] = ContextVar("turn_key", default=None)
"""On whose behalf the current task works. None: on that of the process itself, which waits for nobody."""


class NoTurn(Exception):
    """No place was free within the time that the caller waits."""


class Turns:
    """Gives `places` to callers. Keys that wait take turns, however many callers of a key wait.

    A key has all places while no other asks for one, and else `share` of them: then the next caller of
    another key finds a place free, or waits for one that was in use before.
    """

    def __init__(self, places: int, *, share: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._places, self._share, self._clock = places, share, clock
        self._held: Counter[str] = Counter()
        self._free = places
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """Callers by key; the keys in the order of their turns."""
        self._last_key: str | None = None
        self._contended_until = float("-inf")

    def __repr__(self) -> str:
        waiting = {key: len(callers) for key, callers in self._waiting.items()}
        return f"<Turns {self._free} of {self._places} free, held {dict(self._held)}, waiting {waiting}>"

    @asynccontextmanager
    async def turn(self, key: str, wait_seconds: float | None = None) -> AsyncIterator[None]:
        """Holds a place. Raises `NoTurn` where none was free for `wait_seconds`; None: waits on."""
        self._observe(key)
        if self._free and key not in self._waiting and self._held[key] < self._limit():
            self._take(key)
        else:
            await self._wait(key, wait_seconds)
        try:
            yield
        finally:
            self._leave(key)

    def _observe(self, key: str) -> None:
        if key != self._last_key:
            if self._last_key is not None:
                self._contended_until = self._clock() + CONTENDED_SECONDS
            self._last_key = key

    def _limit(self) -> int:
        return self._share if self._clock() < self._contended_until else self._places

    async def _wait(self, key: str, wait_seconds: float | None) -> None:
        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(place)
        try:
            async with asyncio.timeout(wait_seconds):
                await place
        except BaseException as error:
            # The place may have been given in the same turn of the event loop in which the wait ended.
            if place.done() and not place.cancelled():
                self._leave(key)
            place.cancel()
            if isinstance(error, TimeoutError):
                raise NoTurn(f"no place for {wait_seconds:g} s") from error
            raise

    def _take(self, key: str) -> None:
        self._free -= 1
        self._held[key] += 1

    def _leave(self, key: str) -> None:
        self._free += 1
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]
        while self._free and (following := self._next()) is not None:
            following.set_result(None)

    def _next(self) -> "asyncio.Future[None] | None":
        """Takes a place for the caller whose turn it is; None: nobody waits who may have one."""
        limit = self._limit()
        for key, callers in list(self._waiting.items()):
            while callers and callers[0].done():
                callers.popleft()  # gone meanwhile
            if not callers:
                del self._waiting[key]
            elif self._held[key] < limit:
                self._waiting.move_to_end(key)
                self._take(key)
                place = callers.popleft()
                if not callers:
                    del self._waiting[key]
                return place
        return None
