"""Evaluates policy rules for small documents on the event loop's thread, within a time limit.

The interpreter holds Python's global lock while it evaluates, so another thread would block the event loop
just as long. Waiting evaluations run directly one after the other, with the interpreter still in the
processor's caches: for 16 callers at once that took a sixth less time.
"""

import asyncio
import time
from collections import Counter, deque
from typing import Final

from gateway.policy.embedded.interpreter import Interpreter, Interrupted

INLINE_SECONDS: Final = 0.002
"""The processor time in seconds that an evaluation may take on the event loop."""
TURN_SECONDS: Final = 0.004
"""The processor time in seconds after which other tasks of the event loop get a turn."""
FEWEST_DECLINED: Final = 16
"""The number of evaluations of a rule that are declined after a first one that took too long here."""
MOST_DECLINED: Final = 1_024
"""The number of evaluations of a rule that are declined at most before it is tried here again."""


class InlineEvaluation:
    """Evaluates policy rules on the event loop's thread; declines documents that may take long."""

    def __init__(
        self,
        interpreter: Interpreter,
        *,
        maximum_bytes: int,
        seconds: float = INLINE_SECONDS,
    ) -> None:
        self._interpreter, self._maximum_bytes, self._seconds = interpreter, maximum_bytes, seconds
        self._waiting: deque[tuple[asyncio.Future[str | None], str, bytes]] = deque()
        self._declines: Counter[str] = Counter()
        """The number of further evaluations that are declined, by rule."""
        self._backoff: dict[str, int] = {}
        """The number of evaluations that will be declined after the next one that takes too long, by rule."""

    def __repr__(self) -> str:
        return f"<InlineEvaluation: {len(self._waiting)} waiting, declines {dict(self._declines)}>"

    async def evaluate(self, rule: str, document: bytes) -> str | None:
        """Returns the value of `rule` for a document as JSON; None if a child process must evaluate it.

        A child process must evaluate documents that are too large, rules that checkpoints cannot interrupt
        in time, and what took too long here. Raises `EvaluationError` if the evaluation fails.
        """
        bounded = self._interpreter.bounded
        if len(document) > self._maximum_bytes or not bounded or self._is_declined(rule):
            return None
        loop = asyncio.get_running_loop()
        evaluated: asyncio.Future[str | None] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._evaluate_waiting, loop)
        self._waiting.append((evaluated, rule, document))
        return await evaluated

    def _evaluate_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        # Processor time: on a busy machine a quick evaluation may wait long for its turn.
        now = time.thread_time()
        end = now + TURN_SECONDS
        while self._waiting and now < end:
            evaluated, rule, document = self._waiting.popleft()
            if evaluated.done():
                continue  # its caller has gone
            began = now
            try:
                until = began + self._seconds
                evaluated.set_result(self._interpreter.evaluate(rule, document, until=until))
            except Interrupted:
                evaluated.set_result(None)
            except Exception as error:  # for its caller: others wait behind it
                evaluated.set_exception(error)
            now = time.thread_time()
            self._adapt(rule, too_long=now - began > 2 * self._seconds)
        if self._waiting:
            loop.call_soon(self._evaluate_waiting, loop)

    def _adapt(self, rule: str, *, too_long: bool) -> None:
        """Doubles the number of declined evaluations after one that took too long; else lowers it by one.

        Between two checkpoints an evaluation cannot be ended. One that takes long there is mostly slow by its
        rules and their data, so the next will be, too. But on a busy machine a single one is slow by chance:
        it must not send a thousand quick ones to the child process, where each costs twice the time.
        """
        before = self._backoff.get(rule, FEWEST_DECLINED)
        if too_long:
            self._declines[rule] = before
            self._backoff[rule] = min(2 * before, MOST_DECLINED)
        elif before > FEWEST_DECLINED:
            self._backoff[rule] = before - 1

    def _is_declined(self, rule: str) -> bool:
        if self._declines[rule] > 0:
            self._declines[rule] -= 1
            return True
        return False
