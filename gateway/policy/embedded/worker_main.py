"""The process that evaluates large documents: reads from standard input, writes to standard output.

The first message brings the rules. Each message is its length in four bytes and MessagePack. The process
exits when the gateway's end of the pipe closes. It also exits, by a timer of the kernel, when an evaluation
takes twice its budget: the evaluator holds the interpreter lock, so Python code could not notice, and a
gateway that was killed kills no process.
"""

import signal
import sys
from typing import BinaryIO, Final

import msgspec
from msgspec import Struct

from gateway.policy.embedded.evaluator import EvaluationError, Interpreter
from gateway.policy.source import PolicySource

HEADER_BYTES: Final = 4


class EvaluationRequest(Struct, frozen=True, kw_only=True, array_like=True):
    """One document, and the rule to evaluate for it."""

    entry_point: str
    budget_seconds: float
    document: bytes


class EvaluationReply(Struct, frozen=True, kw_only=True, array_like=True):
    """The rule's value as JSON, or the error. The reply to the first message has an empty value."""

    answer: str = ""
    error: str = ""


def frame(payload: bytes) -> bytes:
    """`payload` preceded by its length."""
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Reads the rules, then evaluates and replies to one request after another until `requests` ends."""
    evaluator: Interpreter | None = None
    while (payload := _receive(requests)) is not None:
        try:
            if evaluator is None:
                evaluator = Interpreter(msgspec.msgpack.decode(payload, type=PolicySource))
                reply = EvaluationReply()
            else:
                reply = EvaluationReply(
                    answer=_evaluate(evaluator, msgspec.msgpack.decode(payload, type=EvaluationRequest))
                )
        except EvaluationError as error:
            reply = EvaluationReply(error=str(error))
        replies.write(frame(msgspec.msgpack.encode(reply)))
        replies.flush()


def _evaluate(evaluator: Interpreter, request: EvaluationRequest) -> str:
    signal.setitimer(signal.ITIMER_REAL, 2 * request.budget_seconds)
    try:
        return evaluator.evaluate(request.entry_point, request.document)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _receive(requests: BinaryIO) -> bytes | None:
    header = requests.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    length = int.from_bytes(header, "big")
    payload = requests.read(length)
    return payload if len(payload) == length else None


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
