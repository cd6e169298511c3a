"""Evaluates a policy bundle in shadow: asks it decided queries again, and counts differing answers.

Nobody gets its answers. Queries that come faster than the shadow is asked are skipped: a bundle that is tried
out must not cost those who are served.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from loguru import logger
from msgspec import Struct

from gateway.core.decision import Decision, Question
from gateway.policy.enforcement import enforce
from gateway.policy.flips import Flip, Recorded, flip_of
from gateway.policy.interface import PolicyEngine
from waypost.cancellation import cancel_and_wait

WAITING_MAXIMUM: Final = 1_000
WAITING_BYTES_MAXIMUM: Final = 16 * 1_048_576
"""The maximum bytes of documents of decisions that wait to be compared; `WAITING_MAXIMUM` is their number."""
LATEST_MAXIMUM: Final = 100
RULES_MAXIMUM: Final = 50
OTHER_RULE: Final = "other"


class ShadowCounts(Struct, kw_only=True):
    """The counts of policy decisions that were compared with a shadow's answers, differed, or were skipped.

    The newest differing answers are kept too. All are of this process and of this shadow alone.
    """

    compared: int = 0
    skipped: int = 0
    """The number of decisions that were not compared: too many came at once, or policy gave no answer."""
    flips: Counter[str]
    """The number of differing answers, by kind."""
    latest: deque[Flip]
    """The newest differing answers, with the ids of the decisions."""


class Shadow:
    """Compares policy decisions with the answers of `engine`, at most `per_second` of them.

    `on_flip` is called with the kind and the rule of each differing answer. After `RULES_MAXIMUM` different
    rules, every further one is named `other`.
    `on_skipped` is called for each decision that is not compared.
    """

    def __init__(
        self,
        engine: PolicyEngine,
        *,
        per_second: float,
        on_flip: Callable[[str, str], None],
        on_skipped: Callable[[], None],
    ) -> None:
        self.engine = engine
        self.counts = ShadowCounts(flips=Counter(), latest=deque(maxlen=LATEST_MAXIMUM))
        self._pause = 1 / per_second
        self._on_flip, self._on_skipped = on_flip, on_skipped
        self._waiting: deque[tuple[Question, Decision]] = deque()
        self._bytes = 0
        self._rules: set[str] = set()
        self._offered = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def offer(self, question: Question, decision: Decision) -> None:
        """Queues a policy decision for comparison with the shadow's answer, without waiting for that.

        A decision is skipped if the queue is full, or if policy gave no answer for it.
        """
        size = len(question.workflow or b"")
        if (
            decision.fault
            or len(self._waiting) >= WAITING_MAXIMUM
            or self._bytes + size > WAITING_BYTES_MAXIMUM
        ):
            self.counts.skipped += 1
            self._on_skipped()
            return
        self._waiting.append((question, decision))
        self._bytes += size
        self._offered.set()

    async def close(self) -> None:
        """Stops comparing; policy decisions still in the queue are dropped."""
        await cancel_and_wait([self._task])

    async def _run(self) -> None:
        while True:
            await self._offered.wait()
            while self._waiting:
                question, decision = self._waiting[0]
                try:
                    await self._compare(question, decision)
                except Exception as error:  # a trial must not end by one decision
                    logger.warning("decision {} is not compared: {}", decision.id, error)
                self._waiting.popleft()
                self._bytes -= len(question.workflow or b"")
                await asyncio.sleep(self._pause)
            self._offered.clear()

    async def _compare(self, question: Question, decision: Decision) -> None:
        answer = await self.engine.decide(question)
        # Without the exceptions that count now: they count for both.
        before = enforce(decision, {})
        recorded = Recorded(
            id=decision.id,
            action=decision.action,
            allow=before.allow,
            tenant=question.principal.tenant,
            rules=before.rules,
            obligations=before.obligations,
        )
        self.counts.compared += 1
        flip = flip_of(recorded, answer)
        if flip is None:
            return
        self.counts.flips[flip.kind] += 1
        self.counts.latest.append(flip)
        self._on_flip(flip.kind, self._label(flip))

    def _label(self, flip: Flip) -> str:
        """Returns the rule of a differing decision, as the value of a metric's label.

        After `RULES_MAXIMUM` different rules, every further one becomes `other`: each value costs memory.
        """
        rule = flip.rules[0] if flip.rules else ""
        if rule not in self._rules and len(self._rules) >= RULES_MAXIMUM:
            return OTHER_RULE
        self._rules.add(rule)
        return rule
