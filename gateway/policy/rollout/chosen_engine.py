"""The policy engine in front of all others: the one that decides is chosen by the tenant who asks."""

import asyncio
from typing import Self

from loguru import logger

from gateway.core.decision import Decision, Question
from gateway.policy.interface import PolicyEngine


class _Held:
    """An engine, entered, and how many questions it is answering."""

    __slots__ = ("engine", "retired", "under_way")

    def __init__(self, engine: PolicyEngine) -> None:
        self.engine, self.under_way, self.retired = engine, 0, False


class ChosenEngine:
    """A `PolicyEngine` that asks another one, which may be replaced while questions are under way.

    `base` is what decides until then; it is entered and closed with this one, and never in between.
    """

    def __init__(self, base: PolicyEngine) -> None:
        self._base = base
        self._active = _Held(base)
        self._closing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<ChosenEngine: {self._active.engine!r}>"

    async def __aenter__(self) -> Self:
        await self._base.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.activate(self._base)
        await asyncio.gather(*self._closing)
        await self._base.__aexit__(*error)

    @property
    def revision(self) -> str:
        return self._active.engine.revision

    async def check(self) -> None:
        await self._active.engine.check()

    async def decide(self, question: Question) -> Decision:
        held = self._active
        held.under_way += 1
        try:
            return await held.engine.decide(question)
        finally:
            held.under_way -= 1
            if held.retired and not held.under_way:
                self._close(held)

    def activate(self, engine: PolicyEngine) -> None:
        """Lets `engine`, which is entered, decide from now on.

        The one before is closed when it has answered what it was asked.
        """
        before, self._active = self._active, _Held(engine)
        self._retire(before)

    def discard(self, engine: PolicyEngine) -> None:
        """Closes an engine that was made to decide, and does not come to it."""
        self._retire(_Held(engine))

    def _retire(self, held: _Held) -> None:
        if held.engine is self._base or held.engine is self._active.engine:
            return
        held.retired = True
        if not held.under_way:
            self._close(held)

    def _close(self, held: _Held) -> None:
        task = asyncio.create_task(_closed(held.engine))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _closed(engine: PolicyEngine) -> None:
    try:
        await engine.__aexit__(None, None, None)
    except Exception as error:  # nobody waits for it
        logger.warning("a policy engine did not close in order: {}", error)
