"""The embedded engine: Rego in this process, no service to ask and none to wait for.

Small documents are decided on the event loop's own thread: the evaluator holds the interpreter's lock, so another thread would add
nothing but hand-overs. Large ones, and small ones that need more instructions than the quick evaluator grants, go to a process that can
be killed: one for what callers ask, another for what is to be placed. Whatever goes wrong is a decision that refuses, with `fault` set.
"""

import itertools
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from gateway.core.decision import Action, Decision, Question
from gateway.policy.answer import AnswerError, PolicyAnswer
from gateway.policy.bundle import SHIPPED_POLICIES
from gateway.policy.embedded.compilation import compile_source, load_bundle
from gateway.policy.embedded.evaluator import (
    EvaluationError,
    InstructionLimitReached,
    VirtualMachine,
    parse_result,
)
from gateway.policy.embedded.worker import Worker
from gateway.policy.question import ENTRY_POINTS, QuestionError, encode_question

ENGINE: Final = "regorus"


class EmbeddedPolicyEngine:
    """A `PolicyEngine` over the rules below `policies` and the JSON file `data` (None: the folder's own `data/waypost.json`).

    Entering it raises `BundleError`, with file and line, for rules outside the subset that the evaluator was measured to answer rightly.
    Documents over `inline_bytes` have `budget_seconds` in a process of their own.
    """

    def __init__(
        self,
        policies: Path = SHIPPED_POLICIES,
        data: Path | None = None,
        *,
        inline_bytes: int = 65_536,
        budget_seconds: float = 1.0,
    ) -> None:
        self._policies = policies
        self._data = data
        self._inline_bytes = inline_bytes
        self._budget_seconds = budget_seconds
        self._revision = ""
        self._machine: VirtualMachine | None = None
        self._worker: Worker | None = None
        self._placing: Worker | None = None
        self._salt = os.urandom(4).hex()
        self._count = itertools.count()

    async def __aenter__(self) -> Self:
        bundle = load_bundle(self._policies, self._data)
        self._machine = compile_source(bundle.source)
        self._worker = Worker(bundle.source, budget_seconds=self._budget_seconds)
        self._placing = Worker(
            bundle.source, budget_seconds=self._budget_seconds
        )  # what was accepted waits behind no submission
        self._revision = bundle.revision
        return self

    async def __aexit__(self, *_: object) -> None:
        workers, self._worker, self._placing, self._machine = (self._worker, self._placing), None, None, None
        for worker in filter(None, workers):
            await worker.close()

    @property
    def revision(self) -> str:
        return self._revision

    @property
    def worker_pid(self) -> int | None:
        """Of the process for large documents, where one is running."""
        return self._worker.pid if self._worker is not None else None

    async def decide(self, question: Question) -> Decision:
        started = time.perf_counter()
        answer, fault = None, ""
        try:
            answer = parse_result(await self._evaluate(question, encode_question(question)))
        except (QuestionError, EvaluationError, AnswerError) as error:
            fault = str(error)
        return self._decision(question, answer, fault, time.perf_counter() - started)

    async def _evaluate(self, question: Question, document: bytes) -> str:
        worker = self._placing if question.action is Action.RUNS_PLACE else self._worker
        if self._machine is None or worker is None:
            raise EvaluationError("the engine is not running")
        entry_point = ENTRY_POINTS[question.action]
        if len(document) <= self._inline_bytes:
            with suppress(InstructionLimitReached):
                return self._machine.evaluate(entry_point, document)
        return await worker.evaluate(entry_point, document, tenant=question.principal.tenant)

    def _decision(
        self, question: Question, answer: PolicyAnswer | None, fault: str, duration_seconds: float
    ) -> Decision:
        """Its id sorts by the time of the question, and by the order of decisions within a millisecond."""
        identity = f"{int(question.at * 1000):012x}{next(self._count) & 0xFFFFFFFF:08x}{self._salt}"
        if answer is None:
            return Decision(
                id=identity,
                at=question.at,
                action=question.action,
                allow=False,
                revision=self._revision,
                engine=ENGINE,
                fault=fault,
                duration_seconds=duration_seconds,
            )
        return Decision(
            id=identity,
            at=question.at,
            action=question.action,
            allow=answer.allow is True,
            revision=self._revision,
            engine=ENGINE,
            rules=answer.rules,
            reasons=answer.reasons,
            obligations=answer.obligations,
            duration_seconds=duration_seconds,
        )
