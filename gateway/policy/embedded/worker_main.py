"""The process that evaluates large documents: the greeting brings the rules, each request one document."""

import msgspec
from msgspec import Struct

from gateway.policy.embedded.interpreter import EvaluationError, Interpreter
from gateway.policy.source import PolicySource
from waypost.worker_process import Answer, Progress, serve


class EvaluationRequest(Struct, frozen=True, kw_only=True, array_like=True):
    """One document, and the rule to evaluate for it."""

    entry_point: str
    document: bytes


class EvaluationReply(Struct, frozen=True, kw_only=True, array_like=True):
    """The rule's value as JSON, or the error."""

    answer: str = ""
    error: str = ""


def prepare(greeting: bytes) -> Answer:
    """Loads the rules in `greeting`, a `PolicySource`; returns the function that answers requests by them."""
    evaluator = Interpreter(msgspec.msgpack.decode(greeting, type=PolicySource))

    def answer(payload: bytes, _: Progress) -> bytes:
        request = msgspec.msgpack.decode(payload, type=EvaluationRequest)
        try:
            reply = EvaluationReply(answer=evaluator.evaluate(request.entry_point, request.document))
        except EvaluationError as error:
            reply = EvaluationReply(error=str(error))
        return msgspec.msgpack.encode(reply)

    return answer


if __name__ == "__main__":
    serve(prepare)
