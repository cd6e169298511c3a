"""Evaluates policy rules for large documents in a child process, so that the event loop is not blocked.

The process starts with the first large document and stays. Its program is `worker_main`.
"""

from typing import Final

import msgspec

from gateway.policy.embedded.interpreter import EvaluationError, PreparedRules, RuleFailed
from gateway.policy.embedded.worker_main import EvaluationReply, EvaluationRequest
from waypost.worker_pool import WorkerBusy, WorkerEnded, WorkerError, WorkerPool, WorkerTimeout

MAXIMUM_WAITING: Final = 256
"""The maximum number of documents that wait for the process.

One more is refused at once: in a queue that only grows, all would wait too long.
"""
MAXIMUM_WAITING_OF_TENANT: Final = 64
"""The maximum number of one tenant's documents that wait, so that it does not keep out the others.

As many as a gateway handles requests at once: where the machine is too slow for evaluations on the event
loop, small ones come here too, and wait rather than fail.
"""


class EvaluationWorker:
    """A child process that evaluates policy rules for one document at a time; waiting tenants take turns.

    The process is started at the first evaluation.
    """

    def __init__(self, rules: PreparedRules, *, budget_seconds: float) -> None:
        self._budget_seconds = budget_seconds
        self._pool = WorkerPool(
            "gateway.policy.embedded.worker_main",
            size=1,
            budget_seconds=budget_seconds,
            greeting=msgspec.msgpack.encode(rules),
            maximum_waiting=MAXIMUM_WAITING,
            maximum_waiting_of_caller=MAXIMUM_WAITING_OF_TENANT,
        )

    def __repr__(self) -> str:
        return f"EvaluationWorker({self._pool})"

    async def evaluate(self, entry_point: str, document: bytes, *, tenant: str) -> str:
        """Evaluates the rule `entry_point` for a tenant's document; returns the rule's value as JSON.

        Raises `EvaluationError` if the evaluation fails or takes more than `budget_seconds`, if too many
        documents are waiting, or if the process ends or does not start.
        """
        request = EvaluationRequest(entry_point=entry_point, document=document)
        try:
            answer = await self._pool.call(msgspec.msgpack.encode(request), caller=tenant)
        except WorkerBusy as error:
            of = f"{MAXIMUM_WAITING_OF_TENANT} large documents of {tenant}"
            who = of if error.caller else f"{MAXIMUM_WAITING} large documents"
            raise EvaluationError(f"{who} are waiting for a decision already") from error
        except WorkerTimeout:
            raise EvaluationError(f"no decision within {self._budget_seconds} s") from None
        except WorkerEnded as error:
            raise EvaluationError("the process that decides about large documents ended") from error
        except WorkerError as error:
            raise EvaluationError("the process that decides about large documents does not start") from error
        reply = msgspec.msgpack.decode(answer, type=EvaluationReply)
        if reply.error:
            raise RuleFailed(reply.error)
        return reply.answer

    async def close(self) -> None:
        """Kills the child process that evaluates policy rules, if one is running."""
        await self._pool.close()
