"""The main program of a child process that evaluates CEL conditions."""

import signal
import time
from typing import Any, Final

import msgspec

from waypost.condition_evaluation.expressions import answer
from waypost.condition_evaluation.messages import (
    ConditionAnswer,
    ConditionBatch,
    ConditionQuestion,
    ConditionReply,
)
from waypost.worker_process import Answer, Progress, serve

SLICE_SECONDS: Final = 0.02
"""The seconds after which the process replies with the answers it has, so that others are served."""

NICENESS: Final = 10
"""The niceness of the process (nice(2)): an evaluation may take seconds, and must not slow other work."""

_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode


def prepare(_: bytes) -> Answer:
    """Returns `answer_batch`, the function that answers requests; the first message (greeting) is ignored."""
    return answer_batch


def answer_batch(payload: bytes, progress: Progress) -> bytes:
    """Evaluates a batch of conditions in order, until `SLICE_SECONDS` have passed; returns the results.

    A condition that takes more than its budget ends the process: the library holds the interpreter lock, so
    only the kernel can stop it. Processor time is counted, so that a busy machine makes none fail.
    """
    began, began_processor = time.monotonic(), time.process_time()
    batch = msgspec.msgpack.decode(payload, type=ConditionBatch)
    params = _decode(batch.params)
    shards = [_decode(shard) for shard in batch.shards]
    answers: list[ConditionAnswer] = []
    for encoded in batch.questions:
        question = ConditionQuestion(
            text=encoded.text,
            shard=shards[encoded.shard],
            outputs={name: msgspec.msgpack.decode(output) for name, output in encoded.outputs.items()},
            phases=encoded.phases,
            compile_only=encoded.compile_only,
            before_run=encoded.before_run,
            ending=encoded.ending,
        )
        progress(len(answers))
        signal.setitimer(signal.ITIMER_PROF, batch.budget_seconds)
        answers.append(answer(question, params))
        signal.setitimer(signal.ITIMER_PROF, 0)
        if time.monotonic() - began > SLICE_SECONDS:
            break
    reply = ConditionReply(answers=answers, processor_seconds=time.process_time() - began_processor)
    return msgspec.msgpack.encode(reply)


if __name__ == "__main__":
    serve(prepare, niceness=NICENESS)
