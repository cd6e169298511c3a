"""Evaluates CEL conditions in child processes, which are killed when a condition takes too long.

Callers are served in turn.
"""

import asyncio
import math
import signal
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Self

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from waypost.condition_evaluation.messages import (
    ConditionAnswer,
    ConditionAnswers,
    ConditionBatch,
    ConditionQuestion,
    ConditionReply,
    EncodedQuestion,
)
from waypost.worker_pool import WorkerEnded, WorkerPool

WORKERS: Final = 2
"""The number of child processes that evaluate conditions, each of about 30 MiB.

One caller occupies one at most, so the other is free for all others.
"""
QUESTIONS_AT_ONCE: Final = 500
MESSAGE_BYTES: Final = 1 << 20
"""The size of a request to a child process, in bytes, beyond which no condition is added to it."""
LONG_BYTES: Final = 16_384
WAIT_SECONDS: Final = 15.0
"""The seconds after which a child process that does not answer is killed.

The processor time of a question is bounded by far less.
"""


class ConditionEvaluator:
    """Evaluates CEL conditions in at most two child processes, which are killed when `async with` ends.

    `budget_seconds` is the most processor time of one condition. At most `maximum_waiting` requests wait for
    a process, `maximum_waiting_of_caller` of them by one caller.
    """

    def __init__(
        self,
        *,
        budget_seconds: float,
        maximum_waiting: int = 256,
        maximum_waiting_of_caller: int | None = None,
    ) -> None:
        self._budget_seconds = budget_seconds
        self._pool = WorkerPool(
            "waypost.condition_evaluation.worker_main",
            size=WORKERS,
            budget_seconds=WAIT_SECONDS,
            maximum_waiting=maximum_waiting,
            maximum_waiting_of_caller=maximum_waiting_of_caller or maximum_waiting,
        )

    def __repr__(self) -> str:
        return f"ConditionEvaluator({self._budget_seconds:g} s, {self._pool})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    def start(self) -> None:
        """Starts the child processes in the background, so that the first evaluation need not wait."""
        self._pool.start()

    async def evaluate(
        self,
        questions: Iterable[ConditionQuestion],
        params: Mapping[str, Any],
        *,
        caller: str,
        total_seconds: float = math.inf,
    ) -> ConditionAnswers:
        """Evaluates the conditions in order, on behalf of `caller`, and returns their results.

        Stops where all together have taken `total_seconds` of processor time. Raises `WorkerError` where no
        child process answers.
        """
        encoded_params = Raw(msgspec.msgpack.encode(params))
        waiting, left = iter(questions), list[ConditionQuestion]()
        answers: list[ConditionAnswer] = []
        spent = 0.0
        while left := left + list(islice(waiting, QUESTIONS_AT_ONCE - len(left))):
            if spent >= total_seconds:
                return ConditionAnswers(answers=answers, processor_seconds=spent, complete=False)
            reply = await self._ask(await self._batch(left, encoded_params), caller)
            answers += reply.answers
            spent += reply.processor_seconds
            left = left[len(reply.answers) :]
        return ConditionAnswers(answers=answers, processor_seconds=spent, complete=True)

    async def _batch(self, questions: Sequence[ConditionQuestion], params: Raw) -> ConditionBatch:
        """Encodes as many of the questions about conditions as fit into one message, from the first on."""
        shards: dict[int, tuple[int, Raw]] = {}
        encoded: list[EncodedQuestion] = []
        size = 0
        for question in questions:
            if size > MESSAGE_BYTES:
                break
            if id(question.shard) not in shards:
                shards[id(question.shard)] = len(shards), Raw(msgspec.msgpack.encode(question.shard))
                size += len(shards[id(question.shard)][1])
            outputs: dict[str, Raw] = {}
            for name, output in question.outputs.items():
                outputs[name] = Raw(msgspec.msgpack.encode(output))
                size += len(outputs[name])
                # An output may have 64 KiB, and there may be hundreds: others go on in between.
                if len(outputs[name]) > LONG_BYTES:
                    await asyncio.sleep(0)
            encoded.append(
                EncodedQuestion(
                    text=question.text,
                    shard=shards[id(question.shard)][0],
                    outputs=outputs,
                    phases=question.phases,
                    compile_only=question.compile_only,
                    before_run=question.before_run,
                    ending=question.ending,
                )
            )
        return ConditionBatch(
            budget_seconds=self._budget_seconds,
            params=params,
            shards=[shard for _, shard in shards.values()],
            questions=encoded,
        )

    async def _ask(self, batch: ConditionBatch, caller: str) -> ConditionReply:
        """Sends a batch of conditions to a child process; returns the results of the first one or more.

        The process stops early where one condition takes long or ends it; the rest is to be sent again.
        """
        try:
            reply = await self._pool.call(msgspec.msgpack.encode(batch), caller=caller)
        except WorkerEnded as error:
            return await self._answers_before(error, batch, caller)
        return msgspec.msgpack.decode(reply, type=ConditionReply)

    async def _answers_before(self, error: WorkerEnded, batch: ConditionBatch, caller: str) -> ConditionReply:
        """Returns the results of a batch in which one condition ended the child process.

        The conditions before it are evaluated once more, since their results are lost; that takes little
        time. The condition itself gets an error, and those after it get no result.
        """
        if error.signal == signal.SIGPROF:
            trouble = f"takes more than {self._budget_seconds:g} s of processor time"
        else:
            trouble = "cannot be evaluated: it is more than the evaluator can bear"
        fatal = ConditionReply(
            answers=[ConditionAnswer(error=trouble)], processor_seconds=self._budget_seconds
        )
        if error.progress == 0:
            return fatal
        reply = await self._ask(replace(batch, questions=batch.questions[: error.progress]), caller)
        if len(reply.answers) < error.progress:
            return reply
        return ConditionReply(
            answers=reply.answers + fatal.answers,
            processor_seconds=reply.processor_seconds + fatal.processor_seconds,
        )
