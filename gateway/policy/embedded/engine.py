"""The embedded policy engine: evaluates Rego with regorus, without another service.

An evaluation that may take long runs in a separate process that can be killed: one for callers, another for
placement. Which evaluations those are is not known before. So small documents are evaluated on the event
loop's thread, within a few milliseconds (`inline_evaluation`); an evaluation that is not done by then is
repeated in the process.
"""

import asyncio
import time
from pathlib import Path
from typing import Final, Self

from gateway.core.decision import Action, Decision, Question
from gateway.core.errors import Unavailable
from gateway.policy.answer import AnswerError
from gateway.policy.bundle import SHIPPED_POLICIES, Bundle
from gateway.policy.decisions import DecisionFactory
from gateway.policy.embedded.evaluation_worker import EvaluationWorker
from gateway.policy.embedded.inline_evaluation import INLINE_SECONDS, InlineEvaluation
from gateway.policy.embedded.interpreter import (
    EvaluationError,
    Interpreter,
    RuleFailed,
    parse_result,
    prepare_rules,
)
from gateway.policy.embedded.loading import load_bundle
from gateway.policy.fault_texts import of_interpreter
from gateway.policy.question import ENTRY_POINTS, QuestionError, encode_question

ENGINE_NAME: Final = "embedded"


class EmbeddedPolicyEngine:
    """Evaluates the Rego rules in the folder `policies` with regorus. Implements `PolicyEngine`.

    The data are in the JSON file `data`; None: the data in `policies`. A `bundle` that was read and checked
    already replaces both. `async with` raises `BundleError`, with file and line, for rules that this engine
    would evaluate otherwise than OPA. Documents of more than `inline_bytes` are evaluated in a separate
    process, and so are those whose evaluation here takes more than `inline_seconds`. After `budget_seconds`
    the process is killed, and the decision is a refusal with `fault` set.
    """

    def __init__(
        self,
        policies: Path = SHIPPED_POLICIES,
        data: Path | None = None,
        *,
        bundle: Bundle | None = None,
        inline_bytes: int = 16_384,
        inline_seconds: float = INLINE_SECONDS,
        budget_seconds: float = 1.0,
    ) -> None:
        self._policies = policies
        self._data = data
        self._bundle = bundle
        self._inline_bytes, self._inline_seconds = inline_bytes, inline_seconds
        self._budget_seconds = budget_seconds
        self._revision = ""
        self._inline: InlineEvaluation | None = None
        self._submission_worker: EvaluationWorker | None = None
        self._placement_worker: EvaluationWorker | None = None
        self._decisions = DecisionFactory(ENGINE_NAME)

    async def __aenter__(self) -> Self:
        self._bundle = bundle = self._bundle or load_bundle(self._policies, self._data)
        # On a thread where a gateway runs already: it takes a tenth of a second and more.
        rules = await asyncio.to_thread(prepare_rules, bundle.source)
        self._inline = InlineEvaluation(
            Interpreter(rules),
            maximum_bytes=self._inline_bytes,
            seconds=self._inline_seconds,
        )
        self._submission_worker = EvaluationWorker(rules, budget_seconds=self._budget_seconds)
        # Placement of accepted runs has a process of its own: it must not wait behind submissions.
        self._placement_worker = EvaluationWorker(rules, budget_seconds=self._budget_seconds)
        self._revision = bundle.revision
        return self

    async def __aexit__(self, *_: object) -> None:
        workers, self._submission_worker, self._placement_worker, self._inline = (
            (self._submission_worker, self._placement_worker),
            None,
            None,
            None,
        )
        for worker in filter(None, workers):
            await worker.close()

    @property
    def bundle(self) -> Bundle | None:
        """Returns the policy bundle in use; None until the engine is started by `async with`."""
        return self._bundle

    @property
    def revision(self) -> str:
        return self._revision

    async def check(self) -> None:
        if self._inline is None:
            raise Unavailable("the policy engine is not running")

    async def decide(self, question: Question) -> Decision:
        started = time.perf_counter()
        try:
            answer = parse_result(await self._evaluate(question, encode_question(question)))
        except (QuestionError, EvaluationError, AnswerError) as error:
            # Default deny: without an answer the decision refuses.
            seconds = time.perf_counter() - started
            fault = of_interpreter(str(error)) if isinstance(error, RuleFailed) else str(error)
            return self._decisions.faulty(question, fault, revision=self._revision, duration_seconds=seconds)
        seconds = time.perf_counter() - started
        return self._decisions.answered(question, answer, revision=self._revision, duration_seconds=seconds)

    async def _evaluate(self, question: Question, document: bytes) -> str:
        worker = self._placement_worker if question.action is Action.RUNS_PLACE else self._submission_worker
        if self._inline is None or worker is None:
            raise EvaluationError("the engine is not running")
        entry_point = ENTRY_POINTS[question.action]
        if (answer := await self._inline.evaluate(entry_point, document)) is not None:
            return answer
        return await worker.evaluate(entry_point, document, tenant=question.principal.tenant)
