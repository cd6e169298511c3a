"""A fair semaphore: limits how much work runs at once, and lets keys (tenants) take turns."""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

CONTENDED_SECONDS: Final = 1.0
"""The seconds for which a key is limited to its share after another key asked for a place."""

REST_SECONDS: Final = 0.05
"""The longest pause, in seconds, between the use of a place and its release, however long the use was."""

turn_key: ContextVar[str | None] = ContextVar("turn_key", default=None)
"""The key on whose behalf the current asyncio task works; None for the process itself, which never waits."""


class NoTurn(Exception):
    """Raised where a caller got no place in a fair semaphore (`Turns`) within its `wait_seconds`."""


class Turns:
    """A fair semaphore with a number of `places`, for which waiting keys (tenants) are served in rotation.

    How many callers a key has makes no difference. A key may hold at most `alone` places (by default all)
    while no other key asks for one, and at most `share` while others do. While others ask too, a place stays
    taken after use for `rest` times as long as it was held: so a key that asks without end leaves time for
    others.
    """

    def __init__(
        self,
        places: int,
        *,
        share: int,
        alone: int | None = None,
        rest: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._share, self._rest, self._clock = share, rest, clock
        self._alone = places if alone is None else alone
        self._places = places
        self._held: Counter[str] = Counter()
        self._free = places
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """The waiting callers by key; the keys in the order in which they are served."""
        self._last_key: str | None = None
        self._contended_until = 0.0
        """The time from which a key may have all places again; 0 where it may now."""

    @classmethod
    def leaving_one(cls, places: int) -> "Turns":
        """Creates a fair semaphore in which no key can have the last place, for work that takes long."""
        return cls(places, share=1, alone=max(1, places - 1))

    def __repr__(self) -> str:
        waiting = {key: len(callers) for key, callers in self._waiting.items()}
        return f"<Turns {self._free} of {self._places} free, held {dict(self._held)}, waiting {waiting}>"

    def turn(self, key: str, wait_seconds: float | None = None) -> "Turn":
        """Returns an async context manager that holds one of the places for the key.

        Entering it waits at most `wait_seconds`, then raises `NoTurn`.
        """
        return Turn(self, key, wait_seconds)

    def now(self) -> float:
        """Returns the monotonic time in seconds."""
        return self._clock()

    def take(self, key: str) -> bool:
        """Takes a place for `key` if it may have one now; returns whether a place was taken.

        `leave` gives the place back.
        """
        if key != self._last_key:
            self._observe(key)
        # `get`: for a key that is absent a Counter's own look takes ten times as long.
        if not self._free or key in self._waiting or self._held.get(key, 0) >= self._limit():
            return False
        self._take(key)
        return True

    def _observe(self, key: str) -> None:
        if self._last_key is not None:
            self._contended_until = self._clock() + CONTENDED_SECONDS
        self._last_key = key

    def _limit(self) -> int:
        if self._contended_until:
            if self._clock() < self._contended_until:
                return self._share
            self._contended_until = 0.0
        return self._alone

    async def wait(self, key: str, wait_seconds: float | None) -> None:
        """Waits until the key gets a place; raises `NoTurn` after `wait_seconds`.

        `leave` gives the place back.
        """
        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(place)
        try:
            async with asyncio.timeout(wait_seconds):
                await place
        except BaseException as error:
            # The place may have been given in the same turn of the event loop in which the wait ended.
            if place.done() and not place.cancelled():
                self.leave(key)
            place.cancel()
            if isinstance(error, TimeoutError):
                raise NoTurn(f"no place for {wait_seconds:g} s") from error
            raise

    def _take(self, key: str) -> None:
        self._free -= 1
        self._held[key] = self._held.get(key, 0) + 1

    def leave_rested(self, key: str, since: float) -> None:
        """Gives back a place held since `since`; if other keys want places too, only after a pause.

        The pause is the time that the place was held times `rest`, at most `REST_SECONDS`.
        """
        if self._rest and self._limit() < self._alone:
            rest = min(REST_SECONDS, self._rest * (self._clock() - since))
            asyncio.get_running_loop().call_later(rest, self.leave, key)
        else:
            self.leave(key)

    def leave(self, key: str) -> None:
        """Gives a place back, and hands it to the next caller that waits, if there is any."""
        self._free += 1
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]
        while self._waiting and self._free and (following := self._next()) is not None:
            following.set_result(None)

    def _next(self) -> "asyncio.Future[None] | None":
        """Takes a place for the next waiting caller whose key may have one; returns the caller's future.

        None where there is no such caller.
        """
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


class Turn:
    """One caller's place in a fair semaphore (`Turns`), held inside `async with`.

    Raises `NoTurn` where no place becomes free in time. It is no generator, since an async context manager
    made of one costs every request some microseconds.
    """

    __slots__ = ("_key", "_since", "_turns", "_wait_seconds")

    def __init__(self, turns: Turns, key: str, wait_seconds: float | None) -> None:
        self._turns, self._key, self._wait_seconds = turns, key, wait_seconds

    async def __aenter__(self) -> None:
        if not self._turns.take(self._key):
            await self._turns.wait(self._key, self._wait_seconds)
        self._since = self._turns.now()

    async def __aexit__(self, *_: object) -> None:
        self._turns.leave_rested(self._key, self._since)
