"""Tests the fair semaphore, whose places keys get in rotation."""

import asyncio
from contextlib import suppress

import pytest

from waypost.turns import CONTENDED_SECONDS, NoTurn, Turns


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Callers:
    """Callers of the semaphore that hold their places until a test releases them."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.order: list[str] = []
        self.held: list[tuple[str, asyncio.Event]] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, *keys: str) -> None:
        for key in keys:
            self.tasks.append(asyncio.create_task(self._hold(key)))
        await self.settle()

    async def _hold(self, key: str) -> None:
        async with self.turns.turn(key):
            self.order.append(key)
            end = asyncio.Event()
            self.held.append((key, end))
            await end.wait()

    async def release(self, key: str) -> None:
        place = next(place for place in self.held if place[0] == key)
        self.held.remove(place)
        place[1].set()
        await self.settle()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_the_crowd_of_one_key_does_not_delay_another() -> None:
    """The next free place is the other key's, though a hundred callers were there before it."""
    callers = Callers(Turns(2, share=2))
    await callers.ask(*["noisy"] * 100)
    await callers.ask("quiet", "quiet")

    await callers.release("noisy")
    await callers.release("noisy")
    await callers.release("quiet")
    assert callers.order[2:] == ["quiet", "noisy", "quiet"] or callers.order[2:] == [
        "noisy",
        "quiet",
        "noisy",
    ], callers.order
    assert callers.order.count("quiet") >= 1
    await callers.close()


async def test_a_key_has_all_places_while_it_is_alone_and_its_share_beside_others() -> None:
    """One tenant may use the whole machine, until another one comes."""
    clock = Clock()
    callers = Callers(Turns(4, share=1, clock=clock))
    await callers.ask(*["noisy"] * 9)
    assert callers.order == ["noisy"] * 4

    await callers.ask("quiet")
    await callers.release("noisy")
    assert callers.order[4:] == ["quiet"]
    for _ in range(3):
        await callers.release("noisy")
    assert callers.order[5:] == ["noisy"], "places are left free for a key that comes next"

    clock.now += CONTENDED_SECONDS
    await callers.release("noisy")
    assert callers.order[6:] == ["noisy"] * 3, "nobody else asks any more"
    await callers.close()


async def test_who_waits_too_long_is_told_so_and_takes_no_place() -> None:
    """Nor does one that has gone: else places would be lost one by one."""
    turns = Turns(1, share=1)
    callers = Callers(turns)
    await callers.ask("noisy")
    with pytest.raises(NoTurn):
        async with turns.turn("quiet", 0.0):
            pass
    gone = asyncio.create_task(callers._hold("quiet"))
    await callers.settle()
    gone.cancel()
    with suppress(asyncio.CancelledError):
        await gone

    await callers.release("noisy")
    async with turns.turn("other", 0.0):
        assert repr(turns) == "<Turns 0 of 1 free, held {'other': 1}, waiting {}>"
    assert repr(turns) == "<Turns 1 of 1 free, held {}, waiting {}>"


async def test_a_caller_that_goes_as_its_turn_comes_gives_the_place_on() -> None:
    """Cancelled in the same turn of the event loop in which it got the place."""
    turns = Turns(1, share=1)
    callers = Callers(turns)
    await callers.ask("a")
    waiting = asyncio.create_task(callers._hold("b"))
    await callers.settle()
    callers.held.pop()[1].set()
    while turns._held["b"] == 0:
        await asyncio.sleep(0)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting

    async with turns.turn("c", 0.0):
        assert turns._held == {"c": 1}


async def test_one_place_is_left_to_others() -> None:
    """However long nobody else has asked: who comes then does not wait for work that takes long."""
    turns = Turns.leaving_one(2)
    assert turns.take("busy")
    assert not turns.take("busy")
    assert turns.take("quiet")
    turns.leave("quiet")
    turns.leave("busy")
    assert Turns.leaving_one(1).take("busy"), "there is only one"


async def test_while_others_ask_a_key_rests_as_long_as_it_worked() -> None:
    clock = Clock()
    callers = Callers(Turns(4, share=1, rest=1.0, clock=clock))
    await callers.ask("noisy", "quiet", "noisy")
    clock.now = 0.03
    released = asyncio.get_running_loop().time()
    await callers.release("noisy")

    assert callers.order == ["noisy", "quiet"]
    while len(callers.order) < 3:
        await asyncio.sleep(0.001)
    assert asyncio.get_running_loop().time() - released >= 0.029
    await callers.close()


async def test_a_key_that_is_alone_does_not_rest() -> None:
    clock = Clock()
    callers = Callers(Turns(2, share=1, rest=1.0, clock=clock))
    await callers.ask("only", "only", "only")
    clock.now = 10.0
    await callers.release("only")

    assert callers.order == ["only", "only", "only"]
    await callers.close()
