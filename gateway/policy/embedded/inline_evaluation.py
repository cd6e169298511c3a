"""Evaluates small documents on the event loop's thread, within a bound of time.

The interpreter holds Python's lock: on a thread it would not relieve the event loop. One after the other,
evaluations find the interpreter in the processor's caches: with 16 callers at once each took a sixth less.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Final

from gateway.policy.embedded.interpreter import Interpreter, Interrupted

INLINE_SECONDS: Final = 0.002
"""How much processor time an evaluation may take on the event loop."""
TURN_SECONDS: Final = 0.004
"""After so much processor time the event loop has its turn, before further ones are evaluated."""
AVOIDED: Final = 1_000
"""How many evaluations of a rule are declined after one that kept the event loop for longer.

Between two checkpoints an evaluation cannot be ended. One that takes long there is slow by its rules and
their data, not by its document: so will be the next.
"""


class InlineEvaluation:
    """An evaluator of rules on the event loop's thread; it declines documents that may take long.

    `interpreters` are those that evaluate each rule.
    """

    def __init__(
        self,
        interpreters: Mapping[str, Interpreter],
        *,
        maximum_bytes: int,
        seconds: float = INLINE_SECONDS,
    ) -> None:
        self._interpreters, self._maximum_bytes, self._seconds = interpreters, maximum_bytes, seconds
        self._waiting: deque[tuple[asyncio.Future[str | None], str, bytes]] = deque()
        self._avoided: Counter[str] = Counter()
        """How many more evaluations of a rule are declined."""

    def __repr__(self) -> str:
        return f"<InlineEvaluation: {len(self._waiting)} waiting, avoids {dict(self._avoided)}>"

    async def evaluate(self, rule: str, document: bytes) -> str | None:
        """Evaluates `rule` to its JSON value; None: a process has to evaluate the document instead.

        Raises `EvaluationError`.
        """
        bounded = self._interpreters[rule].bounded
        if len(document) > self._maximum_bytes or not bounded or self._avoids(rule):
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
                interpreter = self._interpreters[rule]
                evaluated.set_result(interpreter.evaluate(rule, document, until=began + self._seconds))
            except Interrupted:
                evaluated.set_result(None)
            except Exception as error:  # for its caller: others wait behind it
                evaluated.set_exception(error)
            now = time.thread_time()
            if now - began > 2 * self._seconds:
                self._avoided[rule] = AVOIDED
        if self._waiting:
            loop.call_soon(self._evaluate_waiting, loop)

    def _avoids(self, rule: str) -> bool:
        if self._avoided[rule] > 0:
            self._avoided[rule] -= 1
            return True
        return False
