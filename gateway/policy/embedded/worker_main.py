"""The main program of the child process that evaluates policy rules for large documents.

It loads `PreparedRules`, then evaluates documents by them.
"""

import msgspec
from msgspec import Struct

from gateway.policy.embedded.interpreter import EvaluationError, Interpreter, PreparedRules
from waypost.worker_process import Answer, Progress, serve


class EvaluationRequest(Struct, frozen=True, kw_only=True, array_like=True):
    """A request to the child process: the policy rule and the document to evaluate it for."""

    entry_point: str
    document: bytes


class EvaluationReply(Struct, frozen=True, kw_only=True, array_like=True):
    """The child process's answer to an evaluation request: the policy rule's value as JSON, or the error."""

    answer: str = ""
    error: str = ""


def prepare(greeting: bytes) -> Answer:
    """Returns a worker's request handler, for the policy rules (`PreparedRules`) in its start-up message."""
    evaluator = Interpreter(msgspec.msgpack.decode(greeting, type=PreparedRules))

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
