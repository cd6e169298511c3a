"""The main module of the evaluation process: loads a `PolicySource`, then evaluates documents by it."""

import msgspec
from msgspec import Struct

from gateway.policy.embedded.interpreter import EvaluationError, Interpreter
from gateway.policy.source import PolicySource
from waypost.worker_process import Answer, Progress, serve


class EvaluationRequest(Struct, frozen=True, kw_only=True, array_like=True):
    """A request to evaluate one rule for one document."""

    entry_point: str
    document: bytes


class EvaluationReply(Struct, frozen=True, kw_only=True, array_like=True):
    """The answer to an evaluation request: the rule's value as JSON, or the error."""

    answer: str = ""
    error: str = ""


def prepare(greeting: bytes) -> Answer:
    """Returns a worker's request handler, for the rules (`PolicySource`) in its start-up message."""
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
