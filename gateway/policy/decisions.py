"""Makes policy decisions from the answers of a policy engine; without an answer, a refusal."""

import itertools
import os

from gateway.core.decision import Decision, Question
from gateway.policy.answer import PolicyAnswer
from gateway.policy.masking import masked, unanswered


class DecisionFactory:
    """Makes the policy decisions of one policy engine, each with a unique id.

    Ids sort by the question's time, then by the order of evaluation; a random suffix keeps those of two
    processes apart.
    """

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._salt = os.urandom(4).hex()
        self._count = itertools.count()

    def answered(
        self,
        question: Question,
        answer: PolicyAnswer,
        *,
        revision: str,
        duration_seconds: float,
        engine_decision_id: str = "",
    ) -> Decision:
        """Makes the policy decision for a complete answer of the policy rules."""
        return Decision(
            id=self._new_id(question),
            at=question.at,
            action=question.action,
            allow=answer.allow is True,
            revision=revision,
            engine=self._engine,
            rules=answer.rules,
            reasons=answer.reasons,
            obligations=answer.obligations,
            duration_seconds=duration_seconds,
            engine_decision_id=engine_decision_id,
            question=masked(question, answer.obligations.mask),
        )

    def faulty(self, question: Question, fault: str, *, revision: str, duration_seconds: float) -> Decision:
        """Makes the refusal for a policy query without a complete answer; `fault` says why there is none."""
        return Decision(
            id=self._new_id(question),
            at=question.at,
            action=question.action,
            allow=False,
            revision=revision,
            engine=self._engine,
            fault=fault,
            duration_seconds=duration_seconds,
            question=unanswered(question),
        )

    def _new_id(self, question: Question) -> str:
        return f"{int(question.at * 1000):012x}{next(self._count) & 0xFFFFFFFF:08x}{self._salt}"
