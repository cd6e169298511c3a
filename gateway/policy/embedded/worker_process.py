"""The process that decides about large documents: rules in, then documents in and answers out, until the gateway's end of the pipe closes.

Each message is a length of four bytes and MessagePack. A document that takes twice its budget ends the process from inside, by the kernel's
timer: the evaluator holds the interpreter's lock, and a gateway that was killed kills nobody.
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
    """One document to decide about."""

    entry_point: str
    budget_seconds: float
    document: bytes


class EvaluationReply(Struct, frozen=True, kw_only=True, array_like=True):
    """The rule's value as JSON, or what went wrong. To the rules, the first message, the answer is an empty one."""

    answer: str = ""
    error: str = ""


def frame(payload: bytes) -> bytes:
    """`payload` with its length before it."""
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answers until `requests` ends."""
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
