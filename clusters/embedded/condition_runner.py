"""Evaluates the conditions (`tasks[].when`) of waiting tasks, and reports the results to the scheduler."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from loguru import logger

from clusters.embedded.scheduling.scheduler import Scheduler
from clusters.embedded.scheduling.scheduler_step import Step
from clusters.protocol import AttemptId, RunSpec
from waypost.condition_evaluation.evaluator import ConditionEvaluator
from waypost.condition_evaluation.messages import ConditionAnswer, ConditionQuestion
from waypost.worker_pool import WorkerError
from waypost.workflow.conditions import selected

AT_ONCE = 200
"""The most conditions of one run that are sent to the evaluator together; its others wait."""
ASKED_SECONDS = 0.02
"""The processor time in seconds after which the results so far are reported to the scheduler."""
RETRY_SECONDS = 1.0
"""The pause in seconds before conditions are sent again, when no evaluator process is available."""


class ConditionRunner:
    """Evaluates the conditions (`tasks[].when`) of waiting tasks, in one asyncio task for each run.

    The runs of one fairness key take turns. `uptime` gives the seconds since the node's boot; `report`
    journals and carries out the scheduler's decision (step) that follows from the conditions' results.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        evaluator: ConditionEvaluator,
        *,
        uptime: Callable[[], float],
        report: Callable[[Step], None],
    ) -> None:
        self._scheduler, self._evaluator, self._uptime, self._report = scheduler, evaluator, uptime, report
        self._waiting: dict[str, deque[tuple[AttemptId, str]]] = {}
        """The conditions to evaluate, by run; a run is in it as long as its asyncio task exists."""
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"ConditionRunner({sum(map(len, self._waiting.values()))} waiting, {self._evaluator})"

    def ask(self, evaluations: Iterable[tuple[AttemptId, str]]) -> None:
        """Starts evaluating the conditions of these tasks, given as (attempt, task); returns at once."""
        for identity, name in evaluations:
            if identity.run not in self._waiting:
                self._waiting[identity.run] = deque()
                task = asyncio.create_task(self._evaluate(identity.run), name=f"conditions {identity.run}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            self._waiting[identity.run].append((identity, name))

    async def close(self) -> None:
        """Cancels every evaluation of conditions; those without a result are evaluated after the restart."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _evaluate(self, run: str) -> None:
        waiting = self._waiting[run]
        try:
            while waiting:
                await self._evaluate_some(waiting)
        finally:
            del self._waiting[run]

    async def _evaluate_some(self, waiting: deque[tuple[AttemptId, str]]) -> None:
        asked: list[tuple[AttemptId, str]] = []
        questions: list[ConditionQuestion] = []
        spec: RunSpec | None = None
        while waiting and len(asked) < AT_ONCE:
            identity, name = waiting.popleft()
            # Stopped or asleep meanwhile: nobody waits for the answer.
            if (found := self._scheduler.condition(identity, name)) is not None:
                spec, question = found
                asked.append((identity, name))
                questions.append(question)
        if spec is None:
            return
        answers = await self._answers(spec, questions)
        waiting.extendleft(reversed(asked[len(answers) :]))
        answered = ((*task, answer) for task, answer in zip(asked, answers, strict=False))
        self._report(self._scheduler.record_conditions(answered, self._uptime(), time.time()))

    async def _answers(self, spec: RunSpec, questions: list[ConditionQuestion]) -> list[ConditionAnswer]:
        params: dict[str, Any] = {}
        for text in {question.text for question in questions}:
            params |= selected(text, "params", spec.params)
        try:
            found = await self._evaluator.evaluate(
                questions, params, caller=spec.fairness_key or spec.run, total_seconds=ASKED_SECONDS
            )
        except WorkerError as error:
            # No fault of the condition: memory or processes are short on this machine.
            logger.error("conditions cannot be evaluated: {}", error)
            await asyncio.sleep(RETRY_SECONDS)
            return []
        return found.answers
